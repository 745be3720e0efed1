"""Windows cover a page exactly once, within budget, in linear time."""

import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs import NO_LIMITS, Program, RemoveLines, execute
from hf_curation.programs.lines import split_lines
from hf_curation.programs.model import Dialect, Scope
from hf_curation.refiners.base import Window
from hf_curation.refiners.windows import (
    SEGMENT_CHARS,
    cut_windows,
    document_window,
    marker,
    number_lines,
    owned_lines,
)

POISON_LINES = ["", " ", "menu | login", "x" * 90, "whales\x0csing", "a\u2028b\x85c", "日本語" * 40, "\ud800", "\x00"]
texts = st.lists(st.one_of(st.sampled_from(POISON_LINES), st.text(st.characters(codec=None), max_size=60))).map(
    lambda lines: "\n".join(lines).replace("\r", " ")
)


def chars(strings):
    """A counter that is exact on concatenation: one token a character."""
    return [len(s) for s in strings]


def utf8(strings):
    return [len(s.encode("utf-8", "surrogatepass")) for s in strings]


def check_cover(text: str, windows: list[Window]) -> None:
    """Scopes are ordered and disjoint; what lies between two of them is the one newline that parts them."""
    assert windows[0].scope.start == 0
    assert windows[-1].scope.end == len(text)
    for before, after in pairwise(windows):
        gap = text[before.scope.end : after.scope.start]
        is_same_line = before.scope.first_line == after.scope.first_line
        assert gap == ("" if is_same_line else "\n")
    lines = split_lines(text)
    owned = [line for w in windows for line in range(owned_lines(w)[0], owned_lines(w)[1] + 1)]
    assert sorted(set(owned)) == list(range(len(lines)))
    assert owned == sorted(owned)
    for w in windows:
        assert w.text.endswith(text[w.scope.start : w.scope.end])
        assert text[: w.scope.start].count("\n") == w.scope.first_line
        assert owned_lines(w)[1] - owned_lines(w)[0] == text[w.scope.start : w.scope.end].count("\n")


@given(
    text=texts,
    budget=st.integers(32, 200),
    dialect=st.sampled_from(list(Dialect)),
    overlap=st.sampled_from([0.0, 0.2, 0.5]),
    counter=st.sampled_from([chars, utf8]),
)
def test_scopes_cover_the_text_once_and_every_window_fits(text, budget, dialect, overlap, counter):
    windows = cut_windows(text, counter, budget, dialect=dialect, overlap=overlap)
    check_cover(text, windows)
    for w in windows:
        assert counter([number_lines(w.text, w.first_line, dialect)])[0] <= budget


def slow_windows(text: str, budget: int, dialect: Dialect, overlap: float) -> list[Window]:
    """The rule spelled out on one line at a time, for a counter of characters."""

    def cost(line: int) -> int:
        return len(marker(line, dialect)) + len(lines[line]) + 1

    lines = text.split("\n")
    windows, line = [], 0
    while line < len(lines):
        start = sum(len(x) + 1 for x in lines[:line])
        if cost(line) > budget:
            room = budget - len(marker(line, dialect)) - 1
            for a in range(0, len(lines[line]), room):
                piece = lines[line][a : a + room]
                windows.append(Window(piece, line, Scope(start + a, start + a + len(piece), line)))
            line += 1
            continue
        shown = line
        limit = min(int(overlap * budget), budget - cost(line)) if windows else 0
        while shown > 0 and cost(shown - 1) <= budget and sum(map(cost, range(shown - 1, line))) <= limit:
            shown -= 1
        end = line
        while end < len(lines) and sum(map(cost, range(shown, end + 1))) <= budget:
            end += 1
        own = "\n".join(lines[line:end])
        windows.append(Window("\n".join(lines[shown:end]), shown, Scope(start, start + len(own), line)))
        line = end
    return windows


@given(
    text=st.lists(st.text("ab ", max_size=25), max_size=40).map("\n".join),
    budget=st.integers(40, 150),
    dialect=st.sampled_from(list(Dialect)),
    overlap=st.sampled_from([0.0, 0.2, 0.4]),
)
def test_agrees_with_the_slow_twin_where_every_line_fits(text, budget, dialect, overlap):
    assert cut_windows(text, chars, budget, dialect=dialect, overlap=overlap) == slow_windows(
        text, budget, dialect, overlap
    )


def test_numbers_lines_as_each_dialect_counts_them():
    text = "\n".join(["a"] * 1001)
    assert number_lines("x\ny", 999, Dialect.PROX) == "[999]x\n[1000]y"
    assert number_lines("x\ny", 0, Dialect.PROX) == "[000]x\n[001]y"
    assert number_lines("x\ny", 0, Dialect.ULTRAX) == "<lid:1>x\n<lid:2>y"
    assert number_lines("x", 4, Dialect.REFINEX) == "[5]x"
    last = cut_windows(text, chars, 100)[-1]
    assert number_lines(last.text, last.first_line, Dialect.PROX).endswith("[1000]a")


def test_form_feeds_and_separators_do_not_part_lines():
    text = "a\x0cb\nc\u2028d\x85e\nf"
    (window,) = cut_windows(text, chars, 100)
    assert number_lines(window.text, 0, Dialect.PROX) == "[000]a\x0cb\n[001]c\u2028d\x85e\n[002]f"


