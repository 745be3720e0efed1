"""Every defect measured on ProX's reference (tables E, N, P, G and D of the reference notes), with our outcome.

Each row: the text, the program, the text that must come out, the reasons of the rejected calls, the fallbacks.
"""

import pytest

from hf_curation.programs import EditResult, Limits, Scope, Stage, execute, parse_program

WORDS = ("alpha", "beta", "gamma", "delta")
BODY = "\n".join(f"{word} one two three four five six" for word in WORDS)


def body(*kept: int) -> str:
    return "\n".join(BODY.split("\n")[number] for number in kept)


def run(text: str, program: str, **kwargs: object) -> EditResult:
    return execute(text, parse_program(program), **kwargs)


LINE_CASES = {
    "E1 unknown argument names": ("remove_lines(foo=0, bar=1)", body(0, 1, 2, 3), ["unknown_argument"]),
    "E1 line_start and line_end": ("remove_lines(line_start=0, line_end=1)", body(2, 3), []),
    "E1 start and end": ("remove_lines(start=0, end=1)", body(2, 3), []),
    "E2 positional": ("remove_lines(0, 1)", body(2, 3), []),
    "E3 bound by name": ("remove_lines(line_end=3, line_start=1)", body(0), []),
    "E4 reversed": ("remove_lines(line_start=3, line_end=1)", body(0, 1, 2, 3), ["reversed_range"]),
    "E5 negative start": ("remove_lines(line_start=-2, line_end=0)", body(0, 1, 2, 3), ["line_out_of_range"]),
    "E6 end past the chunk": ("remove_lines(line_start=2, line_end=99)", body(0, 1), []),
    "E6 start past the chunk": ("remove_lines(line_start=9, line_end=99)", body(0, 1, 2, 3), ["line_out_of_range"]),
    "E7 torn number": ("remove_lines(start=3, end=125", body(0, 1, 2, 3), ["torn_call"]),
    "E8 torn call beside a good one": (
        "remove_lines(line_start=0, line_end=0)\nremove_lines(line_start=1, line_end=3",
        body(1, 2, 3),
        ["torn_call"],
    ),
    "E9 torn string": ('normalize(source_str="one", target_str="tw', body(0, 1, 2, 3), ["torn_call"]),
    "E10 a huge range": ("remove_lines(line_start=1, line_end=2000000)", body(0), []),
    "E10 a 12-digit range": ("remove_lines(line_start=1, line_end=200000000000)", body(0), []),
    "E12 a comment is no argument": ("remove_lines(line_start=0, line_end=0) # not all=True", body(1, 2, 3), []),
    "E13 Arabic-Indic digits": ("remove_lines(line_start=٠, line_end=١)", body(0, 1, 2, 3), ["bad_number"]),
    "E13 underscored digits": ("remove_lines(line_start=0, line_end=1_0)", body(0, 1, 2, 3), ["bad_number"]),
    "E13 a float": ("remove_lines(line_start=0, line_end=1.0)", body(0, 1, 2, 3), ["bad_number"]),
    "E14 a third argument": (
        "remove_lines(line_start=0, line_end=1, reason=2)",
        body(0, 1, 2, 3),
        ["unknown_argument"],
    ),
    "P1 unknown call": ("delete_lines(0, 1)", body(0, 1, 2, 3), ["unknown_call"]),
    "P1 prose": ("The first line is a menu.", body(0, 1, 2, 3), ["prose"]),
    "P2 code fence": ("```python\nremove_lines(line_start=0, line_end=0)\n```", body(1, 2, 3), []),
    "P3 two calls and a space": ("remove_lines(0, 0) remove_lines(2, 2)", body(1, 3), []),
    "P3 two calls and a semicolon": ("remove_lines(0, 0); remove_lines(2, 2)", body(1, 3), []),
    "P4 an indented call": ("remove_lines(0, 0)\n    remove_lines(2, 2)", body(1, 3), []),
}


@pytest.mark.parametrize("case", LINE_CASES)
def test_lines_and_spelling(case: str) -> None:
    program, text, reasons = LINE_CASES[case]
    result = run(BODY, program)
    assert result.text == text
    assert [rejection.reason for rejection in result.rejected] == reasons
    assert result.fallbacks == ()


def test_e6_says_clamped() -> None:
    result = run(BODY, "remove_lines(line_start=2, line_end=99)")
    assert (result.num_applied, result.num_clamped) == (1, 1)


def test_e11_all_true_reaches_no_further_than_its_chunk() -> None:
    chunks = [Scope(0, len(body(0, 1)), 0), Scope(len(body(0, 1)) + 1, len(BODY), 2)]
    programs = [
        parse_program("keep_chunk()", scope=chunks[0]),
        parse_program("remove_lines(all=True)", scope=chunks[1]),
    ]
    assert execute(BODY, programs).text == body(0, 1)


