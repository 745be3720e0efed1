"""Chunk labels from a teacher's clean copy of a window, turned into a program by `derive`.

Large models clean better by copying than by naming lines (RefineX, https://huggingface.co/papers/2507.03253: judged
better on 59 % of pages against 21.5 % for programs), and a program derived from the copy cannot say what the copy made
up: new text is no operation that is wanted. A copy that adds or changes more than a few characters in one place was no
copy, and its window is left out, as RefineX does. Sources are unique in their scope because `derive` makes them so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hf_curation.evaluation.word_f1 import word_f1
from hf_curation.programs.align import align_words, words_of
from hf_curation.programs.derive import DeriveRules, derive
from hf_curation.programs.execute import execute
from hf_curation.programs.limits import NO_LIMITS
from hf_curation.programs.lines import normalize_newlines
from hf_curation.programs.model import Dialect, KeepAll, Program, RemoveLines, ReplaceString
from hf_curation.refiners.base import Draft, Stage, Window
from hf_curation.refiners.prompts import Preset
from hf_curation.refiners.training.clip import clip_to_window, shift_program
from hf_curation.refiners.training.teacher import teacher_preset
from hf_curation.refiners.windows import owned_lines

NOTHING: Final = "[nothing]"
"""What a teacher answers when no line is worth keeping."""


@dataclass(kw_only=True, slots=True, frozen=True)
class RewriteRules:
    """When a teacher's copy is taken for a label."""

    max_inserted_chars: int = 20
    """Longest stretch of words in the copy that the window does not hold (RefineX's bound)."""
    min_deleted_chars: int = 10
    """String edits that take away less are left out of the program; their text stays (RefineX's bound)."""
    min_word_f1: float = 0.95
    """Agreement of what the program makes of the window with the copy, in [0, 1]."""

    def __post_init__(self) -> None:
        if min(self.max_inserted_chars, self.min_deleted_chars) < 0 or not 0 <= self.min_word_f1 <= 1:
            raise ValueError(f"lengths must be 0 or more and min_word_f1 in [0, 1], got {self}")


def rewrite_preset(window_tokens: int, folder: Path | None = None) -> Preset:
    """Return the question for a copy; lines are shown without numbers, and the answer may be as long as the window."""
    return teacher_preset(
        "rewrite",
        stage=Stage.DOCUMENT,
        window_tokens=window_tokens,
        max_new_tokens=window_tokens * 5 // 4,
        folder=folder,
    )


def read_rewrite(
    window: Window, draft: Draft, rules: RewriteRules, *, dialect: Dialect = Dialect.PROX
) -> Program | str:
    """Return the program that a copy of a window means, in document lines, or why it is no label.

    `teacher_failed`, `teacher_cut`, `teacher_unreadable` (an empty answer), `inserted_too_much`, `low_agreement`.
    """
    if draft.finish_reason != "stop":
        return "teacher_failed" if draft.finish_reason == "error" else "teacher_cut"
    copy = _unwrap(normalize_newlines(draft.text))
    if not copy.strip():
        return "teacher_unreadable"
    if copy.strip().lower() == NOTHING:
        return Program((RemoveLines(*owned_lines(window)),), scope=window.scope)
    if copy.strip() == window.text.strip():
        return Program((KeepAll(),), scope=window.scope)
    if longest_insertion(window.text, copy) > rules.max_inserted_chars:
        return "inserted_too_much"
    bounds = DeriveRules(max_insert_chars=rules.max_inserted_chars, min_delete_chars=rules.min_deleted_chars)
    program = _without_small_edits(derive(window.text, copy, dialect=dialect, rules=bounds), rules)
    made = execute(window.text, program, limits=NO_LIMITS)
    if made.rejected or word_f1(made.text, copy) < rules.min_word_f1:
        return "low_agreement"
    return clip_to_window(shift_program(program, window.first_line), window)


def longest_insertion(raw: str, copy: str) -> int:
    """Return the length in characters of the longest stretch of words in `copy` that `raw` does not hold."""
    words = words_of(copy)
    is_matched = [False] * len(words)
    for _, start, number in align_words(words_of(raw), words):
        is_matched[start : start + number] = [True] * number
    longest = current = 0
    for word, matched in zip(words, is_matched, strict=True):
        current = 0 if matched else current + len(word) + (current > 0)
        longest = max(longest, current)
    return longest


def _without_small_edits(program: Program, rules: RewriteRules) -> Program:
    calls = tuple(
        call
        for call in program.calls
        if not isinstance(call, ReplaceString) or len(call.source) - len(call.target) >= rules.min_deleted_chars
    )
    return Program(calls or (KeepAll(),))


def _unwrap(text: str) -> str:
    """Return an answer without one code fence, or one pair of [doc] marks, around the whole of it."""
    lines = text.strip("\n").split("\n")
    if len(lines) >= 2 and lines[0].startswith("```") and lines[-1].strip() == "```":
        lines = lines[1:-1]
    if len(lines) >= 2 and lines[0].strip() == "[doc]" and lines[-1].strip() == "[/doc]":
        lines = lines[1:-1]
    return "\n".join(lines)
