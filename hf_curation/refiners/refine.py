"""From texts to edited texts: the one path that every refiner, step, rollout and command takes.

    text -> windows -> drafts (the refiner) -> programs (parsed) -> one execution over the whole page

All windows of a batch of documents go to the refiner in one call, so that an LM can form its batches by length across
documents. Nothing here depends on which refiner wrote the drafts, and nothing is lost: a window without an answer, an
answer that cannot be read and a call that cannot be executed all end as words of `FALLBACKS` and `REASONS`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hf_curation.programs.execute import execute
from hf_curation.programs.limits import Limits
from hf_curation.programs.lines import normalize_newlines
from hf_curation.programs.model import Dialect, EditResult, Program
from hf_curation.programs.parse import parse_program
from hf_curation.programs.printing import print_programs
from hf_curation.refiners.base import Draft, Refiner, Stage, Window


@dataclass(frozen=True, slots=True)
class Refined:
    """What refining did to one document."""

    result: EditResult
    program: str
    """The executed program in custody form: run on the original text it gives `result.text` again."""
    num_windows: int = 0
    judged_fraction: float = 1.0
    """Share of the page's characters that the refiner was shown (a document prompt may be truncated)."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    num_parameters: int = 0
    """Of the language model that read and wrote the tokens; 0: none, or not known."""


def refine_texts(texts: Sequence[str], refiner: Refiner, *, limits: Limits | None = None) -> list[Refined]:
    """Refine a batch of documents; the result is in the order of `texts`.

    Raises:
        ValueError: if the refiner returns another number of drafts than it was given windows.
    """
    limits = limits or Limits()
    windows = [refiner.windows(normalize_newlines(text)) if text.strip() else [] for text in texts]
    flat = [window for of_text in windows for window in of_text]
    drafts = refiner.write(flat) if flat else []
    if len(drafts) != len(flat):
        raise ValueError(f"refiner {refiner.name!r} returned {len(drafts)} drafts for {len(flat)} windows")
    answers = iter(drafts)
    refined = [
        apply_drafts(text, of_text, [next(answers) for _ in of_text], refiner.dialect, refiner.stage, limits)
        for text, of_text in zip(texts, windows, strict=True)
    ]
    num_parameters = getattr(refiner, "num_parameters", 0)
    return [replace(one, num_parameters=num_parameters) for one in refined] if num_parameters else refined


def apply_drafts(
    text: str, windows: Sequence[Window], drafts: Sequence[Draft], dialect: Dialect, stage: Stage, limits: Limits
) -> Refined:
    """Parse the drafts of one document and execute them on its text.

    A document without windows (empty or blank) passes through under the fallback `empty`.
    """
    if not windows:
        return Refined(EditResult(text, (), fallbacks=("empty",)), "")
    programs: list[Program] = []
    fallbacks: list[str] = []
    for window, draft in zip(windows, drafts, strict=True):
        # A lone window owns the whole page: no scope to print, so the custody column reads like the draft.
        scope = window.scope if len(windows) > 1 else None
        program = parse_program(
            draft.text, dialect, scope=scope, complete=draft.finish_reason != "length", limits=limits
        )
        programs.append(program)
        fallbacks += _fallback_of(draft, program)
    result = execute(text, programs, limits=limits, stage=stage)
    return Refined(
        result=replace(result, fallbacks=(*fallbacks, *result.fallbacks)) if fallbacks else result,
        program=print_programs(result.effective, dialect),
        num_windows=len(windows),
        judged_fraction=min(window.judged_fraction for window in windows),
        prompt_tokens=sum(draft.prompt_tokens for draft in drafts),
        output_tokens=sum(draft.output_tokens for draft in drafts),
    )


def _fallback_of(draft: Draft, program: Program) -> list[str]:
    """Why a window's text is (partly) kept for want of a readable answer; empty when the answer was whole."""
    if draft.finish_reason == "error":
        return ["refiner_failed"]
    if not draft.text.strip():
        return ["empty_output"]
    if not program.calls:
        return ["unparsed"]
    return ["length_limit"] if draft.finish_reason == "length" else []
