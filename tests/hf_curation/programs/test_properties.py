"""Properties that hold for all texts and programs, and the twins: short way and long way, spans and line lists."""

from collections.abc import Sequence

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hf_curation.programs import (
    NO_LIMITS,
    REASONS,
    AddLine,
    Call,
    Dialect,
    DropDocument,
    EditResult,
    KeepAll,
    Limits,
    Program,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    Scope,
    execute,
    normalize_newlines,
    parse_program,
    parse_programs,
    print_program,
    print_programs,
    replay,
    split_lines,
)
from hf_curation.programs.execute import execute_general
from hf_curation.programs.execute_plain import execute_plain
from hf_curation.programs.reasons import FALLBACKS

# Few letters, so that lines repeat and strings occur twice; and every character that some splitter breaks at.
LETTERS = st.sampled_from("aab b\\'\",()=#;\t\x0b\x0c\x1c\x85\u2028\u2029\x00\ufeff春é\ud800")
SENTENCES = st.text(st.sampled_from("abc "), min_size=1, max_size=12)
LINES = st.one_of(st.text(LETTERS, max_size=8), SENTENCES)
PAGES = st.lists(st.tuples(LINES, st.sampled_from(["\n", "\n", "\r\n", "\r"])), max_size=9).map(
    lambda parts: "".join(line + newline for line, newline in parts).removesuffix("\n")
)
STRINGS = st.one_of(st.text(LETTERS, max_size=5), SENTENCES, st.text(st.characters(), max_size=4))
NUMBERS = st.integers(0, 10)

PROX_CALLS = st.one_of(
    st.builds(RemoveLines, NUMBERS, NUMBERS),
    st.builds(ReplaceString, STRINGS, STRINGS),
    st.builds(KeepAll, st.booleans()),
    st.just(RemoveAll()),
    st.just(DropDocument()),
)
REFINEX_CALLS = st.one_of(
    st.builds(RemoveLines, NUMBERS, NUMBERS),
    st.builds(ReplaceString, STRINGS, st.just(""), NUMBERS),
    st.just(KeepAll()),
)
ULTRAX_CALLS = st.one_of(
    st.builds(RemoveLines, NUMBERS, NUMBERS),
    st.builds(ReplaceString, STRINGS, STRINGS, NUMBERS),
    st.builds(AddLine, st.integers(-1, 10), st.integers(0, 999), STRINGS),
    st.sampled_from([KeepAll(), RemoveAll()]),
)
CALLS = {Dialect.PROX: PROX_CALLS, Dialect.REFINEX: REFINEX_CALLS, Dialect.ULTRAX: ULTRAX_CALLS}
ANY_CALLS = st.one_of(*CALLS.values())
EDITS = ANY_CALLS.filter(lambda call: not isinstance(call, KeepAll | DropDocument))
HEADS = ["remove_lines(", "normalize(", "keep_chunk()", "replace_str(1, '", "add_line(", "drop", "<think>", "</think>"]
MARKS = ["source_str=", ', target_str="', ")", "```", "0", "12", ", ", '"', "'", "all=True", "; ", "\n"]
LIMITS = st.sampled_from(
    [Limits(), NO_LIMITS, Limits(max_added_chars=0), Limits(max_removed_fraction=0.3), Limits(max_added_chars=5)]
)


@st.composite
def page_and_programs(draw: st.DrawFn) -> tuple[str, list[Program]]:
    """A page, and a program for each of its windows: cut anywhere, also inside lines."""
    text = draw(PAGES)
    flat = normalize_newlines(text)
    cuts = sorted(draw(st.sets(st.integers(0, len(flat)), max_size=3)))
    programs = []
    start = 0
    for end in [*cuts, len(flat)]:
        scope = Scope(start, end, flat.count("\n", 0, start))
        sources = st.sampled_from(flat.split("\n")).map(lambda line: line[:5])
        calls = st.one_of(EDITS, ANY_CALLS, st.builds(ReplaceString, sources, st.sampled_from(["", "x"])))
        programs.append(Program(tuple(draw(st.lists(calls, max_size=4))), scope=scope))
        start = end + (flat[end : end + 1] == "\n")
        if start > len(flat):
            break
    if draw(st.booleans()):  # scopes should be disjoint; nothing may break when they are not
        whole = draw(st.lists(st.booleans(), min_size=len(programs), max_size=len(programs)))
        programs = [Program(p.calls) if is_whole else p for p, is_whole in zip(programs, whole, strict=True)]
    return text, programs


