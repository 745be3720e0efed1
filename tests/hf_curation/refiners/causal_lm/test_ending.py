"""A program is over when nothing worth waiting for can follow, and never earlier."""

import pytest

from hf_curation.programs import Dialect, Limits, Program, execute, parse_program
from hf_curation.refiners.base import Stage
from hf_curation.refiners.causal_lm.ending import MAX_REPEATS, is_over

CALL = "remove_lines(line_start=0, line_end=1)"
LINES = "\n".join(f"remove_lines(line_start={i}, line_end={i})" for i in range(40))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "rem",
        CALL,
        f"{CALL}\n",
        f"{CALL}\nremove",
        LINES,
        f"```\n{CALL}\n",
        "<think>\n\n</think>\n\n",
        f"Here is the program:\n{CALL}\n",
        "# header\n" + CALL,
        f"{CALL}\n\n  {CALL}\n",
        f"{CALL}\n" * MAX_REPEATS,
        'normalize(source_str="' + "word " * 30,
        "keep_chunk()",
        "Sure! I read the page with great care and here is",
    ],
)
def test_goes_on(text):
    assert not is_over(text, Stage.CHUNK)


@pytest.mark.parametrize(
    "text",
    [
        "keep_chunk()\n",
        "keep_all()\nremove",
        f"{CALL}\nThat is all.\n",
        f"{CALL}\nI removed these lines because they hold a menu only, and",
        f"```\n{CALL}\n```\n",
        f"{CALL}\n" * (MAX_REPEATS + 1),
        f"{CALL}\nremove_lines(line_start=7, line_end=9)\n" * (MAX_REPEATS + 1),
        "The page is about whales.\n" * 4,
        "\n".join(["prose"] * 3 + ["a line that has no end in sight and will never become a call"]),
    ],
)
def test_is_over(text):
    assert is_over(text, Stage.CHUNK)


@pytest.mark.parametrize(
    ("text", "over"), [("drop_doc()\n", True), ("keep_doc()\nmore", True), ("drop_doc()", False), ("drop", False)]
)
def test_one_call_ends_a_document_program(text, over):
    assert is_over(text, Stage.DOCUMENT) is over


@pytest.mark.parametrize("tail", [CALL + "\n", "Bye.\n", "```\n"])
def test_stopping_does_not_change_what_is_executed(tail):
    """The executor says the same of a program that went on for ever and of its part up to the stop."""
    page = "\n".join(f"line {i} of a page that is long enough" for i in range(20))
    endless = f"{CALL}\n" + tail * 200
    shortest = next(i for i in range(len(endless)) if is_over(endless[:i], Stage.CHUNK))

    def outcome(text: str):
        program: Program = parse_program(text, Dialect.PROX)
        result = execute(page, program, limits=Limits())
        return result.text, result.fallbacks

    assert shortest < len(endless) / 2
    assert outcome(endless[:shortest]) == outcome(endless)
