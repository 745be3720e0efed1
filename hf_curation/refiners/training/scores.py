"""Document labels from a teacher: two scores of 0 to 5 and a rule.

The rule is that of ProX (https://huggingface.co/papers/2409.17115, equation 2): a page is kept if its educational
value is at least 3, or exactly 2 while its format is at least 4. The paper leaves "2 and a poor format" open; we drop.
An answer from which no single score can be read is no score, and its page gets no label: a default would train the
student on the teacher's slips.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hf_curation.programs.model import DropDocument, KeepAll, Program
from hf_curation.refiners.base import Draft, Stage, Window
from hf_curation.refiners.prompts import Preset
from hf_curation.refiners.training.teacher import Teacher, teacher_preset

_LABELS: Final = {"educational_value": "Educational value", "format": "Format"}
_MAX_NEW_TOKENS: Final = 160


@dataclass(kw_only=True, slots=True, frozen=True)
class ScoreRule:
    """Which scores keep a page."""

    min_educational: int = 3
    """This value keeps a page whatever its format."""
    borderline: int = 2
    """A value from here on, below `min_educational`, keeps a page of good format."""
    min_format: int = 4
    """What good format is."""

    def __post_init__(self) -> None:
        for name in ("min_educational", "borderline", "min_format"):
            if not 0 <= getattr(self, name) <= 6:
                raise ValueError(f"{name} must be 0 to 6 (6: never), got {getattr(self, name)}")

    def keeps(self, educational: int, form: int) -> bool:
        """Decide on a page by its two scores."""
        return educational >= self.min_educational or (educational >= self.borderline and form >= self.min_format)


def score_presets(window_tokens: int, folder: Path | None = None) -> tuple[Preset, Preset]:
    """Return the two questions: educational value, format."""
    value, form = (
        teacher_preset(
            name, stage=Stage.DOCUMENT, window_tokens=window_tokens, max_new_tokens=_MAX_NEW_TOKENS, folder=folder
        )
        for name in _LABELS
    )
    return value, form


def read_score(draft: Draft, preset: Preset) -> int | str:
    """Return the score in an answer, or why there is none: `teacher_failed`, `teacher_cut`, `teacher_unreadable`.

    The label must stand before one digit from 0 to 5, perhaps of "/5"; where it stands more than once, all must agree.
    A cut answer counts if the score is in it, since the score comes last.
    """
    if draft.finish_reason == "error":
        return "teacher_failed"
    label = re.escape(_LABELS[preset.name.removeprefix("teacher-")])
    pattern = rf"{label}[*_ ]*(?:score)?[*_ ]*:[*_ ]*([0-9]+(?:[.,][0-9]+)?)(?:[ ]*/[ ]*5)?(?![0-9/])"
    found = {match[1] for match in re.finditer(pattern, draft.text, re.IGNORECASE)}
    score = found.pop() if len(found) == 1 else ""
    if score in {"0", "1", "2", "3", "4", "5"}:
        return int(score)
    return "teacher_cut" if draft.finish_reason == "length" else "teacher_unreadable"


def judge_windows(
    teacher: Teacher, windows: list[Window], presets: tuple[Preset, Preset], rule: ScoreRule
) -> list[Program | str]:
    """Return for each document window `keep_doc()` or `drop_doc()`, or the reason why it has no label."""
    answers = [[read_score(draft, preset) for draft in teacher.ask(preset, windows)] for preset in presets]
    return [_decide(value, form, rule) for value, form in zip(*answers, strict=True)]


def _decide(value: int | str, form: int | str, rule: ScoreRule) -> Program | str:
    if isinstance(value, str):
        return value
    if isinstance(form, str):
        return form
    return Program((KeepAll(document=True) if rule.keeps(value, form) else DropDocument(),))