def test_e11_all_true_over_the_whole_page_meets_the_guard() -> None:
    result = run(BODY, "remove_lines(all=True)")
    assert result.text == BODY
    assert result.fallbacks == ("removed_too_much",)
    assert [rejection.reason for rejection in result.rejected] == ["removed_too_much"]


STRING_CASES = {
    "N1 equals sign in a URL": (
        "See http://a.com/q?user=tF_eB now, dear reader",
        'normalize(source_str="http://a.com/q?user=tF_eB", target_str="")',
        "See  now, dear reader",
        [],
    ),
    "N2 equals sign in a source": (
        "next exact text x=1 here",
        'normalize(source_str="x=1", target_str="")',
        "next exact text  here",
        [],
    ),
    "N3 parentheses": ("A dog (Photo: AP) runs", 'normalize(source_str="(Photo: AP)")', "A dog  runs", []),
    "N3 parenthesis inside": ("(c) 2020 foo bar", 'normalize(source_str="(c) 2020 foo", target_str="")', " bar", []),
    "N4 comma, with target": ("x a, b y", 'normalize(source_str="a, b", target_str="c")', "x c y", []),
    "N4 comma, without target": ("x a, b y", 'normalize(source_str="a, b")', "x  y", []),
    "N5 single quotes": ("x a, b y", "normalize(source_str='a, b', target_str='c')", "x c y", []),
    "N6 escaped quotes": (
        'He said "go away" twice',
        r'normalize(source_str="\"go away\" ", target_str="")',
        "He said twice",
        [],
    ),
    "N6 a backslash that is there": (
        r"open C:\new now",
        r'normalize(source_str="C:\new ", target_str="")',
        "open now",
        [],
    ),
    "N6 an escaped line break": (
        "one two\nthree four",
        r'normalize(source_str="two\nthree", target_str="")',
        "one two\nthree four",
        ["newline_in_source"],
    ),
    "N7 more than one match": (
        "cat and catalog",
        'normalize(source_str="cat", target_str="")',
        "cat and catalog",
        ["ambiguous_match"],
    ),
    "N8 a space": ("one two", 'normalize(source_str=" ", target_str="")', "one two", ["source_too_short"]),
    "N8 one letter": ("one two", 'normalize(source_str="w", target_str="")', "one two", ["source_too_short"]),
    "N8 nothing": ("one two", 'normalize(source_str="", target_str="x")', "one two", ["source_too_short"]),
    "N9 arguments by name": ("one two", 'normalize(target_str="X", source_str="one")', "X two", []),
    "N10 absent": ("one two", 'normalize(source_str="three", target_str="")', "one two", ["not_found"]),
    "N11 a swap on the original": (
        "say one then two",
        'normalize(source_str="one", target_str="two")\nnormalize(source_str="two", target_str="one")',
        "say two then one",
        [],
    ),
    "N11 an overlap": (
        "one two three",
        'normalize(source_str="one two", target_str="")\nnormalize(source_str="two three", target_str="")',
        " three",
        ["overlap"],
    ),
    "N13 equals sign in the target": ("one two", 'normalize(source_str="one", target_str="a=b")', "a=b two", []),
}


@pytest.mark.parametrize("case", STRING_CASES)
def test_strings(case: str) -> None:
    text, program, expected, reasons = STRING_CASES[case]
    result = run(text, program)
    assert result.text == expected
    assert [rejection.reason for rejection in result.rejected] == reasons


def test_n7_a_match_in_another_chunk_does_not_count() -> None:
    text = "a cat here\na cat there"
    program = parse_program('normalize(source_str="cat", target_str="dog")', scope=Scope(11, 22, 1))
    assert execute(text, program).text == "a cat here\na dog there"


def test_n12_added_characters_are_capped() -> None:
    program = 'normalize(source_str="alpha one", target_str="alpha one one")'
    result = run(BODY, program, limits=Limits(max_added_chars=12))
    assert (result.text, result.rejected[0].reason) == (BODY, "added_too_much")
    assert run(BODY, program, limits=Limits(max_added_chars=13)).text.startswith("alpha one one two")


def test_n12_deletion_only_mode() -> None:
    program = 'normalize(source_str="alpha", target_str="x")\nnormalize(source_str="beta ", target_str="")'
    result = run(BODY, program, limits=Limits(max_added_chars=0))
    assert result.text == BODY.replace("beta ", "")
    assert [rejection.reason for rejection in result.rejected] == ["added_too_much"]


def test_p5_keep_and_remove_is_a_conflict() -> None:
    for program in ("keep_chunk()\nremove_lines(0, 0)", "remove_lines(0, 0)\nkeep_chunk()"):
        result = run(BODY, program)
        assert (result.text, result.fallbacks) == (BODY, ("conflict",))
        assert [rejection.reason for rejection in result.rejected] == ["conflict"]


def test_p6_a_loop_keeps_the_text() -> None:
    result = run(BODY, "remove_lines(line_start=0, line_end=0)\n" * 100)
    assert (result.text, result.fallbacks) == (BODY, ("loop",))
    assert [rejection.reason for rejection in result.rejected] == ["loop"] * 100


