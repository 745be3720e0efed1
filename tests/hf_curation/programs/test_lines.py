"""Poison lines: what is a line for the prompt is a line for the executor, whatever the page holds."""

import time

import pytest

from hf_curation.programs import (
    NO_LIMITS,
    Program,
    RemoveLines,
    ReplaceString,
    execute,
    normalize_newlines,
    replay,
    split_lines,
)

SEPARATORS_OF_OTHERS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@pytest.mark.parametrize("mark", [*SEPARATORS_OF_OTHERS, "\x00", "\ufeff", "\u200b", "\u202e", "\ud800"])
def test_only_newlines_part_lines(mark: str) -> None:
    text = f"menu{mark}login\nfirst{mark}sentence\n{mark}\nlast"
    assert split_lines(text) == [f"menu{mark}login", f"first{mark}sentence", mark, "last"]
    result = execute(text, Program((RemoveLines(0, 0), RemoveLines(2, 2))))
    assert result.text == f"first{mark}sentence\nlast"
    assert replay(text, result.edits) == result.text


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\r\nb", ["a", "b"]),
        ("a\rb", ["a", "b"]),
        ("a\n\rb", ["a", "", "b"]),
        ("a\r\r\nb", ["a", "", "b"]),
        ("\r\n", ["", ""]),
        ("", [""]),
        ("a\n", ["a", ""]),
    ],
)
def test_carriage_returns_become_newlines_once(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines
    assert normalize_newlines(text) == "\n".join(lines)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_million_lines(newline: str) -> None:
    text = newline.join(["menu"] * 500_000 + ["words of the page"] + ["foot"] * 499_999)
    program = Program((RemoveLines(0, 499_999), ReplaceString("of the "), RemoveLines(500_001, 999_999)))
    start = time.thread_time()
    result = execute(text, program)
    assert time.thread_time() - start < 20
    assert result.fallbacks == ("removed_too_much",)
    assert execute(text, program, limits=NO_LIMITS).text == "words page"


def test_one_line_of_ten_megabytes() -> None:
    text = "head\n" + "word " * 2_000_000 + "needle in it\ntail"
    start = time.thread_time()
    result = execute(text, Program((ReplaceString("needle ", ""), RemoveLines(0, 0), RemoveLines(2, 2))))
    assert time.thread_time() - start < 10
    assert (len(result.text), result.text[-10:]) == (10_000_005, "word in it")
    assert len(result.edits) == 3
