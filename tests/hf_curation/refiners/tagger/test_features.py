import re
import time
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.refiners.tagger.characters import CLASS, CLASSES, classify, codes_of
from hf_curation.refiners.tagger.features import NUM_NUMBERS, page_features

TEXTS = st.lists(st.text(max_size=40), max_size=12)


@given(TEXTS)
@settings(max_examples=150)
def test_any_lines_give_finite_features(lines):
    page = page_features(lines)
    assert page.rows.tolist() == [i for i, line in enumerate(lines) if line.strip()]
    assert page.numbers.shape == (len(page.rows), NUM_NUMBERS)
    assert np.isfinite(page.numbers).all()
    assert (page.num_words >= 1).all()
    assert page.word_starts[-1] == len(page.words)


@given(st.lists(st.text("abC é9-_.я", max_size=30), min_size=1, max_size=6))
@settings(max_examples=150)
def test_words_are_those_of_a_slow_twin(lines):
    page = page_features(lines)
    for row, start, end in zip(page.rows, page.word_starts, page.word_starts[1:], strict=False):
        words = re.findall(r"[^\W_]+", lines[row].strip().replace("_", "x").lower())
        assert end - start == len(words)


def test_hashes_know_words_apart_and_fold_case_and_digits():
    page = page_features(["Price 2024", "PRICE 1999", "prices 2024"])
    first, second, third = (
        page.words[a:b].tolist() for a, b in zip(page.word_starts, page.word_starts[1:], strict=False)
    )
    assert first == second
    assert first[0] != third[0]
    assert first[1] == third[1]


def test_a_character_of_an_unspaced_script_is_a_word():
    assert page_features(["鯨は歌う", "кит поёт"]).num_words.tolist() == [4, 2]


def test_hashes_do_not_depend_on_the_rest_of_the_page():
    alone = page_features(["Whales sing"])
    among = page_features(["Home", "", "  Whales sing ", "About us"])
    assert alone.words.tolist() == among.words[among.word_starts[1] : among.word_starts[2]].tolist()
    assert alone.specials[0].tolist() == among.specials[1].tolist()


def test_repeated_lines_are_marked():
    repeated = page_features(["Read more", "A story of whales", "Read more"])
    unique = page_features(["Read on", "A story of whales", "Read more"])
    assert not np.allclose(repeated.numbers[2], unique.numbers[2])


@pytest.mark.parametrize(
    "character", ["a", "Ü", "я", "ا", "鯨", "ก", "7", ".", "。", "»", "•", "€", "💙", "\t", "\x00", "\ud800"]
)
def test_every_character_has_a_class(character):
    classes, _ = classify(codes_of(character))
    name = CLASSES[classes[0]]
    if unicodedata.category(character) == "Nd":
        assert name == "digit"
    assert (name == "unspaced") == (character in "鯨ก")
    assert (name == "stop") == (character in ".。")


def test_lower_case_agrees_with_python_where_one_character_stays_one():
    codes = np.arange(0xD800, dtype=np.uint32)
    classes, lowered = classify(codes)
    for code in range(0xD800):
        expected = chr(code).lower()
        if len(expected) == 1 and classes[code] != CLASS["digit"]:
            assert chr(lowered[code]) == expected


def test_time_grows_with_the_lines_and_not_faster():
    def seconds(num_lines):
        lines = [f"line {k} of a long page, with some words" for k in range(num_lines)]
        best = 1e9
        for _ in range(3):
            begun = time.process_time()
            page_features(lines)
            best = min(best, time.process_time() - begun)
        return best

    page_features(["warm up"])
    assert seconds(16_000) < 20 * seconds(2_000)  # 8 with no overhead; 64 if it were quadratic