@st.composite
def dialect_and_program(draw: st.DrawFn) -> tuple[Dialect, Program]:
    dialect = draw(st.sampled_from(Dialect))
    scope = draw(st.none() | st.builds(Scope, NUMBERS, NUMBERS, NUMBERS))
    return dialect, Program(tuple(draw(st.lists(CALLS[dialect], max_size=5))), scope=scope)


@settings(max_examples=150)
@given(dialect_and_program())
def test_printing_then_parsing_is_the_identity(case: tuple[Dialect, Program]) -> None:
    dialect, program = case
    assert parse_program(print_program(program, dialect), dialect, scope=program.scope) == program


@given(st.lists(dialect_and_program(), max_size=3), st.sampled_from(Dialect))
def test_custody_is_the_identity(cases: list[tuple[Dialect, Program]], dialect: Dialect) -> None:
    programs = [program for own, program in cases if own is dialect]
    assert parse_programs(print_programs(programs, dialect)) == programs


def check_result(text: str, programs: Sequence[Program], result: EditResult) -> None:
    """What every result must satisfy."""
    assert replay(text, result.edits) == result.text
    ends = [0, *(edit.end for edit in result.edits)]
    assert all(end <= edit.start <= edit.end for end, edit in zip(ends, result.edits, strict=False))
    assert ends[-1] <= len(text)
    assert {rejection.reason for rejection in result.rejected} <= set(REASONS)
    assert set(result.fallbacks) <= set(FALLBACKS)
    num_read = sum(len(program.calls) + len(program.rejected) for program in programs)
    assert result.num_applied + len(result.rejected) == num_read
    num_effective = sum(len(program.calls) for program in result.effective)
    assert num_effective == result.num_applied or (num_effective < result.num_applied and result.num_clamped)
    assert 0 <= result.num_clamped <= result.num_applied
    assert result.edits or result.text == text


@settings(max_examples=200, deadline=None)
@given(page_and_programs(), LIMITS)
def test_edits_explain_the_result_and_every_call_is_counted(case: tuple[str, list[Program]], limits: Limits) -> None:
    text, programs = case
    result = execute(text, programs, limits=limits)
    check_result(text, programs, result)
    assert not result.dropped


@settings(max_examples=150, deadline=None)
@given(page_and_programs(), LIMITS)
def test_what_was_executed_gives_the_same_text_again(case: tuple[str, list[Program]], limits: Limits) -> None:
    text, programs = case
    result = execute(text, programs, limits=limits)
    for again_limits in (limits, NO_LIMITS):
        again = execute(text, result.effective, limits=again_limits)
        assert (again.text, again.edits, again.effective) == (result.text, result.edits, result.effective)
        assert again.rejected == ()


@settings(max_examples=150, deadline=None)
@given(page_and_programs(), st.randoms())
def test_the_order_of_removals_does_not_matter(case: tuple[str, list[Program]], rng: object) -> None:
    text, programs = case
    shuffled = list(programs)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    removing = [
        Program(tuple(c for c in p.calls if isinstance(c, RemoveLines | RemoveAll))[::-1], scope=p.scope)
        for p in shuffled
    ]
    straight = [
        Program(tuple(c for c in p.calls if isinstance(c, RemoveLines | RemoveAll)), scope=p.scope) for p in programs
    ]
    assert execute(text, removing).edits == execute(text, straight).edits


