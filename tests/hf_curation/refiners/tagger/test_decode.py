from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs.execute import execute
from hf_curation.programs.limits import NO_LIMITS
from hf_curation.programs.model import KeepAll, Program, RemoveLines
from hf_curation.refiners.tagger.decode import choose_lines, keep_at_least, removal_calls

lines_of_a_page = st.lists(st.tuples(st.floats(1 / 64, 1, width=32), st.integers(1, 40)), min_size=1, max_size=7)


def _expected_f1(keep, probabilities, words):
    wanted = float((probabilities * words)[keep].sum())
    return 2 * wanted / (words[keep].sum() + (probabilities * words).sum())


def _with_doubt(keep, probabilities, words, doubt):
    """The expectation over a shared normal shift, by summing over a fine grid."""
    shifts = np.linspace(-6, 6, 601)
    odds = np.log(probabilities) - np.log1p(-probabilities)
    scenarios = [1 / (1 + np.exp(-(odds + doubt * shift))) for shift in shifts]
    return np.average([_expected_f1(keep, p, words) for p in scenarios], weights=np.exp(-(shifts**2) / 2))


@given(lines_of_a_page)
@settings(max_examples=150)
def test_no_other_choice_of_independent_lines_has_a_higher_expected_f1(page):
    probabilities, words = (np.array(column, dtype=np.float32) for column in zip(*page, strict=True))
    chosen = _expected_f1(choose_lines(probabilities, words, min_gain=0, doubt=0), probabilities, words)
    every = (np.array(flags) for flags in product([False, True], repeat=len(page)) if any(flags))
    assert chosen == pytest.approx(max(_expected_f1(flags, probabilities, words) for flags in every), rel=1e-4)


@given(st.lists(st.tuples(st.floats(1 / 64, 63 / 64), st.integers(1, 40)), min_size=1, max_size=7))
@settings(max_examples=40)
def test_no_other_limit_has_a_higher_expected_f1_where_all_lines_may_be_wrong_together(page):
    probabilities, words = (np.array(column) for column in zip(*page, strict=True))
    chosen = _with_doubt(choose_lines(probabilities, words, min_gain=0, doubt=2), probabilities, words, 2)
    every = (probabilities >= limit for limit in probabilities)
    assert chosen == pytest.approx(max(_with_doubt(flags, probabilities, words, 2) for flags in every), abs=2e-3)


def test_with_doubt_a_long_unlikely_part_may_be_what_is_wanted():
    probabilities, words = np.array([0.6, 0.2], dtype=np.float32), np.array([100, 300], dtype=np.float32)
    assert choose_lines(probabilities, words, doubt=0).tolist() == [True, False]
    assert choose_lines(probabilities, words, doubt=2).tolist() == [True, True]


def test_a_small_gain_is_not_worth_an_edit():
    probabilities, words = np.array([0.99, 0.3], dtype=np.float32), np.array([500, 4], dtype=np.float32)
    assert choose_lines(probabilities, words).tolist() == [True, True]
    assert choose_lines(probabilities, words, min_gain=0).tolist() == [True, False]


def test_a_good_page_asks_more_of_a_line_than_a_hopeless_one():
    words = np.array([500, 50], dtype=np.float32)
    assert choose_lines(np.array([0.99, 0.4], dtype=np.float32), words, min_gain=0).tolist() == [True, False]
    assert choose_lines(np.array([0.3, 0.4], dtype=np.float32), words, min_gain=0).tolist() == [True, True]


def test_the_likeliest_lines_come_back_until_enough_is_kept():
    keep = np.array([False, False, False, True])
    grown = keep_at_least(keep, np.array([0.1, 0.3, 0.2, 0.9]), np.array([10.0, 10, 10, 1]), share=0.5)
    assert grown.tolist() == [False, True, True, True]
    assert keep_at_least(keep, np.zeros(4), np.array([1.0, 1, 1, 10])) is keep


@given(st.lists(st.sampled_from(["", " ", "keep me", "away"]), min_size=1, max_size=14))
@settings(max_examples=200)
def test_the_program_leaves_exactly_the_chosen_lines(lines):
    rows = np.array([i for i, line in enumerate(lines) if line.strip()], dtype=np.int64)
    keep = np.array([lines[i] == "keep me" for i in rows], dtype=bool)
    calls = removal_calls(rows, keep, len(lines))
    result = execute("\n".join(lines), Program(calls), limits=NO_LIMITS)
    assert [line for line in result.text.split("\n") if line.strip()] == ["keep me"] * int(keep.sum())
    assert not result.rejected
    assert len(calls) <= int((~keep).sum()) or calls == (KeepAll(),)


def test_paragraphs_stay_apart_and_no_blank_lines_trail():
    lines = ["menu", "", "One.", "", "share", "", "Two.", "", "footer", ""]
    rows = np.array([0, 2, 4, 6, 8])
    keep = np.array([False, True, False, True, False])
    calls = removal_calls(rows, keep, len(lines))
    assert calls == (RemoveLines(0, 1), RemoveLines(4, 5), RemoveLines(7, 9))
    assert execute("\n".join(lines), Program(calls)).text.rstrip("\n") == "One.\n\nTwo."