def test_overlap_shows_lines_that_the_window_before_owns():
    text = "\n".join(f"line {i} of the page" for i in range(40))
    windows = cut_windows(text, chars, 200, dialect=Dialect.ULTRAX, overlap=0.2)
    check_cover(text, windows)
    assert len(windows) > 3
    for before, w in pairwise(windows):
        context = w.scope.first_line - w.first_line
        assert context == 1, "a fifth of 200 tokens pays for one line of 26"
        assert owned_lines(before)[1] == w.scope.first_line - 1


def test_a_long_line_becomes_pieces_inside_it():
    long = " ".join(f"word{i}" for i in range(2000))
    text = f"first\n{long}\nlast"
    windows = cut_windows(text, chars, 1000)
    check_cover(text, windows)
    pieces = [w for w in windows if w.scope.first_line == 1]
    assert len(pieces) > 10
    assert "".join(w.text for w in pieces) == long
    assert all(w.text.startswith(" word") for w in pieces[1:]), "cut before a space"
    assert [windows[0].text, windows[-1].text] == ["first", "last"]


def test_segments_of_one_line_shrink_until_they_fit():
    dense = "\N{PILE OF POO}" * (3 * SEGMENT_CHARS)
    windows = cut_windows(dense, utf8, 64)
    check_cover(dense, windows)
    assert max(utf8([number_lines(w.text, 0, Dialect.PROX)])[0] for w in windows) <= 64


@pytest.mark.parametrize(
    ("text", "num_windows"),
    [("", 1), ("\n", 1), (" ", 1), ("\n" * 5, 1), ("a\n", 1), ("\n" * 1000, 48)],
)
def test_blank_pages_have_windows_too(text, num_windows):
    windows = cut_windows(text, chars, 128)
    check_cover(text, windows)
    assert len(windows) == num_windows


def seconds(text: str) -> float:
    best = 1e9
    for _ in range(2):  # of processor time, since other tests run beside this one
        start = time.process_time()
        windows = cut_windows(text, chars, 1500, overlap=0.2)
        best = min(best, time.process_time() - start)
    assert windows[-1].scope.end == len(text)
    return best


@pytest.mark.slow
@pytest.mark.parametrize(
    "unit",
    ["x", "word ", "a line\n", "\n", " ", "日", "a long line of a paragraph that goes on for a while " * 40 + "\n"],
)
def test_poison_pages_take_linear_time(unit):
    """1 MB in one line, a million lines, only spaces, only newlines: four times the page, at most ten the time."""
    small, large = unit * (250_000 // len(unit)), unit * (1_000_000 // len(unit))
    seconds(small[:10_000])
    assert seconds(large) < 10 * max(seconds(small), 0.2)


def test_counts_strings_of_bounded_size_only():
    longest = 0

    def counting(strings):
        nonlocal longest
        longest = max(longest, *map(len, strings))
        return chars(strings)

    cut_windows("x" * 1_000_000, counting, 1500)
    document_window("y" * 1_000_000, counting, 1500)
    assert longest <= SEGMENT_CHARS + len("[0000000]\n")


@pytest.mark.parametrize(("budget", "overlap"), [(31, 0.0), (-1, 0.0), (100, 0.6), (100, -0.1)])
def test_refuses_budgets_that_cannot_work(budget, overlap):
    with pytest.raises(ValueError, match=r"budget of at least 32|overlap must be"):
        cut_windows("a", chars, budget, overlap=overlap)


@settings(max_examples=50)
@given(text=texts, budget=st.integers(32, 3000), counter=st.sampled_from([chars, utf8]))
def test_document_window_shows_as_much_as_fits(text, budget, counter):
    page = text.strip()
    window = document_window(text, counter, budget)
    assert page.startswith(window.text)
    assert counter([window.text])[0] <= budget
    assert window.scope == Scope(0, len(text), 0)
    assert window.judged_fraction == (len(window.text) / len(page) if page else 1.0)
    if window.text != page:
        assert counter([page[: len(window.text) + 1]])[0] > budget
        assert window.judged_fraction < 1
    assert text.startswith("\n".join([""] * window.first_line)) or text[0].isspace()


def test_document_window_of_a_huge_page_counts_only_what_it_shows():
    counted = 0

    def counting(strings):
        nonlocal counted
        counted += sum(map(len, strings))
        return chars(strings)

    window = document_window("\n" * 3 + "word " * 2_000_000, counting, 2000)
    assert window.first_line == 3
    assert len(window.text) == 2000
    assert counted < 10_000


@given(
    lines=st.lists(st.sampled_from(["", "a b", "menu | login", "x" * 20, "日本語"]), min_size=1, max_size=60),
    budget=st.integers(40, 150),
    overlap=st.sampled_from([0.0, 0.3]),
    data=st.data(),
)
def test_programs_of_windows_edit_the_page_as_one_program_would(lines, budget, overlap, data):
    """The executor and the windows number lines alike, and no window's edit leaks into another's lines."""
    lines = [*lines, "Whales sing."]  # a page of blanks is left alone
    text = "\n".join(lines)
    removed = data.draw(st.sets(st.integers(0, len(lines) - 1)))
    programs = []
    for w in cut_windows(text, chars, budget, overlap=overlap):
        first, last = owned_lines(w)
        calls = tuple(RemoveLines(line, line) for line in sorted(removed) if first <= line <= last)
        programs.append(Program(calls, scope=w.scope))
    whole = Program(tuple(RemoveLines(line, line) for line in sorted(removed)))
    result = execute(text, programs, limits=NO_LIMITS)
    assert result.text == execute(text, whole, limits=NO_LIMITS).text
    assert result.text == "\n".join(line for i, line in enumerate(lines) if i not in removed)
    assert not result.rejected