@pytest.mark.parametrize("text", ["", " ", "\n", " \t\r\n\u2003"])
def test_g1_blank_pages_pass_through(text: str) -> None:
    result = run(text, "remove_lines(line_start=0, line_end=0)")
    assert (result.text, result.fallbacks, result.edits) == (text, ("empty",), ())
    assert [rejection.reason for rejection in result.rejected] == ["no_effect"]


def test_g2_a_short_note_stays() -> None:
    note = "Closed on Monday. Back at nine, Tuesday."
    assert run(note, "keep_chunk()") == EditResult(note, (), num_applied=1, effective=(parse_program("keep_chunk()"),))


def test_g3_chinese_is_not_one_word() -> None:
    lines = ["春天来了，院子里的花都开了。" * 10 for _ in range(4)]
    text = "\n".join(lines)
    assert run(text, "keep_chunk()").status == "kept"
    assert run(text, "remove_lines(line_start=3, line_end=3)").text == "\n".join(lines[:3])


def test_g4_bad_calls_do_not_void_the_good_one() -> None:
    result = run(BODY, "remove_lines(x)\nremove_lines(line_start=1, line_end=1)\nremove_lines(1, 2")
    assert result.text == body(0, 2, 3)
    assert [rejection.reason for rejection in result.rejected] == ["bad_number", "torn_call"]


def test_g5_no_error_path_drops_a_page() -> None:
    page = "one two three four five six\nseven eight nine ten eleven twelve"
    result = run(page, "remove_lines(x)\nremove_lines(line_start=1, line_end=1)\nremove_lines(1, 2")
    assert (result.dropped, result.text) == (False, "one two three four five six")


def test_g6_removed_share_counts_non_space_characters() -> None:
    page = "\n".join(["x" * 5, "y" * 95, " " * 500])
    at_the_limit = run(page, "remove_lines(line_start=1, line_end=1)")
    assert at_the_limit.text == "xxxxx\n" + " " * 500
    beyond = run(page.replace("xxxxx", "xxxx "), "remove_lines(line_start=1, line_end=1)")
    assert (beyond.dropped, beyond.status, beyond.fallbacks) == (False, "fallback", ("removed_too_much",))
    accepted = run("\n".join(["x" * 9, "y" * 91]), "remove_lines(1, 1)")
    assert accepted.text == "x" * 9


def test_g7_errors_are_counted_per_chunk() -> None:
    chunks = [Scope(0, len(body(0, 1)), 0), Scope(len(body(0, 1)) + 1, len(BODY), 2)]
    answers = ["remove_lines(x)\nremove_lines(0, 0)", "remove_lines(x)\nremove_lines(y)\nremove_lines(2, 2)"]
    programs = [parse_program(answer, scope=chunk) for answer, chunk in zip(answers, chunks, strict=True)]
    assert execute(BODY, programs).text == body(1, 3)
    strict = execute(BODY, programs, limits=Limits(max_errors=1))
    assert (strict.text, strict.fallbacks) == (body(1, 2, 3), ("too_many_errors",))
    assert [rejection.reason for rejection in strict.rejected] == ["bad_number"] * 3 + ["too_many_errors"]


def test_d1_a_comment_does_not_drop() -> None:
    result = run(BODY, "keep_doc() # do not drop", stage=Stage.DOCUMENT)
    assert (result.status, result.num_applied) == ("kept", 1)


@pytest.mark.parametrize(
    "program", ["", "   \n", "dropping it would be a pity", "drop_doc", "drop_doc()", "drop", "Drop"]
)
def test_d2_only_a_whole_token_drops(program: str) -> None:
    result = run(BODY, program, stage=Stage.DOCUMENT)
    assert result.dropped == (program.startswith("drop") and "dropping" not in program)
    assert result.num_applied == int(result.dropped)
    assert bool(result.rejected) == (not result.dropped and bool(program.strip()))


def test_the_chunk_stage_may_not_drop_a_page() -> None:
    result = run(BODY, "drop_doc()\nremove_lines(0, 0)")
    assert result.text == body(1, 2, 3)
    assert [rejection.reason for rejection in result.rejected] == ["wrong_stage"]


def test_the_document_stage_may_not_edit() -> None:
    result = run(BODY, "remove_lines(0, 0)", stage="document")
    assert (result.text, result.status) == (BODY, "kept")
    assert [rejection.reason for rejection in result.rejected] == ["wrong_stage"]


def test_drop_and_keep_is_a_conflict() -> None:
    result = run(BODY, "drop_doc()\nkeep_doc()", stage="document")
    assert (result.text, result.dropped, result.fallbacks) == (BODY, False, ("conflict",))
    assert len(result.rejected) == 2


def test_an_unknown_stage_is_an_error() -> None:
    with pytest.raises(ValueError, match="page"):
        run(BODY, "keep_chunk()", stage="page")
