"""The refinement program as data: one typed AST for the dialects of ProX, RefineX and UltraX.

Line numbers in the AST are always 0-based and inclusive and count lines of the whole document, whatever the dialect
prints. Dialects differ only in how calls are spelled (`parse`, `print`), never in what a call means.
"""

from dataclasses import dataclass
from enum import StrEnum


class Dialect(StrEnum):
    """How programs are spelled. A property of the refiner; never guessed from a call."""

    PROX = "prox"
    REFINEX = "refinex"
    ULTRAX = "ultrax"


class Stage(StrEnum):
    """ProX's two passes: keep or drop the page, then edit its lines."""

    DOCUMENT = "document"
    CHUNK = "chunk"


@dataclass(frozen=True, slots=True)
class KeepAll:
    """Leave the text as it is: `keep_doc()`, `keep_chunk()`, `keep_all()`."""

    document: bool = False
    """True for the document stage (`keep_doc()`), where the opposite is `DropDocument`."""


@dataclass(frozen=True, slots=True)
class DropDocument:
    """Leave the whole document out: `drop_doc()`. Only the document stage may say so."""


@dataclass(frozen=True, slots=True)
class RemoveAll:
    """Remove every line of the chunk: `remove_all()`, ProX's undocumented `remove_lines(all=True)`."""


@dataclass(frozen=True, slots=True)
class RemoveLines:
    """Remove the lines `start` to `end`, 0-based, inclusive."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ReplaceString:
    """Replace the one occurrence of `source` in the scope by `target`.

    The scope is line `line` (RefineX `remove_str`, UltraX `replace_str`) or, when `line` is None, the chunk (ProX
    `normalize`).
    """

    source: str
    target: str = ""
    line: int | None = None


@dataclass(frozen=True, slots=True)
class AddLine:
    """Insert `text` as a line of its own after line `after`; -1 inserts before the first line (UltraX `add_line`).

    `order` ranks several insertions after the same line (UltraX's `sub_index`, normally from 1; 0 to 999).
    """

    after: int
    order: int
    text: str


Call = KeepAll | DropDocument | RemoveAll | RemoveLines | ReplaceString | AddLine


@dataclass(frozen=True, slots=True)
class Rejection:
    """One call that was not executed, and a key of `REASONS`.

    `call` is the source text (shortened) of what could not be read, or the `repr` of a call that did not fit the text.
    """

    call: str
    reason: str


@dataclass(frozen=True, slots=True)
class Scope:
    r"""The part of a document that a program may touch: characters `start:end`, whose first line is `first_line`.

    A scope normally covers whole lines, without the line break after its last one; its lines are
    `text[start:end].split("\n")`. It may also be a piece of one line too long for the refiner's window; then that
    piece is "line `first_line`" for the program. Offsets count characters of the text after `normalize_newlines`.
    """

    start: int
    end: int
    first_line: int


@dataclass(frozen=True, slots=True)
class Program:
    """What one refiner output asks for: calls in order, what of it could not be read, and where it applies."""

    calls: tuple[Call, ...]
    rejected: tuple[Rejection, ...] = ()
    scope: Scope | None = None
    """None: the whole document."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: characters `start:end` of the ORIGINAL text (as it came, CRs included) become `replacement`."""

    start: int
    end: int
    replacement: str = ""


@dataclass(frozen=True, slots=True)
class EditResult:
    """The outcome of executing programs on one document; report, statistics and card are views of it.

    `replay(original, result.edits) == result.text` always holds.
    """

    text: str
    edits: tuple[Edit, ...]
    """Sorted, disjoint spans of the original."""
    rejected: tuple[Rejection, ...] = ()
    """Calls that were not executed: the parser's rejections first, then the executor's."""
    fallbacks: tuple[str, ...] = ()
    """Keys of `FALLBACKS`, one per chunk or document that kept its text for that reason."""
    dropped: bool = False
    """The document stage (or, in `prox_compat`, a guard) left the document out; `text` is then empty."""
    num_applied: int = 0
    """Calls that were executed, `num_clamped` included."""
    num_clamped: int = 0
    """Line ranges whose end lay past the scope and was moved to its last line."""
    effective: tuple[Program, ...] = ()
    """Only what was executed, clamped: run on the original, under the same limits or none, it gives `text` again."""

    @property
    def status(self) -> str:
        """`dropped`, `fallback`, `edited` or `kept`; the value of the `refine_status` column."""
        if self.dropped:
            return "dropped"
        if self.edits:
            return "edited"
        return "fallback" if self.fallbacks else "kept"
