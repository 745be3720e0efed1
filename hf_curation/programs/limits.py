"""How much a program may do before its text is kept: the guards, in one frozen object."""

from dataclasses import dataclass
from typing import Final


@dataclass(kw_only=True, slots=True, frozen=True)
class Limits:
    """Guards of parsing and executing. Every one that strikes is counted, none drops a page.

    Shares are of non-space characters, never of words: a page in Chinese is one "word" to a split at spaces, and
    ProX's reference drops it for that.
    """

    max_removed_fraction: float = 0.95
    """Share of a page's non-space characters that its programs together may remove, in [0, 1]; beyond it the page is
    kept as it came (`removed_too_much`). At exactly this share the edit stands. 1 allows an empty result."""
    max_added_chars: int = 2_000
    """Characters that replacements and added lines of one program may bring in; the call that would exceed it is
    rejected (`added_too_much`). 0 is the deletion-only mode."""
    max_identical_calls: int = 3
    """The same call more often than this in one program is a decoding loop: its text is kept (`loop`)."""
    max_errors: int | None = None
    """Rejected calls that one program may hold; beyond it its text is kept (`too_many_errors`). None: any number,
    because a rejected call says little about its neighbours. Counted per program, not per page as in ProX."""
    max_program_chars: int = 262_144
    """Characters of one program that are read; the rest is one rejection (`program_too_long`)."""
    max_calls: int = 10_000
    """Calls of one program that are read; the rest is one rejection (`program_too_long`)."""
    max_search_chars: int = 1_000_000_000
    """Characters that the string edits of one program may search, its scope once or twice per edit (about a second);
    edits past it are rejected (`program_too_long`). Only many strings over one huge page come near."""

    def __post_init__(self) -> None:
        if not 0 <= self.max_removed_fraction <= 1:
            raise ValueError(f"max_removed_fraction must be in [0, 1], got {self.max_removed_fraction}")
        for name in ("max_added_chars", "max_program_chars", "max_search_chars"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")
        for name in ("max_identical_calls", "max_calls"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
        if self.max_errors is not None and self.max_errors < 0:
            raise ValueError(f"max_errors must be None or 0 or more, got {self.max_errors}")


_ANY: Final = 2**63 - 1

DEFAULT_LIMITS: Final = Limits()
NO_LIMITS: Final = Limits(
    max_removed_fraction=1.0,
    max_added_chars=_ANY,
    max_identical_calls=_ANY,
    max_program_chars=_ANY,
    max_calls=_ANY,
    max_search_chars=_ANY,
)
"""No guard at all: for replaying programs that were guarded when they were first executed."""
