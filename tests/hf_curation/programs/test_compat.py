"""The reference's semantics and guards; expected texts were measured on GAIR-NLP/ProX (utils/chunk_utils.py)."""

import pytest

from hf_curation.programs import EditResult, parse_program, replay
from hf_curation.programs.compat import ProxGuards, execute_prox_compat

BODY = "\n".join(f"{word} one two three four five six" for word in ("alpha", "beta", "gamma", "delta"))


def body(*kept: int) -> str:
    return "\n".join(BODY.split("\n")[number] for number in kept)


def run(text: str, program: str, guards: ProxGuards | None = None) -> EditResult:
    result = execute_prox_compat(text, parse_program(program), guards=guards)
    assert replay(text, result.edits) == result.text
    return result


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("remove_lines(line_start=0, line_end=1)", body(2, 3)),
        ("remove_lines(start=0, end=1)", body(2, 3)),
        ("```\nremove_lines(line_start=0, line_end=1)\n```", body(2, 3)),
        ("some prose\nkeep_chunk()\nremove_lines(line_start=1, line_end=1)", body(0, 2, 3)),
        ("remove_lines(line_start=2, line_end=99)", body(0, 1)),
        ("remove_lines(line_start=9, line_end=99)\nremove_lines(line_start=0, line_end=0)", body(1, 2, 3)),
        ('normalize(source_str="one", target_str="")', BODY.replace("one", "")),
        ('normalize(source_str="one two", target_str="X")', BODY.replace("one two", "X")),
        (
            'normalize(source_str="one", target_str="two")\nnormalize(source_str="two", target_str="one")',
            BODY.replace("one", "two").replace("two", "one"),
        ),
        ('normalize(source_str="absent", target_str="")', BODY),
        ("remove_lines(line_start=0, line_end=0)\n" * 100, body(1, 2, 3)),
        (
            'normalize(source_str="alpha ", target_str="")\nremove_lines(line_start=1, line_end=1)',
            body(0, 2, 3).removeprefix("alpha "),
        ),
    ],
)
def test_edits_as_the_reference_makes_them(program: str, expected: str) -> None:
    assert run(BODY, program).text == expected


def test_the_95_percent_rule_drops() -> None:
    text = "\n".join(["one two three four five"] * 5 + ["word " * 475])
    result = run(text, "remove_lines(line_start=5, line_end=5)")
    assert (result.dropped, result.text, result.status) == (True, "", "dropped")
    text = "\n".join(["one two three four five"] * 5 + ["word " * 474])
    assert run(text, "remove_lines(line_start=5, line_end=5)").text.count("one") == 5


def test_the_10_word_rule_drops_whatever_the_program_says() -> None:
    assert run("Closed on Monday. Back at nine.", "keep_chunk()").dropped
    assert run("春天来了" * 150, "keep_chunk()").dropped
    two_errors = "remove_lines(x)\nremove_lines(y)\nremove_lines(line_start=1, line_end=1)"
    assert run("one two three four five six\nseven eight nine ten eleven twelve", two_errors).dropped
    assert not run(BODY, "remove_lines(line_start=1, line_end=2)").dropped
    assert run(BODY, "remove_lines(line_start=1, line_end=3)").dropped


def test_two_errors_void_the_page() -> None:
    one, two = "remove_lines(x)\nremove_lines(0, 0)", "remove_lines(x)\nremove_lines(y)\nremove_lines(0, 0)"
    assert run(BODY, one).text == body(1, 2, 3)
    result = run(BODY, two)
    assert (result.text, result.fallbacks, result.edits) == (BODY, ("too_many_errors",), ())
    assert run(BODY, two, ProxGuards(max_errors=3)).text == body(1, 2, 3)


def test_ranges_past_the_end_are_counted_after_merging() -> None:
    apart = "remove_lines(line_start=3, line_end=9)\nremove_lines(line_start=20, line_end=30)"
    joined = "remove_lines(line_start=3, line_end=9)\nremove_lines(line_start=5, line_end=30)"
    assert run(BODY, apart).fallbacks == ("too_many_errors",)
    assert run(BODY, joined).text == body(0, 1, 2)


def test_the_lower_threshold_keeps_the_page() -> None:
    result = run(BODY, "remove_lines(line_start=0, line_end=1)", ProxGuards(min_kept_ratio=0.6))
    assert (result.text, result.fallbacks) == (BODY, ("removed_too_much",))


def test_pages_of_several_chunks_are_one_page() -> None:
    programs = [parse_program("remove_lines(line_start=0, line_end=0)"), parse_program('normalize("beta", "b")')]
    assert execute_prox_compat(BODY, programs).text == body(1, 2, 3).replace("beta", "b")


def test_what_is_wrong_in_the_reference_is_not_reproduced() -> None:
    assert run("", "keep_chunk()").fallbacks == ("empty",)
    assert run(BODY.replace("\n", "\r\n"), "remove_lines(0, 0)").text == body(1, 2, 3).replace("\n", "\r\n")
    result = run(BODY, 'remove_lines(3, 1)\nnormalize(source_str=" ", target_str="")\ndrop_doc()')
    assert result.text == BODY
    assert [rejection.reason for rejection in result.rejected] == [
        "reversed_range",
        "source_too_short",
        "unknown_call",
    ]
    assert run(BODY, "remove_lines(all=True)").dropped
