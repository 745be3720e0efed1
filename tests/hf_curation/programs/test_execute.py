"""What executing means: spans, scopes, pieces of lines, carriage returns, guards."""

import pytest

from hf_curation.programs import (
    NO_LIMITS,
    AddLine,
    Dialect,
    Edit,
    KeepAll,
    Limits,
    Program,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    Scope,
    execute,
    parse_program,
    replay,
)

PAGE = "zero\none one\ntwo\nthree\nfour"


def scoped(call: object, start: int, end: int, first_line: int) -> Program:
    return Program((call,), scope=Scope(start, end, first_line))  # type: ignore[arg-type]


def test_whole_lines_go_with_their_break() -> None:
    result = execute(PAGE, parse_program("remove_lines(1, 2)\nremove_lines(4, 4)"))
    assert result.text == "zero\nthree"
    assert result.edits == (Edit(5, 17), Edit(22, 27))
    assert result.status == "edited"


def test_neighbouring_and_overlapping_ranges_become_one_edit() -> None:
    result = execute(PAGE, parse_program("remove_lines(2, 3)\nremove_lines(1, 2)\nremove_lines(0, 0)"))
    assert (result.text, result.edits, result.num_applied) == ("four", (Edit(0, 23),), 3)


def test_what_was_executed_is_kept_in_order_and_clamped() -> None:
    program = parse_program(
        "remove_lines(3, 9)\nsay()\n" + r'normalize(source_str="z\"e", target_str="")' + '\nnormalize("zero", "0")'
    )
    result = execute(PAGE, program)
    assert result.effective == (Program((RemoveLines(3, 4), ReplaceString("zero", "0"))),)
    assert execute(PAGE, result.effective).text == result.text == "0\none one\ntwo"
    assert [rejection.reason for rejection in result.rejected] == ["unknown_call", "not_found"]


def test_the_decoded_spelling_is_what_is_kept() -> None:
    result = execute('say "so" now', parse_program(r'normalize(source_str="\"so\" ", target_str="\"")'))
    assert result.text == 'say "now'
    assert result.effective == (Program((ReplaceString('"so" ', '"'),)),)


def test_removal_wins_over_a_string_whatever_the_order() -> None:
    for program in ('normalize("two", "2")\nremove_lines(2, 2)', 'remove_lines(2, 2)\nnormalize("two", "2")'):
        result = execute(PAGE, parse_program(program))
        assert result.text == "zero\none one\nthree\nfour"
        assert [rejection.reason for rejection in result.rejected] == ["overlap"]


def test_a_match_counts_even_where_it_overlaps_itself() -> None:
    result = execute("a banana, please", Program((ReplaceString("ana"),)))
    assert [rejection.reason for rejection in result.rejected] == ["ambiguous_match"]


def test_no_effect_is_no_edit() -> None:
    result = execute(PAGE, Program((ReplaceString("two", "two"),)))
    assert (result.edits, result.rejected[0].reason) == ((), "no_effect")


def test_calls_stay_inside_their_scope() -> None:
    scope = (5, 16, 1)  # "one one\ntwo"
    assert execute(PAGE, scoped(RemoveAll(), *scope)).text == "zero\nthree\nfour"
    assert execute(PAGE, scoped(RemoveLines(2, 9), *scope)).text == "zero\none one\nthree\nfour"
    for lines in ((0, 1), (3, 4)):
        result = execute(PAGE, scoped(RemoveLines(*lines), *scope))
        assert [rejection.reason for rejection in result.rejected] == ["line_out_of_range"]
    assert execute(PAGE, scoped(ReplaceString("zero", "x"), *scope)).rejected[0].reason == "not_found"
    assert execute(PAGE, scoped(ReplaceString("three", "x", line=3), *scope)).rejected[0].reason == "line_out_of_range"
    assert execute(PAGE, scoped(AddLine(0, 1, "above"), *scope)).text == PAGE.replace("zero", "zero\nabove")
    assert execute(PAGE, scoped(AddLine(3, 1, "x"), *scope)).rejected[0].reason == "line_out_of_range"


def test_a_scope_of_another_text_is_an_error() -> None:
    for scope in ((5, 16, 0), (0, 99, 0), (9, 3, 1), (5, 16, 2)):
        with pytest.raises(ValueError, match="does not fit a text of 27 characters and 5 lines"):
            execute(PAGE, scoped(RemoveAll(), *scope))


def test_pieces_of_a_long_line() -> None:
    text = "head\n0123456789\ntail"
    left, right = Scope(5, 10, 1), Scope(10, 15, 1)
    assert execute(text, Program((RemoveLines(1, 1),), scope=left)).text == "head\n56789\ntail"
    assert execute(text, Program((RemoveAll(),), scope=right)).text == "head\n01234\ntail"
    both = [Program((RemoveLines(1, 1),), scope=left), Program((RemoveLines(1, 1),), scope=right)]
    assert execute(text, both).text == "head\ntail"
    with_string = [both[0], Program((ReplaceString("78", "--"),), scope=right)]
    assert execute(text, with_string).text == "head\n56--9\ntail"
    inside = [both[0], Program((ReplaceString("34", "--"),))]
    assert execute(text, inside).rejected[0].reason == "overlap"
    assert execute(text, Program((AddLine(1, 1, "x"),), scope=left)).rejected[0].reason == "line_out_of_range"


