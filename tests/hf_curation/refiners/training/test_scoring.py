"""Answers are scored by what they do to the window where it stands in its page."""

import pytest

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.programs.model import Dialect, DropDocument, KeepAll, Program, RemoveLines, Scope, Stage
from hf_curation.refiners.base import Draft, Window
from hf_curation.refiners.prompts import get_preset
from hf_curation.refiners.training.examples import make_example
from hf_curation.refiners.training.scoring import score_windows

LINES = ["Home | Login", "Whales sing for hours in the deep sea.", "", "Nobody knows why they do.", "Share this page"]
TEXT = "\n".join(LINES)


def example(*calls, first_line=10, context=0, preset="prox-web-chunk", number=0):
    window = Window(TEXT, first_line, Scope(500, 500 + len(TEXT), first_line + context))
    page = GoldPage("p", TEXT, "", "https://a.example/")
    program = Program(calls, scope=window.scope)
    return make_example(
        page, window, program, preset=get_preset(preset), origin="pair", split="validation", number=number
    )


def remove(first, last):
    return f"remove_lines(line_start={first}, line_end={last})"


def test_the_label_itself_is_perfect():
    examples = [example(RemoveLines(10, 10), RemoveLines(14, 14)), example(KeepAll()), example(RemoveLines(10, 14))]
    found = score_windows(examples, [Draft(e.program) for e in examples])
    assert (found.valid_programs, found.lines.f1, found.word_f1, found.over_deletion) == (1, 1, 1, 0)
    assert found.lines.right == 2 + 0 + 4, "the blank line does not count"
    assert found.keep_all_f1 < 1
    assert found.documents is None


def test_lines_are_those_of_the_prompt():
    one = example(RemoveLines(10, 10), RemoveLines(14, 14))
    found = score_windows([one], [Draft(f"{remove(10, 10)}\n{remove(11, 11)}")])
    assert (found.lines.right, found.lines.wrong, found.lines.missed) == (1, 1, 1)
    outside = score_windows([one], [Draft(remove(0, 4))])
    assert outside.lines.right + outside.lines.wrong == 0, "lines in front of the window are not shown to the model"


def test_context_may_not_be_touched():
    one = example(RemoveLines(14, 14), context=2)
    found = score_windows([one], [Draft(f"{remove(10, 10)}\n{remove(14, 14)}")])
    assert (found.lines.right, found.lines.wrong) == (1, 0)


def test_silence_prose_and_torn_calls():
    one = example(RemoveLines(10, 10))
    drafts = [Draft(""), Draft("I think line 10 is a menu."), Draft("remove_lines(line_start=10, line", "length")]
    found = score_windows([one] * 3, drafts)
    assert (found.valid_programs, found.lines.f1, found.lines.precision) == (0, 0, None)
    assert found.word_f1 == found.keep_all_f1
    assert "line_precision" not in found.metrics()


def test_over_deletion_is_of_windows_to_keep():
    examples = [example(KeepAll()), example(RemoveLines(10, 14))]
    found = score_windows(examples, [Draft(remove(11, 11)), Draft(remove(10, 14))])
    assert found.over_deletion == pytest.approx(31 / len("".join(TEXT.split())))
    assert found.word_f1 == pytest.approx((1 + score_windows(examples[:1], [Draft(remove(11, 11))]).word_f1) / 2)


def test_document_decisions():
    examples = [
        example(call, preset="prox-web-doc", number=i, first_line=0)
        for i, call in enumerate([DropDocument(), DropDocument(), KeepAll(document=True), KeepAll(document=True)])
    ]
    found = score_windows(examples, [Draft(text) for text in ("drop_doc()", "keep_doc()", "drop_doc()", "keep_doc()")])
    assert examples[0].stage == Stage.DOCUMENT
    assert Dialect(examples[0].dialect) is Dialect.PROX
    assert (found.documents.precision, found.documents.recall, found.documents.f1) == (0.5, 0.5, 0.5)
    assert found.word_f1 is None
    assert found.metrics()["document_f1"] == 0.5
