"""Programs from pairs of a raw and a clean text."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs import (
    NO_LIMITS,
    AddLine,
    DeriveRules,
    Dialect,
    KeepAll,
    Limits,
    RemoveLines,
    ReplaceString,
    derive,
    execute,
    parse_program,
    print_program,
)

PAGE = "Home | Mills\n\nThe tide mill ground corn. [Edit]\nAnd so on it went for years.\n\nShare this\nImprint"


def result(raw: str, clean: str, dialect: Dialect = Dialect.PROX) -> str:
    program = derive(raw, clean, dialect=dialect)
    executed = execute(raw, program, limits=NO_LIMITS)
    assert executed.rejected == ()
    assert parse_program(print_program(program, dialect), dialect) == program
    return executed.text


def test_nothing_to_do_keeps_all() -> None:
    assert derive(PAGE, PAGE).calls == (KeepAll(),)
    assert derive("", "something").calls == (KeepAll(),)
    assert derive(" \n", "").calls == (KeepAll(),)


def test_lines_and_a_string() -> None:
    clean = "The tide mill ground corn.\nAnd so on it went for years."
    assert derive(PAGE, clean).calls == (RemoveLines(0, 1), ReplaceString(" [Edit]"), RemoveLines(4, 6))


def test_everything_goes() -> None:
    assert derive(PAGE, "").calls == (RemoveLines(0, 6),)


def test_a_program_is_as_short_as_it_can_be() -> None:
    # Which of the four lines "x" are left is decided by the number of calls.
    assert derive("x\nad\nx\nx\nad\nx", "x\nx").calls in (
        (RemoveLines(0, 3),),
        (RemoveLines(1, 4),),
        (RemoveLines(2, 5),),
    )
    assert derive("a\nx\nb\nx\nc", "a\nx\nc").calls in ((RemoveLines(1, 2),), (RemoveLines(2, 3),))


def test_strings_are_widened_until_they_are_unique() -> None:
    raw = "see [1] the mill [1] by the river\nand the weir"
    program = derive(raw, raw.replace("mill [1]", "mill"))
    (call,) = program.calls
    assert isinstance(call, ReplaceString)
    assert raw.count(call.source) == 1
    assert execute(raw, program).text == raw.replace("mill [1]", "mill")


def test_edits_that_grow_into_each_other_become_one() -> None:
    raw = "x\nriver mill\nmill river\nmill river\ny"
    assert result(raw, "mill river\nmill river\ny") == "mill river\nmill river\ny"
    assert (
        result("river mill\nmill rivers\nriver", "mill river\nmill rivers\nriver") == "mill river\nmill rivers\nriver"
    )


def test_a_short_deletion_takes_a_word_of_context() -> None:
    raw, clean = "the quick! brown fox jumped", "the quick brown fox jumped"
    assert derive(raw, clean).calls == (ReplaceString("quick!", "quick"),) or result(raw, clean) == clean


def test_line_scoped_dialects_name_the_line() -> None:
    raw = "a cat sat\na cat ran off"
    assert derive(raw, "a cat sat\na cat ran", dialect=Dialect.REFINEX).calls == (ReplaceString(" off", "", 1),)
    assert derive(raw, "a dog sat\na cat ran off", dialect=Dialect.ULTRAX).calls == (ReplaceString("cat", "dog", 0),)
    # RefineX cannot replace: the line stays as it is, or goes.
    assert result(raw, "a dog sat\na cat ran off", Dialect.REFINEX) in (raw, "a cat ran off")


def test_only_ultrax_adds_lines() -> None:
    raw, clean = "one line of text\nanother line of text", "one line of text\nbrand new\nanother line of text"
    assert derive(raw, clean, dialect=Dialect.ULTRAX).calls == (AddLine(0, 1, "brand new"),)
    assert result(raw, clean) == raw


def test_new_text_is_bounded() -> None:
    raw, clean = "the mill stood here for long", "the mill " + "was very old and " * 5 + "stood here for long"
    assert result(raw, clean) == raw
    loose = derive(raw, clean, rules=DeriveRules(max_insert_chars=200))
    assert execute(raw, loose, limits=Limits(max_added_chars=1000)).text == clean


def test_a_clean_text_that_is_wrapped_differently_is_read_loosely() -> None:
    body = [
        "The tide mill at the mouth of the river ground corn for four hundred years. Photo by the archive of the town",
        "Twice a day the sea filled its pond, and twice a day the miller let it out again.",
    ]
    raw = "\n".join(["Home", "About", *body, "Share", "Tweet"])
    words = " ".join(body).replace(" Photo by the archive of the town", "").split()
    clean = "\n".join(" ".join(words[i : i + 6]) for i in range(0, len(words), 6))
    program = derive(raw, clean)
    assert program.calls == (
        RemoveLines(0, 1),
        ReplaceString(" Photo by the archive of the town"),
        RemoveLines(4, 5),
    )


def test_carriage_returns_do_not_matter() -> None:
    assert derive(PAGE.replace("\n", "\r\n"), "Home | Mills").calls == derive(PAGE, "Home | Mills").calls


@pytest.mark.parametrize("rules", [{"max_insert_chars": -1}, {"min_share": 0.0}, {"min_share": 1.5}])
def test_impossible_rules_are_errors(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        DeriveRules(**rules)


def test_long_pages_full_of_equal_lines_are_exact_too() -> None:
    rng = random.Random(11)  # noqa: S311
    raw, clean = [], []
    for number in range(900):
        line = rng.choice(
            ["", "", "Add to basket", "Read more", f"Item {number} of the mill shop, only {number} left"]
        )
        raw.append(line)
        if number // 20 % 3:
            clean.append(line.replace(f", only {number} left", "") if number % 7 == 0 else line)
    assert result("\n".join(raw), "\n".join(clean)) == "\n".join(clean)


LINES = st.one_of(
    st.text(st.sampled_from("ab c.,()\"'\\春"), max_size=12),
    st.lists(st.sampled_from(["mill", "river", "the", "[Edit]", "corn.", "a"]), max_size=6).map(" ".join),
)


@st.composite
def raw_and_clean(draw: st.DrawFn) -> tuple[str, str]:
    """A page, and what is left of it without some lines, and without some strings that occur once in it."""
    lines = draw(st.lists(LINES, min_size=1, max_size=10))
    raw = "\n".join(lines)
    clean = []
    for line in lines:
        action = draw(st.sampled_from(["keep", "keep", "remove", "cut"]))
        if action == "cut" and len(line) > 1 and not line.isspace():  # a source has two characters, and is not blank
            start = draw(st.integers(0, len(line) - 1))
            end = draw(st.integers(start + 1, len(line)))
            if raw.find(line[start:end], raw.find(line[start:end]) + 1) < 0:
                line = line[:start] + line[end:]
        if action != "remove":
            clean.append(line)
    return raw, "\n".join(clean)


@settings(max_examples=250, deadline=None)
@given(raw_and_clean())
def test_what_the_language_can_say_is_said_exactly(pair: tuple[str, str]) -> None:
    raw, clean = pair
    if raw.strip():
        rules = DeriveRules(max_insert_chars=100)
        assert execute(raw, derive(raw, clean, rules=rules), limits=NO_LIMITS).text == clean


@settings(max_examples=150, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=12), st.data(), st.sampled_from(Dialect))
def test_removed_lines_are_found_exactly_and_in_few_calls(
    lines: list[str], data: st.DataObject, dialect: Dialect
) -> None:
    keep = data.draw(st.lists(st.booleans(), min_size=len(lines), max_size=len(lines)))
    raw, clean = "\n".join(lines), "\n".join(line for line, kept in zip(lines, keep, strict=True) if kept)
    num_stretches = sum(not kept and (i == 0 or keep[i - 1]) for i, kept in enumerate(keep))
    program = derive(raw, clean, dialect=dialect)
    if raw.strip():
        assert execute(raw, program, limits=NO_LIMITS).text == clean
        assert len(program.calls) <= max(num_stretches, 1)
