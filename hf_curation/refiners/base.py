"""Who writes programs: the one small protocol that every refiner follows.

A refiner cuts a document into windows, and turns windows into program text. It never edits text: parsing, executing,
guarding and counting are the same for all refiners (`refiners.refine`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from hf_curation.programs.model import Dialect, Scope, Stage

__all__ = ["Draft", "Refiner", "Stage", "Window"]


@dataclass(frozen=True, slots=True)
class Window:
    """What a refiner is shown of a document in one prompt."""

    text: str
    """The lines shown, `\\n`-separated; may begin with context lines that `scope` does not own."""
    first_line: int
    """0-based number, in the whole document, of the first line of `text`."""
    scope: Scope
    """The part of the document that the program of this window may edit."""
    judged_fraction: float = 1.0
    """Share of the page's characters that the refiner sees; below 1 when a document prompt had to be truncated."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A refiner's answer for one window, before anything is parsed."""

    text: str
    finish_reason: str = "stop"
    """`stop`; `length`: cut at the token limit, so the last call may be torn; `error`: no answer, see `error`."""
    error: str | None = None
    """One line, without secrets or page text, when `finish_reason` is `error`."""
    prompt_tokens: int = 0
    output_tokens: int = 0


class RefinerUnusable(Exception):
    """The refiner can do nothing more for any document (its server is gone, its key is refused).

    It ends the rank, which is run again later; it is never charged to the document at hand.
    """


@runtime_checkable
class Refiner(Protocol):
    """Windows of a document in, program text out, in batches."""

    @property
    def name(self) -> str:
        """What reports and manifests call this refiner, with its revision where it has one."""

    @property
    def stage(self) -> Stage:
        """Which of the two passes this refiner writes programs for."""

    @property
    def dialect(self) -> Dialect:
        """How its programs are spelled."""

    def windows(self, text: str) -> list[Window]:
        """Cut a document (newlines already normalised) into windows; scopes are disjoint and in order."""

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        """Return one draft per window, in the same order. A failure is a draft with `finish_reason="error"`.

        Raises:
            RefinerUnusable: if no document can be refined any more.
        """
