"""What a word is: Python's `re` classes; and what nltk makes of the same pattern since 3.10."""

import re

import pytest

from hf_curation.sampling.words import find_words


def test_words_and_signs():
    assert find_words("Don't stop_it -- 3.5%!", lower=True) == ["don", "'", "t", "stop_it", "--", "3", ".", "5", "%!"]
    assert find_words("ΣΑΣ İx", lower=True) == ["σας", "i", "̇", "x"]
    assert find_words("ABC", lower=False) == ["ABC"]
    assert find_words(" \x1c\x1d\x1e\x1f\x85\u3000", lower=True) == []
    assert find_words("", lower=True) == []


def test_the_classes_are_those_of_str():
    for point in (*range(0xD800), *range(0xE000, 0x11000), *range(0x1F000, 0x1F700)):
        letter = chr(point)
        assert bool(re.match(r"\w", letter)) == (letter.isalnum() or letter == "_")
        assert bool(re.match(r"\s", letter)) == letter.isspace()


@pytest.mark.parametrize(
    ("text", "ours", "theirs"),
    [
        ("a\x1cb", ["a", "b"], ["a", "\x1c", "b"]),
        ("x²", ["x²"], ["x", "²"]),
        ("e\u0301t", ["e", "\u0301", "t"], ["e\u0301t"]),
        ("हिन्दी", ["ह", "ि", "न", "्", "द", "ी"], ["हिन्दी"]),
    ],
)
def test_nltk_has_other_classes_since_3_10(text, ours, theirs):
    nltk = pytest.importorskip("nltk")
    from nltk.tokenize import WordPunctTokenizer

    since_3_10 = tuple(int(part) for part in nltk.__version__.split(".")[:2]) >= (3, 10)
    assert find_words(text, lower=False) == ours
    assert WordPunctTokenizer().tokenize(text) == (theirs if since_3_10 else ours)
