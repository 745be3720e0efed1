"""Spellings that are accepted, and how everything else is rejected; nothing is lost."""

import pytest

from hf_curation.programs import (
    Dialect,
    DropDocument,
    KeepAll,
    Limits,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    Scope,
    parse_program,
)

ACCEPTED = {
    "keep_chunk()": [KeepAll()],
    "untouch_doc()": [KeepAll()],
    "keep_doc()": [KeepAll(document=True)],
    "keep": [KeepAll(document=True)],
    "drop_doc( )": [DropDocument()],
    "  drop_doc\n": [DropDocument()],
    "remove_lines (3 , 4)": [RemoveLines(3, 4)],
    "remove_lines(3, 4,)": [RemoveLines(3, 4)],
    "remove_lines(3, line_end=4)": [RemoveLines(3, 4)],
    "remove_lines(line_start = 03, line_end = 4) # menu": [RemoveLines(3, 4)],
    "remove_lines(all=True)": [RemoveAll()],
    "remove_lines( all = True )": [RemoveAll()],
    "remove_lines(3, 4);": [RemoveLines(3, 4)],
    "remove_lines(3, 4)remove_lines(6, 7)": [RemoveLines(3, 4), RemoveLines(6, 7)],
    "remove_lines(3, 4)\r\nremove_lines(6, 7)\r\n": [RemoveLines(3, 4), RemoveLines(6, 7)],
    "\ufeffremove_lines(3, 4)": [RemoveLines(3, 4)],
    "# a comment\n\nkeep_chunk()": [KeepAll()],
    "~~~\nkeep_chunk()\n~~~": [KeepAll()],
    "<think>Lines 3 to 4 are a menu.</think>remove_lines(3, 4)": [RemoveLines(3, 4)],
    'normalize("a b", "c")': [ReplaceString("a b", "c")],
    "normalize('a b', \"c\")": [ReplaceString("a b", "c")],
    'normalize(source_str="a b" , target_str="c" , )': [ReplaceString("a b", "c")],
    'normalize(source_str="a "b" c", target_str="")': [ReplaceString('a "b" c')],
    'normalize(source_str="say "b"", target_str="")': [ReplaceString('say "b"')],
    'normalize(source_str="f("x"), g("y")", target_str="")': [ReplaceString('f("x"), g("y")')],
    'normalize(source_str="a "b", c")': [ReplaceString('a "b", c')],
    'normalize("say "b", c", "d")': [ReplaceString('say "b", c', "d")],
    'normalize(source_str="a", target_str="b") keep_chunk()': [ReplaceString("a", "b"), KeepAll()],
    'normalize(source_str="# no comment", target_str="") # one': [ReplaceString("# no comment")],
    'normalize(source_str="remove_lines(1, 2)", target_str="")': [ReplaceString("remove_lines(1, 2)")],
    'normalize(source_str="C:\\dir\\", target_str="")': [ReplaceString("C:\\dir\\")],
    'normalize(source_str="\u2028\x0b\x85", target_str="")': [ReplaceString("\u2028\x0b\x85")],
}


@pytest.mark.parametrize("text", ACCEPTED)
def test_accepted_spellings(text: str) -> None:
    program = parse_program(text)
    assert (list(program.calls), program.rejected) == (ACCEPTED[text], ())


REJECTED = {
    "remove_lines(3)": "missing_argument",
    "remove_lines()": "missing_argument",
    "remove_lines(,)": "bad_number",
    "remove_lines(3, 4, 5)": "unknown_argument",
    "remove_lines(3, start=4)": "unknown_argument",
    "remove_lines(all=False)": "unknown_argument",
    "remove_lines(all=True, start=3)": "unknown_argument",
    'remove_lines("3", "4")': "bad_number",
    "remove_lines(0x3, 4)": "bad_number",
    "remove_lines(+3, 4)": "bad_number",
    "remove_lines(３, ４)": "bad_number",
    "remove_lines(len(x), 4)": "bad_number",
    "remove_lines(3, 4": "torn_call",
    "remove_lines": "prose",
    "remove_lines(3, 4) is best": "trailing_text",
    "remove_lines(3, 4) because(bad)": "trailing_text",
    "keep_chunk(really)": "unknown_argument",
    "normalize()": "missing_argument",
    "normalize(abc)": "bad_string",
    'normalize(f"abc")': "bad_string",
    'normalize(source_str="abc", 3)': "bad_string",
    'normalize(source_str="abc", regex="c")': "unknown_argument",
    'normalize(source_str="abc': "torn_call",
    'normalize(source_str="abc"': "torn_call",
    'normalize(source_str="a "b", target_str="c", target_str="d")': "ambiguous_quotes",
    'normalize(source_str="a "b", c", target_str="") # removed the "foo")': "ambiguous_quotes",
    "Remove_lines(3, 4)": "unknown_call",
    "rеmove_lines(3, 4)": "unknown_call",  # a Cyrillic letter
    '__import__("os").system("rm")': "unknown_call",
    "lambda x: remove_lines(3, 4)": "prose",
    "- remove_lines(3, 4)": "prose",
    "keep_chunk(keep_chunk())": "bad_number",
}


