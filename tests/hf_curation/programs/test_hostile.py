"""Hostile programs: parsed and executed in time that grows with their length, and never to anyone's harm."""

import time

import pytest

from hf_curation.programs import NO_LIMITS, Dialect, execute, parse_program

PAGE = "\n".join(f"line {number} says one thing, (twice)" for number in range(60))
MEGABYTE = 1 << 20

HOSTILE = {
    "nested calls": "remove_lines(" * 1000 + ")" * 1000,
    "deep parentheses": "(" * 10_000,
    "an unterminated string": 'normalize(source_str="' + "a" * 200_000,
    "quotes only": 'normalize(source_str="' + '"' * 200_000,
    "quotes and blanks": 'normalize(source_str="' + '" ' * 100_000,
    "borders of arguments": 'normalize(source_str="' + '", target_str="' * 10_000 + '")',
    "closings": 'normalize(source_str="a' + '") ' * 50_000,
    "escapes": "normalize(source_str='" + "\\'" * 100_000,
    "backslashes": "normalize(source_str='" + "\\" * 200_001 + "')",
    "calls without an end": 'normalize(source_str="a' * 10_000,
    "calls on one line": "remove_lines(1, 2);" * 10_000,
    "unknown calls on one line": "f(x);" * 40_000,
    "open unknown calls": "f(x" * 60_000,
    "digits": f"remove_lines({'9' * 200_000}, {'9' * 200_000})",
    "a name without an end": "a" * 200_000,
    "a name and blanks": "a" + " " * 200_000,
    "blanks between arguments": "remove_lines(" + " " * 200_000 + "1, 2",
    "commas": "remove_lines(" + "," * 200_000 + ")",
    "equals signs": "remove_lines(" + "a=" * 100_000 + ")",
    "keyword arguments": "remove_lines(" + "line_start=1, " * 10_000 + ")",
    "comments": "#" * 200_000,
    "fences": "```\n" * 50_000,
    "thoughts": "<think>" * 30_000,
    "blank lines": "\n" * 250_000,
    "equal calls": "remove_lines(1, 2)\n" * 10_000,
    "equal strings": 'normalize(source_str="line 7 ", target_str="")\n' * 5_000,
    "different strings": "".join(f'normalize(source_str="absent {n}", target_str="")\n' for n in range(5_000)),
    "an expansion bomb": 'normalize(source_str="line 7 ", target_str="' + "bomb" * 50_000 + '")',
    "a source longer than the text": 'normalize(source_str="' + "line " * 50_000 + '", target_str="")',
    "code": "__import__('os').system('rm -r /')\nlambda: remove_lines(0, 9)\nf'{keep_chunk()}'\na.remove_lines(0, 9)",
    "f-strings": 'normalize(source_str=f"{open(\'/etc/passwd\').read()}", target_str="")',
    "controls": "".join(map(chr, range(0xD800 + 100))),
}


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_end_quickly_and_keep_the_page(name: str, dialect: Dialect) -> None:
    start = time.thread_time()
    program = parse_program(HOSTILE[name], dialect, limits=NO_LIMITS)
    result = execute(PAGE, program)
    assert time.thread_time() - start < 3
    assert len(result.text) >= len(PAGE) - 2 * 40
    assert result.num_applied + len(result.rejected) == len(program.calls) + len(program.rejected)


@pytest.mark.parametrize(
    "unit", ["remove_lines(1, 2)\n", 'normalize(source_str="a "b" c", target_str="")\n', "prose; "]
)
def test_a_megabyte_of_program_is_capped_and_counted(unit: str) -> None:
    program = parse_program(unit * (MEGABYTE // len(unit)))
    assert len(program.calls) <= 10_000
    assert program.rejected[-1].reason == "program_too_long"


def test_a_target_that_recreates_its_source_is_not_executed_again() -> None:
    result = execute("one two three", parse_program('normalize(source_str="two", target_str="two two")'))
    assert result.text == "one two two three"


def test_a_source_found_a_hundred_thousand_times_is_one_rejection() -> None:
    text = "spam " * 100_000
    result = execute(text, parse_program('normalize(source_str="spam ", target_str="")'))
    assert (result.text, [rejection.reason for rejection in result.rejected]) == (text, ["ambiguous_match"])


TWO_CALLS = 'remove_lines(line_start=1, line_end=12)\nnormalize(source_str="a", target_str="b")'


@pytest.mark.parametrize("cut", range(len(TWO_CALLS)))
def test_a_call_cut_anywhere_is_never_half_executed(cut: int) -> None:
    text = TWO_CALLS[:cut]
    torn = parse_program(text, complete=False)
    assert torn.calls == parse_program(TWO_CALLS).calls[: text.count(")")]
    assert len(torn.calls) + len(torn.rejected) == sum(bool(line) for line in text.split("\n"))
    assert all(rejection.reason == "torn_call" for rejection in torn.rejected)
