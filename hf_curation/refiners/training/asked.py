"""Chunk labels that a teacher writes as programs: three questions of one purpose each, their answers merged.

One prompt for everything over-deletes, even with a large teacher (ProX A.2); a prompt for navigation, one for debris
of links and one for footers each do one thing. An answer is taken only as far as it keeps to its purpose, runs on the
window without a rejection, and removes no more than a share of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hf_curation.programs.execute import execute
from hf_curation.programs.limits import NO_LIMITS
from hf_curation.programs.model import Dialect, KeepAll, Program, RemoveLines, ReplaceString
from hf_curation.programs.parse import parse_program
from hf_curation.programs.spans import merge_ranges
from hf_curation.refiners.base import Draft, Stage, Window
from hf_curation.refiners.prompts import Preset
from hf_curation.refiners.training.teacher import Teacher, teacher_preset

TASKS: Final[dict[str, type[RemoveLines] | type[ReplaceString]]] = {
    "navigation": RemoveLines,
    "links": ReplaceString,
    "footers": RemoveLines,
}
"""Question -> the one kind of call that answers it, besides `keep_chunk()`."""
_MAX_NEW_TOKENS: Final = 256


@dataclass(kw_only=True, slots=True, frozen=True)
class AskedRules:
    """When an answer is taken."""

    max_task_fraction: float = 0.7
    """Share of a window's non-space characters that one answer may remove, in (0, 1]."""

    def __post_init__(self) -> None:
        if not 0 < self.max_task_fraction <= 1:
            raise ValueError(f"max_task_fraction must be in (0, 1], got {self.max_task_fraction}")


def task_presets(window_tokens: int, folder: Path | None = None) -> dict[str, Preset]:
    """Return the three questions by name."""
    return {
        name: teacher_preset(
            name, stage=Stage.CHUNK, window_tokens=window_tokens, max_new_tokens=_MAX_NEW_TOKENS, folder=folder
        )
        for name in TASKS
    }


def ask_programs(
    teacher: Teacher, texts: Sequence[str], windows: Sequence[Window], presets: dict[str, Preset], rules: AskedRules
) -> list[Program | str]:
    """Return a program for each window, or the reason why it has none.

    Args:
        teacher: Who is asked.
        texts: For each window, the page it is of, newlines normalised.
        windows: What is shown.
        presets: Of `task_presets`.
        rules: When an answer is taken.
    """
    by_task = {name: teacher.ask(presets[name], windows) for name in TASKS}
    answers = [{name: drafts[i] for name, drafts in by_task.items()} for i in range(len(windows))]
    return [merge_answers(t, w, a, rules) for t, w, a in zip(texts, windows, answers, strict=True)]


def merge_answers(text: str, window: Window, answers: dict[str, Draft], rules: AskedRules) -> Program | str:
    """Return the program of the answers together, or why one of them cannot be taken.

    `teacher_failed`, `teacher_cut`, `teacher_unreadable` (no call, or prose between calls), `teacher_off_task` (a call
    of another kind), `teacher_not_executed` (a call that does not fit the window), `teacher_removed_too_much`.
    """
    ranges: list[tuple[int, int]] = []
    strings: list[ReplaceString] = []
    for name, draft in answers.items():
        program = read_program(text, window, draft, TASKS[name], rules)
        if isinstance(program, str):
            return program
        ranges += [(call.start, call.end) for call in program.calls if isinstance(call, RemoveLines)]
        strings += [call for call in program.calls if isinstance(call, ReplaceString)]
    removals = [RemoveLines(start, end) for start, end in merge_ranges(ranges)]
    merged = Program((*removals, *dict.fromkeys(strings)) or (KeepAll(),), scope=window.scope)
    # A string inside a line that another answer removes is rejected as an overlap: rightly no part of the label.
    effective = execute(text, merged, limits=NO_LIMITS).effective
    return Program(effective[0].calls, scope=window.scope) if effective else merged


def read_program(
    text: str,
    window: Window,
    draft: Draft,
    kind: type[RemoveLines] | type[ReplaceString],
    rules: AskedRules,
) -> Program | str:
    """Return the program of one answer as it runs on the window, or the reason why it is not taken."""
    if draft.finish_reason != "stop":
        return "teacher_failed" if draft.finish_reason == "error" else "teacher_cut"
    program = parse_program(draft.text, Dialect.PROX, scope=window.scope)
    if not program.calls or program.rejected:
        return "teacher_unreadable"
    if not all(isinstance(call, kind | KeepAll) for call in program.calls):
        return "teacher_off_task"
    if any(isinstance(call, ReplaceString) and call.target for call in program.calls):
        return "teacher_off_task"
    result = execute(text, program, limits=NO_LIMITS)
    if result.rejected or result.fallbacks:
        return "teacher_not_executed"
    shown = _num_visible(text[window.scope.start : window.scope.end])
    if _num_visible(text) - _num_visible(result.text) > rules.max_task_fraction * shown:
        return "teacher_removed_too_much"
    return result.effective[0] if result.effective else program


def _num_visible(text: str) -> int:
    return len("".join(text.split()))