@pytest.mark.parametrize("text", REJECTED)
def test_rejected_spellings(text: str) -> None:
    program = parse_program(text)
    assert (program.calls, [rejection.reason for rejection in program.rejected]) == ((), [REJECTED[text]])
    assert program.rejected[0].call == text


def test_a_line_keeps_what_can_be_read() -> None:
    program = parse_program("foo(1); remove_lines(x, 2) remove_lines(3, 4); say()")
    assert program.calls == (RemoveLines(3, 4),)
    assert [(rejection.call, rejection.reason) for rejection in program.rejected] == [
        ("foo(1)", "unknown_call"),
        ("remove_lines(x, 2)", "bad_number"),
        ("say()", "unknown_call"),
    ]


def test_one_fence_is_packaging_and_more_is_prose() -> None:
    program = parse_program("```\nkeep_chunk()\n```\n```\nremove_lines(1, 2)\n```")
    assert program.calls == (KeepAll(), RemoveLines(1, 2))
    assert [rejection.reason for rejection in program.rejected] == ["prose", "prose"]


def test_an_unclosed_thought_is_one_rejection() -> None:
    assert [r.reason for r in parse_program("<think>\nremove_lines(1, 2)").rejected] == ["prose"]
    assert [r.reason for r in parse_program("<think>\nremove", complete=False).rejected] == ["torn_call"]


@pytest.mark.parametrize(
    ("text", "num_calls", "reasons"),
    [
        ("remove_lines(1, 2)\nremove_lines(3, 4)", 2, []),  # closed by its parenthesis
        ("remove_lines(1, 2)\nremove_lines(3, 4)\n", 2, []),
        ("remove_lines(1, 2)\nremove_lines(3, 4", 1, ["torn_call"]),
        ("remove_lines(1, 2)\nremove_li", 1, ["torn_call"]),
        ("remove_lines(1, 2); remove_li", 1, ["torn_call"]),
        ("drop", 0, ["torn_call"]),
        ("drop\n", 1, []),
        ('normalize(source_str="one", target_str="")', 1, []),
        ("normalize(source_str='it\\'s', target_str=\"\")", 1, []),
        ('normalize(source_str="f("x")', 0, ["torn_call"]),
        ('normalize(source_str="f("x")\n', 1, []),
        ("remove_lines(1, 2) # a comment th", 1, []),
    ],
)
def test_output_cut_at_the_token_limit(text: str, num_calls: int, reasons: list[str]) -> None:
    program = parse_program(text, complete=False)
    assert len(program.calls) == num_calls
    assert [rejection.reason for rejection in program.rejected] == reasons


def test_a_scope_is_passed_on() -> None:
    assert parse_program("keep_chunk()", scope=Scope(3, 9, 1)).scope == Scope(3, 9, 1)


def test_a_program_that_is_too_long_is_read_up_to_the_cap() -> None:
    text = "remove_lines(1, 2)\n" * 10
    by_calls = parse_program(text, limits=Limits(max_calls=4))
    assert (len(by_calls.calls), [r.reason for r in by_calls.rejected]) == (4, ["program_too_long"])
    by_chars = parse_program(text, limits=Limits(max_program_chars=60))
    assert (len(by_chars.calls), [r.reason for r in by_chars.rejected]) == (3, ["program_too_long"])
    one_line = parse_program(text.replace("\n", " "), limits=Limits(max_calls=4))
    assert (len(one_line.calls), [r.reason for r in one_line.rejected]) == (4, ["program_too_long"])
    assert parse_program(text, limits=Limits(max_calls=10)).rejected == ()
    assert parse_program(text, limits=Limits(max_program_chars=len(text))).rejected == ()


def test_rejected_calls_are_shown_shortened() -> None:
    (rejection,) = parse_program("so " * 100).rejected
    assert len(rejection.call) == 80
    assert rejection.call.endswith("...")


@pytest.mark.parametrize("dialect", Dialect)
def test_numbers_of_any_length_cost_nothing_and_become_the_largest(dialect: Dialect) -> None:
    program = parse_program(f"remove_lines(1, {'9' * 100_000})", dialect)
    assert program.calls[0].end in (10**9 - 1, 10**9 - 2)
    assert [r.reason for r in parse_program(f"remove_lines(-{'9' * 10_000}, 1)", dialect).rejected] == [
        "line_out_of_range"
    ]


def test_a_line_seen_before_means_the_same_in_its_dialect() -> None:
    for _ in range(2):
        for text in ("remove_lines(1, 2)", " remove_lines( 1,2 ) # menu"):
            assert parse_program(text).calls == (RemoveLines(1, 2),)
            assert parse_program(text, Dialect.ULTRAX).calls == (RemoveLines(0, 1),)
            assert parse_program(text, Dialect.REFINEX).calls == (RemoveLines(0, 1),)
