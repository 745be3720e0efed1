"""How well a model that is being trained answers windows of a training set, by the labels that the set holds.

Needs nothing but the set: a window is executed where it stands in its page, with as many empty lines in front as the
page has, so that line numbers are those of the prompt. What the label makes of the window is the clean text. Guards
that look at whole pages are off. Figures of whole pages, against what people hold to be their clean text, come from
`EvaluationSet`; these here choose a checkpoint, and cost a few windows instead of all windows of some pages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hf_curation.evaluation.refiner_figures import Agreement, is_valid, removed_lines
from hf_curation.evaluation.word_f1 import over_deletion, word_f1
from hf_curation.programs.execute import execute
from hf_curation.programs.limits import Limits
from hf_curation.programs.model import Dialect, EditResult, Scope, Stage
from hf_curation.programs.parse import parse_program
from hf_curation.refiners.base import Draft
from hf_curation.refiners.training.examples import Example

_LIMITS = Limits(max_removed_fraction=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowFigures:
    """What a model's answers are worth on labelled windows; None where nothing can be said."""

    num_windows: int
    valid_programs: float
    """Share of the answers that are whole, hold a call, and hold nothing that is no call of their dialect."""
    lines: Agreement
    """Removed lines of the chunk stage against those that the labels remove; blank lines do not count."""
    documents: Agreement | None
    """Dropped pages against those that the labels drop; None without windows of the document stage."""
    word_f1: float | None
    """Mean over the windows of the chunk stage, of the text that is left against what the label leaves."""
    keep_all_f1: float | None
    """The same of windows that nobody touches."""
    over_deletion: float
    """Share of the visible characters that is gone from windows whose label removes nothing."""

    def metrics(self) -> dict[str, float]:
        """Return plain numbers by name; a figure that does not exist is left out."""
        found = {
            "valid_programs": self.valid_programs,
            "line_precision": self.lines.precision,
            "line_recall": self.lines.recall,
            "line_f1": self.lines.f1,
            "document_precision": self.documents.precision if self.documents else None,
            "document_recall": self.documents.recall if self.documents else None,
            "document_f1": self.documents.f1 if self.documents else None,
            "word_f1": self.word_f1,
            "keep_all_f1": self.keep_all_f1,
            "over_deletion": self.over_deletion,
        }
        return {name: value for name, value in found.items() if value is not None}


def score_windows(examples: Sequence[Example], drafts: Sequence[Draft]) -> WindowFigures:
    """Compare a model's drafts with the labels of the windows that it was shown.

    Args:
        examples: The windows and their labels.
        drafts: One for each.
    """
    pairs = list(zip(examples, drafts, strict=True))
    chunks = [_Answered(e, d) for e, d in pairs if e.stage == Stage.CHUNK]
    documents = [_Answered(e, d) for e, d in pairs if e.stage == Stage.DOCUMENT]
    untouched = [(one.text, one.given.text) for one in chunks if one.example.kind == "keep"]
    return WindowFigures(
        num_windows=len(pairs),
        valid_programs=sum(is_valid(d, Dialect(e.dialect)) for e, d in pairs) / len(pairs) if pairs else 0.0,
        lines=_agreement([decision for one in chunks for decision in one.lines()]),
        documents=_agreement([(one.given.dropped, one.wanted.dropped) for one in documents]) if documents else None,
        word_f1=_mean([word_f1(one.given.text, one.wanted.text) for one in chunks]),
        keep_all_f1=_mean([word_f1(one.text, one.wanted.text) for one in chunks]),
        over_deletion=over_deletion(untouched),
    )


class _Answered:
    """A window where it stands in its page, what its label makes of it, and what an answer does."""

    def __init__(self, example: Example, draft: Draft) -> None:
        lead = "\n" * example.first_line
        context = example.window_text.split("\n")[: example.scope_first_line - example.first_line]
        start = len(lead) + sum(len(line) + 1 for line in context)
        self.example = example
        self.text = lead + example.window_text
        self.scope = Scope(start, len(self.text), example.scope_first_line)
        self.given, self.wanted = self._execute(draft), self._execute(Draft(example.program))

    def _execute(self, draft: Draft) -> EditResult:
        dialect, is_chunk = Dialect(self.example.dialect), self.example.stage == Stage.CHUNK
        program = parse_program(
            draft.text,
            dialect,
            scope=self.scope if is_chunk else None,
            complete=draft.finish_reason != "length",
            limits=_LIMITS,
        )
        return execute(self.text, program, limits=_LIMITS, stage=self.example.stage)

    def lines(self) -> list[tuple[bool, bool]]:
        """Return for each visible line whether the answer and the label remove it."""
        given, wanted = (removed_lines(self.text, result.edits) for result in (self.given, self.wanted))
        lines = self.text.split("\n")
        return [(g, w) for g, w, line in zip(given, wanted, lines, strict=True) if line.strip()]


def _agreement(decisions: Sequence[tuple[bool, bool]]) -> Agreement:
    right = sum(given and wanted for given, wanted in decisions)
    wrong = sum(given and not wanted for given, wanted in decisions)
    return Agreement(right, wrong, sum(wanted for _, wanted in decisions) - right)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
