"""Two refiners that bound all others: one that keeps everything, and one that is told the clean text.

No figure of a refiner means anything without them: on documentation pages keep-all is right about most lines, and no
remover of whole lines can do better than the oracle.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Final

from hf_curation.programs.align import keep_lines
from hf_curation.programs.lines import normalize_newlines
from hf_curation.programs.model import Call, Dialect, DropDocument, KeepAll, Program, RemoveLines, Scope
from hf_curation.programs.printing import print_program
from hf_curation.refiners.base import Draft, Stage, Window


class KeepEverything:
    """A refiner that removes nothing."""

    name: Final = "keep-all"
    dialect: Final = Dialect.PROX

    def __init__(self, stage: Stage = Stage.CHUNK) -> None:
        self.stage = stage

    def windows(self, text: str) -> list[Window]:
        """Return the page as one window."""
        return [_whole(text)]

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        """Return `keep_chunk()`, or `keep_doc()`, for each window."""
        program = print_program(Program((KeepAll(document=self.stage is Stage.DOCUMENT),)), self.dialect)
        return [Draft(program) for _ in windows]


class LineOracle:
    """A refiner that knows the clean text of each page and removes the lines that it does not hold.

    The upper bound of whole-line removal, by the line rule of `programs.align.keep_lines`.
    """

    name: Final = "oracle"
    dialect: Final = Dialect.PROX

    def __init__(self, pairs: Iterable[tuple[str, str]], stage: Stage = Stage.CHUNK) -> None:
        """Learn the (page, clean text) pairs; other pages cannot be refined."""
        self.stage = stage
        self._clean: Mapping[str, str] = {normalize_newlines(raw): clean for raw, clean in pairs}

    def windows(self, text: str) -> list[Window]:
        """Return the page as one window."""
        return [_whole(text)]

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        """Return the best program of each window.

        Raises:
            ValueError: for a page whose clean text it was not told.
        """
        return [Draft(print_program(Program(self._calls(window.text)), self.dialect)) for window in windows]

    def _calls(self, text: str) -> tuple[Call, ...]:
        if text not in self._clean:
            raise ValueError(f"the oracle was not told the clean text of a page of {len(text)} characters")
        clean = self._clean[text]
        if self.stage is Stage.DOCUMENT:
            return (KeepAll(document=True) if clean.strip() else DropDocument(),)
        return removals(keep_lines(text.split("\n"), clean)) or (KeepAll(),)


def removals(keep: Sequence[bool]) -> tuple[RemoveLines, ...]:
    """Return one call for each stretch of lines that are not kept."""
    calls: list[RemoveLines] = []
    for is_kept, stretch in groupby(range(len(keep)), key=keep.__getitem__):
        if not is_kept:
            lines = list(stretch)
            calls.append(RemoveLines(lines[0], lines[-1]))
    return tuple(calls)


def _whole(text: str) -> Window:
    return Window(text, 0, Scope(0, len(text), 0))
