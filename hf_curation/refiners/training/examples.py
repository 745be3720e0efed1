"""One training example: what the student is shown, and the program that it should write.

The prompt columns are made by the functions that make prompts at inference (`prompts.render`), and `window` gives back
the very `Window` that was shown, so that a recipe encodes it with the same `PromptEncoder` as `CausalLMRefiner`. There
is no second way to spell a prompt, and nothing that could drift.
"""

from dataclasses import asdict, dataclass
from typing import Any, Final

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.programs.model import DropDocument, KeepAll, Program, RemoveLines, Scope
from hf_curation.programs.printing import print_program
from hf_curation.refiners.base import Window
from hf_curation.refiners.prompts import Preset, get_preset, with_system
from hf_curation.refiners.prompts.render import user_turn
from hf_curation.refiners.training.splits import Split
from hf_curation.refiners.windows import owned_lines

ORIGINS: Final[dict[str, str]] = {
    "pair": "derived from a page and its clean text",
    "noise": "a clean text with noise of other pages put in",
    "clean": "a clean text as it is",
    "teacher_scores": "a teacher's two scores of the page",
    "teacher_programs": "programs that a teacher wrote",
    "teacher_rewrite": "derived from a teacher's rewrite of the window",
}
"""How a label came about -> what that means."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A row of a training set."""

    id: str
    """Unique in the set: the page's id, the origin, the stage and the number of the window."""
    source_id: str
    domain: str
    split: str
    origin: str
    """A key of `ORIGINS`."""
    stage: str
    dialect: str
    kind: str
    """`keep`: nothing is changed; `drop`: nothing is left (of the page, of the window); `edit`: anything else."""
    preset: str
    """Name of the prompt format, as `get_preset` knows it."""
    system: str | None
    """The system turn."""
    user: str
    """The user's turn, page text neutralised and numbered as the student sees it."""
    program: str
    """What the student should write."""
    window_text: str
    first_line: int
    scope_start: int
    scope_end: int
    scope_first_line: int
    judged_fraction: float

    @property
    def window(self) -> Window:
        """The window as the refiner would be given it."""
        scope = Scope(self.scope_start, self.scope_end, self.scope_first_line)
        return Window(self.window_text, self.first_line, scope, self.judged_fraction)

    @property
    def prompt_format(self) -> Preset:
        """The preset that the prompt was made with, its system text filled in."""
        return with_system(get_preset(self.preset), self.system)

    def as_row(self) -> dict[str, Any]:
        """Return the row of a JSONL or Parquet file."""
        return asdict(self)


def make_example(
    page: GoldPage, window: Window, program: Program, *, preset: Preset, origin: str, split: Split, number: int
) -> Example:
    """Return the example of one window of a page.

    Args:
        page: Where it came from; its text may have been changed since (noise).
        window: What is shown.
        program: What should be written.
        preset: The prompt format, its system text filled in.
        origin: A key of `ORIGINS`.
        split: Of the page's domain.
        number: Of the window, from 0.
    """
    assert origin in ORIGINS, origin
    return Example(
        id=f"{page.id}#{origin}/{preset.stage}/{number}",
        source_id=page.id,
        domain=page.domain,
        split=split,
        origin=origin,
        stage=preset.stage.value,
        dialect=preset.dialect.value,
        kind=kind_of(program, window),
        preset=preset.name,
        system=preset.system,
        user=user_turn(window, preset),
        program=print_program(program, preset.dialect),
        window_text=window.text,
        first_line=window.first_line,
        scope_start=window.scope.start,
        scope_end=window.scope.end,
        scope_first_line=window.scope.first_line,
        judged_fraction=window.judged_fraction,
    )


def kind_of(program: Program, window: Window) -> str:
    """Return `keep`, `drop` or `edit`; see `Example.kind`."""
    if all(isinstance(call, KeepAll) for call in program.calls):
        return "keep"
    if program.calls == (DropDocument(),) or program.calls == (RemoveLines(*owned_lines(window)),):
        return "drop"
    return "edit"