@settings(max_examples=150, deadline=None)
@given(
    PAGES,
    st.lists(st.one_of(EDITS, ANY_CALLS, st.builds(RemoveLines, st.integers(0, 3), NUMBERS)), max_size=4),
    LIMITS,
)
def test_the_short_way_equals_the_long_way(text: str, calls: list[Call], limits: Limits) -> None:
    program = Program(tuple(calls))
    plain = execute_plain(text, program, limits)
    if plain is not None:
        assert plain == execute_general(text, [program], limits=limits, stage="chunk")


@settings(max_examples=80, deadline=None)
@given(st.lists(SENTENCES, min_size=3, max_size=8), st.data())
def test_the_short_way_is_taken_by_plain_programs(lines: list[str], data: st.DataObject) -> None:
    text = "\n".join(lines)
    first = data.draw(st.integers(0, len(lines) - 2))
    program = Program((RemoveLines(first, data.draw(st.integers(first, len(lines) - 2))),))
    assume(not text.isspace())
    general = execute_general(text, [program], limits=NO_LIMITS, stage="chunk")
    assert execute_plain(text, program, NO_LIMITS) == general


@settings(max_examples=100, deadline=None)
@given(PAGES, st.lists(st.builds(RemoveLines, NUMBERS, NUMBERS), max_size=5))
def test_removing_lines_joins_what_is_left(text: str, calls: list[RemoveLines]) -> None:
    lines = split_lines(text)
    gone = {line for call in calls if call.start < len(lines) for line in range(call.start, call.end + 1)}
    kept = [line for number, line in enumerate(lines) if number not in gone]
    assume(text and not text.isspace())
    result = execute(text, Program(tuple(calls)), limits=NO_LIMITS)
    assert normalize_newlines(result.text) == "\n".join(kept)


def is_subsequence(small: Sequence[str], big: Sequence[str]) -> bool:
    items = iter(big)
    return all(item in items for item in small)


@settings(max_examples=100, deadline=None)
@given(page_and_programs())
def test_deletion_only_output_is_a_subsequence(case: tuple[str, list[Program]]) -> None:
    text, programs = case
    result = execute(text, programs, limits=Limits(max_added_chars=0, max_removed_fraction=1))
    assert is_subsequence(result.text, text)
    assert all(edit.replacement == "" for edit in result.edits)
    whole = [Program(tuple(c for c in p.calls if isinstance(c, RemoveLines))) for p in programs]
    lines = split_lines(execute(text, whole, limits=NO_LIMITS).text)
    assert is_subsequence(lines, split_lines(text)) or lines == [""]


@settings(max_examples=100, deadline=None)
@given(page_and_programs(), st.integers(0, 20))
def test_added_characters_are_bounded(case: tuple[str, list[Program]], cap: int) -> None:
    text, programs = case
    result = execute(text, programs, limits=Limits(max_added_chars=cap, max_removed_fraction=1))
    assert sum(len(edit.replacement) for edit in result.edits) <= cap * len(programs)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.text(max_size=10),
            st.text(LETTERS, max_size=6),
            st.sampled_from(HEADS + MARKS),
        ),
        max_size=12,
    ).map("".join),
    st.sampled_from(Dialect),
    st.booleans(),
)
def test_the_parser_never_raises_and_loses_nothing(text: str, dialect: Dialect, complete: bool) -> None:
    program = parse_program(text, dialect, complete=complete)
    assert {rejection.reason for rejection in program.rejected} <= set(REASONS)
    if text.lstrip().startswith("<think>"):
        text = text.partition("</think>")[2] if "</think>" in text else "one rejection"
    lines = [line.strip(" \t\r\f\v\ufeff") for line in text.split("\n")]
    meant = [line for line in lines if line and line[0] not in "#;" and not line.startswith(("```", "~~~"))]
    assert len(program.calls) + len(program.rejected) >= len(meant)
    printed = print_program(Program(program.calls), dialect)
    assert parse_program(printed, dialect).calls == program.calls
