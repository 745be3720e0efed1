"""UltraX and RefineX programs: the defects measured on UltraX's executor, and what the two dialects mean here."""

import pytest

from hf_curation.programs import AddLine, Dialect, EditResult, execute, parse_program

PAGE = "first\nsecond\nthird\nfourth"


def run(text: str, program: str, dialect: Dialect = Dialect.ULTRAX) -> EditResult:
    return execute(text, parse_program(program, dialect))


def reasons(result: EditResult) -> list[str]:
    return [rejection.reason for rejection in result.rejected]


def test_a_form_feed_does_not_shift_lines() -> None:
    assert run("a\x0cb\nSubscribe now!\nkeep me", "remove_lines(2, 2)").text == "a\x0cb\nkeep me"


def test_add_line_with_rank_zero_inserts() -> None:
    assert run(PAGE, "add_line(3, 0, 'X')").text == "first\nsecond\nthird\nX\nfourth"


def test_trailing_text_rejects_the_call() -> None:
    result = run(PAGE, "remove_lines(1, 1) because bad")
    assert (result.text, reasons(result)) == (PAGE, ["trailing_text"])


@pytest.mark.parametrize("program", ["remove_all()\nkeep_all()", "keep_all()\nremove_lines(1, 1)"])
def test_conflicts_leave_the_text_unchanged(program: str) -> None:
    text = "first\n\n\nsecond"
    result = run(text, program)
    assert (result.text, result.fallbacks, reasons(result)) == (text, ("conflict",), ["conflict"])


def test_torn_and_absent_are_not_keep_all() -> None:
    result = run(PAGE, "replace_str(2, 'no such', 'x')\nremove_lines(2, 2")
    assert (result.num_applied, sorted(reasons(result))) == (0, ["not_found", "torn_call"])


def test_blank_lines_away_from_edits_stay() -> None:
    assert run("first\n\n\nsecond\n\nthird", "remove_lines(6, 6)").text == "first\n\n\nsecond\n"


def test_a_range_without_end_meets_the_guard() -> None:
    result = run(PAGE, "remove_lines(1, 100000000000)")
    assert (result.text, result.fallbacks) == (PAGE, ("removed_too_much",))


def test_lines_count_from_one() -> None:
    assert run(PAGE, "remove_lines(1, 1)").text == "second\nthird\nfourth"
    assert reasons(run(PAGE, "remove_lines(0, 1)")) == ["line_out_of_range"]
    assert run(PAGE, "remove_lines(1, 1)", Dialect.REFINEX).text == "second\nthird\nfourth"


def test_strings_are_scoped_by_their_line() -> None:
    text = "a cat and a dog\na cat"
    assert run(text, "replace_str(2, 'cat', 'cow')").text == "a cat and a dog\na cow"
    assert reasons(run(text, "replace_str(1, 'a ', '')")) == ["ambiguous_match"]
    assert reasons(run(text, "replace_str(2, 'dog', '')")) == ["not_found"]
    assert reasons(run(text, "replace_str(9, 'dog', '')")) == ["line_out_of_range"]
    assert run(text, "remove_str(1, ' and a dog')", Dialect.REFINEX).text == "a cat\na cat"


def test_python_literals_are_decoded() -> None:
    program = parse_program(r"""replace_str(1, 'it\'s "so"', "a \"b\" \\ c\t")""", Dialect.ULTRAX)
    assert (program.calls[0].source, program.calls[0].target) == ('it\'s "so"', 'a "b" \\ c\t')


def test_a_quote_that_was_not_escaped_is_read_if_only_one_reading_is_possible() -> None:
    assert run("so it's fine", "replace_str(1, 'it's', 'that is')").text == "so that is fine"
    assert reasons(run("so it's fine", "replace_str(1, 'it's', 'a', 'b')")) == ["ambiguous_quotes"]


def test_added_lines_keep_their_rank_and_take_the_place_of_removed_ones() -> None:
    program = "add_line(2, 2, 'B')\nadd_line(2, 1, 'A')\nadd_line(0, 1, 'top')\nremove_lines(2, 3)"
    result = run(PAGE, program)
    assert result.text == "top\nfirst\nA\nB\nfourth"
    assert result.num_applied == 4


def test_added_lines_at_the_end_and_instead_of_everything() -> None:
    assert run(PAGE, "add_line(4, 1, 'end')").text == f"{PAGE}\nend"
    assert run(PAGE, "add_line(4, 1, 'end')\nremove_lines(3, 4)").text == "first\nsecond\nend"
    assert reasons(run(PAGE, "add_line(5, 1, 'end')")) == ["line_out_of_range"]
    assert reasons(run(PAGE, r"add_line(4, 1, 'two\nlines')")) == ["newline_in_source"]


def test_the_dialects_do_not_mix() -> None:
    assert reasons(run(PAGE, "keep_chunk()")) == ["unknown_call"]
    assert reasons(run(PAGE, "replace_str(1, 'first', 'x')", Dialect.REFINEX)) == ["unknown_call"]
    assert reasons(run(PAGE, "drop", Dialect.ULTRAX)) == ["prose"]


def test_an_empty_think_block_comes_before_the_program() -> None:
    assert run(PAGE, "<think>\n\n</think>\n\nremove_lines(1, 1)").text == "second\nthird\nfourth"
    thought = parse_program("<think>\nremove_lines(1, 1)", Dialect.ULTRAX, complete=False)
    assert (thought.calls, [rejection.reason for rejection in thought.rejected]) == ((), ["torn_call"])


def test_add_line_in_the_tree_counts_from_zero() -> None:
    assert parse_program("add_line(0, 1, 'x')", Dialect.ULTRAX).calls == (AddLine(-1, 1, "x"),)
