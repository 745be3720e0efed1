"""Which lines of a page its clean version holds."""

import random
import time

import pytest

from hf_curation.programs import keep_lines, match_lines
from hf_curation.programs.align import align_words, equal_runs, shared_ends, word_spans, words_of

ARTICLE = [
    "The tide mill at the mouth of the river ground corn for four hundred years.",
    "Twice a day the sea filled its pond, and twice a day the miller let it out again.",
    "When the railway came, flour arrived from further away and the wheel stood still.",
]


def test_menus_go_and_the_article_stays() -> None:
    raw = ["Home | Mills | About", "", *ARTICLE, "", "About the author", "Share this"]
    assert keep_lines(raw, "\n\n".join(ARTICLE)) == [False, False, True, True, True, False, False, False]


def test_the_clean_text_may_be_wrapped_in_any_way() -> None:
    words = " ".join(ARTICLE).split()
    wrapped = "\n".join(" ".join(words[i : i + 5]) for i in range(0, len(words), 5))
    assert keep_lines(["Login", *ARTICLE, "Imprint"], wrapped) == [False, True, True, True, False]
    joined = " ".join(ARTICLE)
    pieces = wrapped.split("\n")
    assert keep_lines(["Login", *pieces, "Imprint"], joined) == [False, *[True] * len(pieces), False]


def test_passages_may_move() -> None:
    clean = "\n".join([ARTICLE[2], ARTICLE[0], ARTICLE[1]])
    assert keep_lines([*ARTICLE, "Subscribe now"], clean) == [True, True, True, False]


def test_each_clean_word_counts_once() -> None:
    raw = [ARTICLE[0], "Login", ARTICLE[0]]
    assert sum(keep_lines(raw, ARTICLE[0])) == 1


def test_a_lone_word_of_a_menu_is_not_the_bodys() -> None:
    menu = ["About", "Contact", "Visit", "Shop", "Press", "Log in"]
    clean = ["This page is about mills.", *ARTICLE]
    assert keep_lines([*menu, *ARTICLE], "\n".join(clean)) == [*[False] * 6, True, True, True]
    assert keep_lines([*menu, *ARTICLE], "\n".join(["About", *ARTICLE])) == [True, *[False] * 5, True, True, True]


def test_blank_lines_follow_their_neighbours() -> None:
    raw = [ARTICLE[0], "", "Ad", "", ARTICLE[1], "Ad", "* * *", ARTICLE[2], ""]
    keep = keep_lines(raw, "\n".join(ARTICLE))
    assert keep == [True, True, False, False, True, False, True, True, False]


def test_scripts_without_spaces_are_compared_by_character() -> None:
    body = "潮汐磨坊在河口磨了四百年的谷物，每天两次海水灌满它的池塘。"
    assert keep_lines(["首页", body, "联系我们"], body + "\n铁路通车以后水轮停了。") == [False, True, False]
    assert words_of("Tide 潮汐 mill") == ["tide", "潮", "汐", "mill"]


def test_shares_are_counted_in_words() -> None:
    noisy = ARTICLE[0] + " Read more about our cookies and partners here today"
    (match,) = match_lines([noisy], ARTICLE[0])
    assert (match.num_words, match.num_matched) == (24, 15)
    assert match.share == pytest.approx(15 / 24)
    assert match_lines(["--"], ARTICLE[0])[0].share == 0


@pytest.mark.parametrize("text", ["İstanbul ǅungla", "naïve café", "a\u0301b", "x\u2028y"])
def test_words_and_their_places_agree(text: str) -> None:
    assert words_of(text) == [text[start:end].lower() for start, end in word_spans(text)]


def test_runs_are_equal_disjoint_and_do_not_cross() -> None:
    rng = random.Random(3)  # noqa: S311
    raw = [rng.choice("abcdefgh") + rng.choice("xyz") for _ in range(400)]
    clean = [word for word in raw if rng.random() < 0.7]
    runs = equal_runs(raw, clean, (0, len(raw), 0, len(clean)))
    ends = (0, 0)
    for i, j, n in runs:
        assert raw[i : i + n] == clean[j : j + n]
        assert (i, j) >= ends
        assert n > 0
        ends = (i + n, j + n)
    assert sum(n for _, _, n in runs) > 0.85 * len(clean)
    moved = align_words(raw, clean[200:] + clean[:200])
    assert len({i for i, _, n in moved for i in range(i, i + n)}) == sum(n for _, _, n in moved)


def test_shared_ends_do_not_overlap() -> None:
    assert shared_ends("abcab", "abab") == (2, 2)
    assert shared_ends("aaa", "aa") == (2, 0)
    assert shared_ends("", "a") == (0, 0)


def test_time_is_near_linear_for_repetitive_pages() -> None:
    rng = random.Random(5)  # noqa: S311
    line = "add to basket price from only 9 99 in stock"
    raw = [line if rng.random() < 0.8 else f"item number {rng.random()}" for _ in range(20_000)]
    start = time.thread_time()
    keep_lines(raw, "\n".join(raw[5_000:15_000]))
    assert time.thread_time() - start < 15
