"""What is printed can be read: canonical spelling and the custody form."""

import pytest

from hf_curation.programs import (
    AddLine,
    Call,
    Dialect,
    DropDocument,
    KeepAll,
    Program,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    Scope,
    parse_program,
    parse_programs,
    print_program,
    print_programs,
)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (ReplaceString("a b", "c"), 'normalize(source_str="a b", target_str="c")'),
        (ReplaceString('say "b" now'), 'normalize(source_str="say "b" now", target_str="")'),
        (ReplaceString('say "b"'), 'normalize(source_str=\'say "b"\', target_str="")'),
        (ReplaceString("it's", 'a", b'), "normalize(source_str=\"it's\", target_str='a\", b')"),
        (ReplaceString("C:\\dir", "a\nb"), "normalize(source_str=\"C:\\dir\", target_str='a\\nb')"),
        (RemoveLines(3, 4), "remove_lines(line_start=3, line_end=4)"),
        (RemoveAll(), "remove_lines(all=True)"),
        (KeepAll(), "keep_chunk()"),
        (KeepAll(document=True), "keep_doc()"),
        (DropDocument(), "drop_doc()"),
    ],
)
def test_prox_spelling(call: Call, text: str) -> None:
    assert print_program(Program((call,)), Dialect.PROX) == text
    assert parse_program(text).calls == (call,)


def test_other_dialects_count_from_one() -> None:
    assert print_program(Program((RemoveLines(3, 4),)), Dialect.REFINEX) == "remove_lines(4, 5)"
    assert print_program(Program((ReplaceString("it's", "", 0),)), Dialect.REFINEX) == r"remove_str(1, 'it\'s')"
    program = Program((ReplaceString("a\\b", "c", 0), AddLine(-1, 1, "top"), RemoveAll()))
    assert (
        print_program(program, Dialect.ULTRAX) == "replace_str(1, 'a\\\\b', 'c')\nadd_line(0, 1, 'top')\nremove_all()"
    )


@pytest.mark.parametrize(
    ("call", "dialect"),
    [
        (ReplaceString("a", line=3), Dialect.PROX),
        (AddLine(1, 1, "x"), Dialect.PROX),
        (ReplaceString("a"), Dialect.ULTRAX),
        (ReplaceString("a", "b", 3), Dialect.REFINEX),
        (RemoveAll(), Dialect.REFINEX),
        (DropDocument(), Dialect.ULTRAX),
        (KeepAll(document=True), Dialect.REFINEX),
        (RemoveLines(-1, 3), Dialect.PROX),
        (RemoveLines(0, 10**9), Dialect.PROX),
        (AddLine(0, 1000, "x"), Dialect.ULTRAX),
    ],
)
def test_what_a_dialect_cannot_say_is_an_error(call: Call, dialect: Dialect) -> None:
    with pytest.raises(ValueError, match=f"the {dialect} dialect cannot express"):
        print_program(Program((call,)), dialect)


def test_a_first_prox_program_over_the_whole_page_needs_no_header() -> None:
    programs = [Program((RemoveLines(3, 4),)), Program((KeepAll(),))]
    text = "remove_lines(line_start=3, line_end=4)\n# prox\nkeep_chunk()"
    assert print_programs(programs, Dialect.PROX) == text
    assert parse_programs(text) == programs


def test_scopes_and_dialects_survive_custody() -> None:
    programs = [Program((RemoveLines(3, 4),), scope=Scope(0, 5231, 0)), Program((), scope=Scope(5232, 6000, 40))]
    text = "# ultrax chunk 0:5231 line 0\nremove_lines(4, 5)\n# ultrax chunk 5232:6000 line 40"
    assert print_programs(programs, Dialect.ULTRAX) == text
    assert parse_programs(text) == programs


@pytest.mark.parametrize("dialect", Dialect)
def test_empty_custody(dialect: Dialect) -> None:
    assert print_programs([], dialect) == ""
    assert parse_programs("") == []
    assert parse_programs(print_programs([Program(())] * 2, dialect)) == [Program(())] * 2


def test_a_string_cannot_forge_a_header() -> None:
    programs = [Program((ReplaceString("a\n# prox chunk 0:1 line 0\nb", "x"),))]
    assert parse_programs(print_programs(programs, Dialect.PROX)) == programs


def test_custody_has_no_cap() -> None:
    programs = [Program(tuple(RemoveLines(2 * n, 2 * n) for n in range(20_000)))]
    assert parse_programs(print_programs(programs, Dialect.PROX)) == programs


def test_numbers_of_a_forged_header_do_no_harm() -> None:
    digits = "9" * 5000
    assert parse_programs(f"# prox chunk 0:{digits} line 0\nkeep_chunk()") == [Program((KeepAll(),))]