def test_a_scope_may_begin_and_end_inside_lines() -> None:
    text = "0123456789\nmiddle\n0123456789"
    program = Program((RemoveLines(0, 2),), scope=Scope(7, 21, 0))
    assert execute(text, program).text == "0123456\n3456789"


def test_an_empty_line_can_be_removed_alone() -> None:
    assert execute("a\n\nb", scoped(RemoveAll(), 2, 2, 1)).text == "a\nb"
    assert execute("a\n", Program((RemoveLines(1, 1),))).text == "a"


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_carriage_returns_stay_where_nothing_is_edited(newline: str) -> None:
    text = newline.join(["zero", "one one", "two", "three", "four"])
    result = execute(text, parse_program('remove_lines(1, 1)\nnormalize("three", "3")\nremove_lines(4, 4)'))
    assert result.text == newline.join(["zero", "two", "3"])
    assert replay(text, result.edits) == result.text


def test_mixed_newlines_and_offsets_after_them() -> None:
    text = "a\r\nb\rc\n\r\nlast words"
    result = execute(text, parse_program('normalize("words", "word")\nremove_lines(1, 1)'))
    assert result.text == "a\r\nc\n\r\nlast word"
    scope = Scope(7, 17, 4)  # the last line, in the normalised text
    assert execute(text, Program((ReplaceString("last "),), scope=scope)).text == "a\r\nb\rc\n\r\nwords"


def test_strings_across_lines_are_rejected() -> None:
    for call in (ReplaceString("zero\none"), ReplaceString("zero", "a\nb"), ReplaceString("zero\r")):
        assert execute(PAGE, Program((call,))).rejected[0].reason == "newline_in_source"


def test_the_guard_looks_at_the_whole_page() -> None:
    text = "\n".join(f"line {number} of a page" for number in range(40))
    half = text.index("\nline 20")
    programs = [
        Program((RemoveAll(),), scope=Scope(0, half, 0)),
        Program((KeepAll(),), scope=Scope(half + 1, len(text), 20)),
    ]
    assert execute(text, programs).text == text[half + 1 :]
    everything = [programs[0], Program((RemoveAll(),), scope=programs[1].scope)]
    result = execute(text, everything)
    assert (result.text, result.fallbacks, result.num_applied) == (text, ("removed_too_much",), 0)
    assert execute(text, everything, limits=NO_LIMITS).text == ""
    assert execute(text, everything, limits=Limits(max_removed_fraction=1.0)).status == "edited"


def test_ranges_that_clamping_makes_equal_are_kept_once() -> None:
    program = Program(tuple(RemoveLines(4, end) for end in range(5, 10)))
    result = execute(PAGE, program)
    assert (result.num_applied, result.num_clamped, result.effective) == (5, 5, (Program((RemoveLines(4, 4),)),))
    assert execute(PAGE, result.effective).text == result.text == PAGE.removesuffix("\nfour")


def test_a_fallback_of_one_chunk_leaves_the_others_alone() -> None:
    programs = [
        Program((RemoveLines(0, 0),) * 4, scope=Scope(0, 12, 0)),
        Program((RemoveLines(3, 3),) * 3, scope=Scope(17, 27, 3)),
    ]
    result = execute(PAGE, programs)
    assert (result.text, result.fallbacks) == ("zero\none one\ntwo\nfour", ("loop",))
    assert result.num_applied == 3
    assert result.effective == (programs[1],)


def test_searching_is_bounded() -> None:
    program = Program(tuple(ReplaceString(word, "x") for word in ("zero", "two", "three")))
    result = execute(PAGE, program, limits=Limits(max_search_chars=2 * len(PAGE)))
    assert result.text == "x\none one\nx\nthree\nfour"
    assert [rejection.reason for rejection in result.rejected] == ["program_too_long"]


def test_the_parsers_rejections_come_first() -> None:
    programs = [parse_program("remove_lines(9, 9)\nsay()"), parse_program("remove_lines(x)")]
    reasons = [rejection.reason for rejection in execute(PAGE, programs).rejected]
    assert reasons == ["unknown_call", "bad_number", "line_out_of_range"]


def test_no_programs_change_nothing() -> None:
    assert execute(PAGE, []).text == PAGE
    assert execute(PAGE, Program(())).status == "kept"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_removed_fraction", 1.5),
        ("max_removed_fraction", -0.1),
        ("max_added_chars", -1),
        ("max_identical_calls", 0),
        ("max_errors", -1),
        ("max_calls", 0),
        ("max_program_chars", -1),
        ("max_search_chars", -1),
    ],
)
def test_impossible_limits_are_errors(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{field} must be .*, got {value}"):
        Limits(**{field: value})


def test_a_limit_of_zero_keeps_everything() -> None:
    limits = Limits(max_removed_fraction=0)
    assert execute(PAGE, parse_program("remove_lines(1, 1)"), limits=limits).fallbacks == ("removed_too_much",)
    assert execute("a\n\nb", parse_program("remove_lines(1, 1)"), limits=limits).text == "a\nb"


def test_dialects_differ_in_spelling_only() -> None:
    spelled = {
        Dialect.PROX: "remove_lines(line_start=1, line_end=2)",
        Dialect.REFINEX: "remove_lines(2, 3)",
        Dialect.ULTRAX: "remove_lines(2, 3)",
    }
    results = {execute(PAGE, parse_program(text, dialect)) for dialect, text in spelled.items()}
    assert len(results) == 1
