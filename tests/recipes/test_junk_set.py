"""The hand-written pages of the document stage: enough of each sort, none twice, and none nearly twice."""

from collections import Counter, defaultdict
from importlib.util import module_from_spec, spec_from_file_location
from itertools import combinations
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parents[2] / "recipes" / "train_line_tagger" / "junk.py"


def load(path: Path):
    spec = spec_from_file_location("junk_of_train_line_tagger", path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


read_junk = load(PATH).read_junk
PAGES = read_junk()


def lines_of(text: str) -> set[str]:
    return {line.strip() for line in text.split("\n") if line.strip()}


def test_there_are_enough_pages_of_both_classes():
    counts = Counter(is_junk for _, is_junk, _, _ in PAGES)
    assert counts[True] >= 220
    assert counts[False] >= 120


@pytest.mark.parametrize(("is_junk", "least"), [(True, 6), (False, 4)])
def test_each_of_twenty_languages_has_both_classes_and_english_about_half(is_junk, least):
    counts = Counter(lang for _, junk, lang, _ in PAGES if junk == is_junk and lang != "zxx")
    assert len(counts) == 20
    assert min(counts.values()) >= least
    assert 0.45 <= counts["en"] / counts.total() <= 0.55


def test_each_of_26_kinds_of_junk_occurs_at_least_four_times():
    counts = Counter(kind for _, is_junk, _, kind in PAGES if is_junk)
    assert len(counts) == 26
    assert min(counts.values()) >= 4


def test_no_kind_is_both_dropped_and_kept():
    assert len({(kind, is_junk) for _, is_junk, _, kind in PAGES}) == len({kind for _, _, _, kind in PAGES})


def test_pages_are_short_to_mid_size():
    sizes = [len(text.split("\n")) for text, _, _, _ in PAGES]
    assert max(sizes) <= 60
    assert sum(size > 2 for size in sizes) > 0.6 * len(sizes)


def test_no_page_stands_twice():
    texts = Counter(" ".join(text.split()).lower() for text, _, _, _ in PAGES)
    assert max(texts.values()) == 1


def test_no_two_pages_share_more_than_three_lines():
    sets = [lines_of(text) for text, _, _, _ in PAGES]
    close = [(PAGES[i][2:], PAGES[j][2:], sets[i] & sets[j]) for i, j in combinations(range(len(sets)), 2)]
    assert not [case for case in close if len(case[2]) > 3]


def test_a_line_of_more_than_four_words_occurs_once():
    owners = defaultdict(list)
    for number, (text, _, _, _) in enumerate(PAGES):
        for line in lines_of(text):
            if len(line.split()) > 4:
                owners[line].append(number)
    assert not {line for line, numbers in owners.items() if len(numbers) > 1}


def test_indents_and_inner_blank_lines_survive(tmp_path):
    (tmp_path / "drop.de.2.txt").write_text("%% navigation\n\n    A\n\nB\n\n%% spam\nC %% d\n%%X\n", encoding="utf-8")
    assert read_junk(tmp_path) == [
        ("    A\n\nB", True, "de", "navigation"),
        ("C %% d\n%%X", True, "de", "spam"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("other.en.txt", "%% spam\nA\n", "name it drop"),
        ("keep.en.txt", "A\n%% note\nB\n", "stands before the first"),
        ("keep.en.txt", "%% note\n\n%% note\nB\n", "is empty"),
    ],
)
def test_a_file_that_breaks_the_format_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_junk(tmp_path)
