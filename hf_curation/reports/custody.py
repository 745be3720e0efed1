"""The chain of custody, checked: does the program of a page, run on the page as it came, give the page as it was left?

A report does not believe the `text` column. It parses the custody columns and executes them again, so that every red
line in it is an edit that the program really makes, and a page whose text was changed by anything else is counted.
"""

from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from hf_curation.programs.execute import execute
from hf_curation.programs.grammar import FIRST_LINE
from hf_curation.programs.limits import NO_LIMITS
from hf_curation.programs.model import (
    AddLine,
    Dialect,
    DropDocument,
    Edit,
    KeepAll,
    Program,
    RemoveAll,
    RemoveLines,
    ReplaceString,
)
from hf_curation.programs.printing import parse_programs
from hf_curation.refiners.base import Stage
from hf_curation.reports.folder import Page

PROBLEMS: Final[dict[str, str]] = {
    "text_differs": "the program, run on the original text, gives another text than the one in the data",
    "hash_differs": "the original text does not have the SHA-256 that was recorded when it came in",
    "program_does_not_fit": "the program is about a part of the page that the original text does not have",
    "kept_against_program": "the document program says to drop this page, and it is in the data",
    "dropped_without_program": "the page was dropped, and no program of it says so",
}
"""Problem -> what it means."""

OPERATIONS: Final[dict[type, str]] = {
    KeepAll: "keep",
    DropDocument: "drop document",
    RemoveAll: "remove all lines",
    RemoveLines: "remove lines",
    ReplaceString: "replace string",
    AddLine: "add line",
}


@dataclass(frozen=True, slots=True)
class Replay:
    """One page's programs, executed again."""

    operations: Counter[str]
    """Calls of the page's programs, by the words of `OPERATIONS`."""
    edits: tuple[Edit, ...] = ()
    checked: bool = False
    """False where the original text is not known, so that there was nothing to run the program on."""
    problem: str | None = None
    """A key of `PROBLEMS`; None when the page follows from its original and its program, or was not checked."""
    is_chained: bool = False
    """The page went through a stage more than once; `edits` is then empty."""
    first_number: int = 0
    """How the refiner's dialect numbers the first line of a page."""


def replay_page(page: Page) -> Replay:
    """Execute the programs of `page` on its original text and compare the outcome with what is in the data.

    The document program decides whether the page goes, the chunk program what of it; neither needs the guards of the
    run, for what is recorded is what passed them.
    """
    document, chunk = parse_programs(page.doc_program), parse_programs(page.chunk_program)
    earlier = [parse_programs(program) for program in page.earlier_programs]
    operations = Counter(OPERATIONS[type(call)] for program in (*document, *chunk) for call in program.calls)
    dialect = next((d for d in Dialect if page.chunk_program.startswith(f"# {d}")), Dialect.PROX)
    drops = any(isinstance(call, DropDocument) for program in document for call in program.calls)
    if page.original is None:
        return Replay(operations, first_number=FIRST_LINE[dialect])
    text, problem = page.original, None
    edits: tuple[Edit, ...] = ()
    try:
        for programs in (*earlier, chunk):
            text, edits = _run(text, programs)
    except ValueError:  # a scope that reaches past the text
        problem = "program_does_not_fit"
    return Replay(
        operations=operations,
        edits=() if earlier else edits,
        checked=True,
        problem=problem or _problem(page, page.original, text, drops=drops),
        is_chained=bool(earlier),
        first_number=FIRST_LINE[dialect],
    )


def _run(text: str, programs: list[Program]) -> tuple[str, tuple[Edit, ...]]:
    if not any(program.calls for program in programs):
        return text, ()
    result = execute(text, programs, limits=NO_LIMITS, stage=Stage.CHUNK)
    return result.text, result.edits


def _problem(page: Page, original: str, replayed: str, *, drops: bool) -> str | None:
    if page.original_sha256 is not None and sha256(original.encode()).hexdigest() != page.original_sha256:
        return "hash_differs"
    if page.status == "dropped":
        return None if drops or not replayed.strip() else "dropped_without_program"
    if drops:
        return "kept_against_program"
    return None if replayed == page.text else "text_differs"
