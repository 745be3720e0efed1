"""The common path from texts to edited texts, with a refiner that says what the test tells it to."""

from dataclasses import dataclass, field

import pytest

from hf_curation.programs import NO_LIMITS, Dialect, Limits, Scope, execute, parse_programs, replay
from hf_curation.refiners.base import Draft, Refiner, Stage, Window
from hf_curation.refiners.refine import refine_texts


@dataclass
class Scripted:
    """Shows each paragraph (text between blank lines) as a window, and answers from `script` by the window's text."""

    script: dict[str, Draft]
    stage: Stage = Stage.CHUNK
    dialect: Dialect = Dialect.PROX
    name: str = "scripted"
    batches: list[int] = field(default_factory=list)

    def windows(self, text: str) -> list[Window]:
        if self.stage is Stage.DOCUMENT:
            return [Window(text, 0, Scope(0, len(text), 0), judged_fraction=0.5)]
        windows, at, line = [], 0, 0
        for paragraph in text.split("\n\n"):
            windows.append(Window(paragraph, line, Scope(at, at + len(paragraph), line)))
            at, line = at + len(paragraph) + 2, line + paragraph.count("\n") + 2
        return windows

    def write(self, windows) -> list[Draft]:
        self.batches.append(len(windows))
        return [self.script.get(window.text, Draft("keep_chunk()")) for window in windows]


PAGE = "Menu\nHome\n\nWhales sing.\nRead more\n\nImprint"


def test_all_windows_of_a_batch_go_to_the_refiner_at_once():
    refiner = Scripted(
        {
            "Menu\nHome": Draft("remove_lines(line_start=0, line_end=1)", prompt_tokens=9, output_tokens=5),
            "Whales sing.\nRead more": Draft('normalize(source_str="Read more")', prompt_tokens=7, output_tokens=3),
        }
    )
    assert isinstance(refiner, Refiner)
    edited, kept = refine_texts([PAGE, "Only text."], refiner)
    assert refiner.batches == [4]
    assert edited.result.text == "\nWhales sing.\n\n\nImprint"
    assert (edited.result.status, edited.num_windows) == ("edited", 3)
    assert (edited.prompt_tokens, edited.output_tokens) == (16, 8)
    assert (kept.result.text, kept.result.status, kept.program) == ("Only text.", "kept", "keep_chunk()")


def test_the_custody_program_replays_to_the_same_bytes():
    refiner = Scripted({"Menu\r\nHome".replace("\r", ""): Draft("remove_lines(line_start=0, line_end=99)")})
    original = PAGE.replace("\n", "\r\n")
    [refined] = refine_texts([original], refiner)
    assert refined.result.num_clamped == 1
    again = execute(original, parse_programs(refined.program), limits=NO_LIMITS)
    assert again.text == refined.result.text == "\r\nWhales sing.\r\nRead more\r\n\r\nImprint"
    assert replay(original, refined.result.edits) == refined.result.text


@pytest.mark.parametrize(
    ("draft", "fallback", "text"),
    [
        (Draft("", finish_reason="error", error="down"), "refiner_failed", "a\nb"),
        (Draft("  \n"), "empty_output", "a\nb"),
        (Draft("I would remove the menu."), "unparsed", "a\nb"),
        (
            Draft("remove_lines(line_start=0, line_end=0)\nremove_lines(line_st", finish_reason="length"),
            "length_limit",
            "b",
        ),
    ],
)
def test_an_answer_that_is_none_keeps_the_text_and_says_so(draft, fallback, text):
    [refined] = refine_texts(["a\nb"], Scripted({"a\nb": draft}))
    assert refined.result.text == text
    assert refined.result.fallbacks == (fallback,)
    assert refined.result.status == ("edited" if text == "b" else "fallback")


def test_blank_texts_never_reach_the_refiner():
    refiner = Scripted({})
    refined = refine_texts(["", " \n\t", "x"], refiner)
    assert refiner.batches == [1]
    assert [one.result.text for one in refined] == ["", " \n\t", "x"]
    assert [one.result.fallbacks for one in refined] == [("empty",), ("empty",), ()]
    assert refine_texts([], refiner) == []


def test_the_document_stage_drops_and_remembers_how_much_was_judged():
    [refined] = refine_texts([PAGE], Scripted({PAGE: Draft("drop_doc()")}, stage=Stage.DOCUMENT))
    assert (refined.result.dropped, refined.result.text, refined.program) == (True, "", "drop_doc()")
    assert refined.judged_fraction == 0.5


def test_limits_reach_the_executor():
    refiner = Scripted({"a\nb": Draft("remove_lines(line_start=0, line_end=0)")})
    [refined] = refine_texts(["a\nb"], refiner, limits=Limits(max_removed_fraction=0.1))
    assert refined.result.text == "a\nb"
    assert refined.result.fallbacks == ("removed_too_much",)


def test_a_refiner_that_loses_a_window_is_an_error():
    refiner = Scripted({})
    refiner.write = lambda windows: []
    with pytest.raises(ValueError, match="'scripted' returned 0 drafts for 1 windows"):
        refine_texts(["a"], refiner)
