"""Programs of windows do together what the program of the page does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs import (
    NO_LIMITS,
    AddLine,
    Dialect,
    KeepAll,
    Program,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    derive,
    execute,
)
from hf_curation.refiners.training.clip import clip_program, clip_to_window, shift_program
from hf_curation.refiners.windows import cut_windows

TEXT = "\n".join(f"line {i} " + "word " * 8 for i in range(30))


def by_words(texts):
    return [len(text.split()) + 1 for text in texts]


@settings(max_examples=100, deadline=None)
@given(
    ranges=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 8)), max_size=6),
    budget=st.integers(32, 200),
    overlap=st.sampled_from([0.0, 0.3]),
)
def test_ranges_cut_at_windows_remove_the_same_lines(ranges, budget, overlap):
    whole = Program(tuple(RemoveLines(start, min(start + n, 29)) for start, n in ranges) or (KeepAll(),))
    windows = cut_windows(TEXT, by_words, budget, overlap=overlap)
    parts = clip_program(whole, windows)
    assert len(parts) == len(windows)
    assert execute(TEXT, parts, limits=NO_LIMITS).text == execute(TEXT, whole, limits=NO_LIMITS).text


@settings(max_examples=60, deadline=None)
@given(keep=st.lists(st.booleans(), min_size=30, max_size=30), dialect=st.sampled_from(list(Dialect)))
def test_derived_programs_survive_the_cut(keep, dialect):
    lines = TEXT.split("\n")
    clean = "\n".join(line.replace(f"line {i} ", "") for i, line in enumerate(lines) if keep[i])
    program = derive(TEXT, clean, dialect=dialect)
    windows = cut_windows(TEXT, by_words, 60, dialect=dialect)
    joined = execute(TEXT, clip_program(program, windows), limits=NO_LIMITS)
    assert joined.text == execute(TEXT, program, limits=NO_LIMITS).text
    assert not joined.rejected


def test_a_line_that_is_cut_into_pieces():
    text = "short\n" + " ".join(f"w{i}" for i in range(200)) + "\nend"
    windows = cut_windows(text, by_words, 50)
    assert len(windows) > 3
    removed = clip_program(Program((RemoveLines(1, 1),)), windows)
    assert execute(text, removed, limits=NO_LIMITS).text == "short\nend"
    replaced = clip_program(Program((ReplaceString("w150 w151 "),)), windows)
    assert sum(not isinstance(part.calls[0], KeepAll) for part in replaced) == 1


def test_context_lines_are_not_owned():
    windows = cut_windows(TEXT, by_words, 60, overlap=0.4)
    later = windows[1]
    assert later.first_line < later.scope.first_line, "there is context"
    assert clip_to_window(Program((RemoveLines(0, later.scope.first_line - 1),)), later).calls == (KeepAll(),)
    in_context = TEXT.split("\n")[later.first_line]
    assert clip_to_window(Program((ReplaceString(in_context),)), later).calls == (KeepAll(),)


def test_all_kinds_of_calls_find_their_window():
    windows = cut_windows(TEXT, by_words, 60)
    first, second = windows[:2]
    add, at_start = AddLine(second.first_line, 1, "new"), AddLine(-1, 1, "new")
    named = ReplaceString("word", "", second.first_line)
    parts = clip_program(Program((add, at_start, named)), windows)
    assert parts[0].calls == (at_start,)
    assert parts[1].calls == (add, named)
    everything = clip_program(Program((RemoveAll(),)), windows)
    assert everything[0].calls == (RemoveLines(0, second.first_line - 1),)
    assert everything[0].scope == first.scope


def test_shifting_moves_every_line_number():
    calls = (RemoveLines(0, 2), ReplaceString("a", "b", 1), ReplaceString("a"), AddLine(-1, 1, "x"), KeepAll())
    assert shift_program(Program(calls), 10).calls == (
        RemoveLines(10, 12), ReplaceString("a", "b", 11), ReplaceString("a"), AddLine(9, 1, "x"), KeepAll()
    )  # fmt: skip
