r"""Line numbers and string positions as spans of the original text, and replaying them.

Programs speak about the text after `normalize_newlines`; edits are spans of the text as it came. `Page` holds both and
maps offsets between them, which costs something only where the text holds a `\r\n`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

from hf_curation.programs.lines import normalize_newlines
from hf_curation.programs.model import Edit

Span = tuple[int, int, str]
"""(start, end, replacement) in the normalised text."""


def replay(original: str, edits: Sequence[Edit]) -> str:
    """Return `original` with `edits` applied: the definition of what an edit means.

    Args:
        original: The text as it came, carriage returns included.
        edits: Sorted, disjoint spans of it; several insertions at one place are applied in order.
    """
    parts, pos = [], 0
    for edit in edits:
        parts.append(original[pos : edit.start])
        parts.append(edit.replacement)
        pos = edit.end
    parts.append(original[pos:])
    return "".join(parts)


class Page:
    """A document's lines and where they stand."""

    __slots__ = ("_lengths", "last_line", "original", "text")

    def __init__(self, original: str) -> None:
        self.original = original
        self.text = normalize_newlines(original)
        lines = self.text.split("\n")
        self._lengths = list(accumulate(map(len, lines), initial=0))
        self.last_line = len(lines) - 1

    def line_start(self, line: int) -> int:
        """Return the offset of the first character of a line; that of the last line + 1 is one past the text."""
        return self._lengths[line] + line

    def line_end(self, line: int) -> int:
        """Return the offset of the line break after a line, or of the text's end."""
        return self._lengths[line + 1] + line

    def line_at(self, offset: int) -> int:
        """Return the line that holds an offset; a line break belongs to the line that it ends."""
        return bisect_left(range(self.last_line), offset, key=self.line_end)

    def edits(self, spans: Iterable[Span]) -> tuple[Edit, ...]:
        """Return sorted spans of the normalised text as edits of the original."""
        if self.text is self.original or len(self.text) == len(self.original):
            return tuple([Edit(start, end, replacement) for start, end, replacement in spans])
        breaks = self._long_breaks()
        return tuple(
            [Edit(s + bisect_left(breaks, s), e + bisect_left(breaks, e), replacement) for s, e, replacement in spans]
        )

    def _long_breaks(self) -> list[int]:
        r"""Return the normalised offset of every line break that is `\r\n` in the original."""
        breaks: list[int] = []
        pos = self.original.find("\r\n")
        while pos >= 0:
            breaks.append(pos - len(breaks))
            pos = self.original.find("\r\n", pos + 2)
        return breaks


def merge_ranges(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return inclusive integer ranges as the fewest sorted, disjoint, non-adjacent ones."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if merged and start <= merged[-1][1] + 1:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def removal_spans(page: Page, removed: Sequence[tuple[int, int]], added: dict[int, list[str]]) -> list[Span]:
    """Return the spans that remove whole lines with their line breaks and insert lines.

    What is left is the kept and added lines joined by line breaks: the break that goes is the one after a removed
    stretch, or before it at the end of the page.

    Args:
        page: The document.
        removed: Merged ranges of line numbers.
        added: Texts to insert after a line, by line; -1 is before the first. Emptied of what falls into a removed
            stretch, whose place those texts take.
    """
    lines = sorted(added)
    if removed and removed[0] == (0, page.last_line):
        return [(0, len(page.text), "\n".join([text for line in lines for text in added[line]]))]
    spans: list[Span] = []
    for first, last in removed:
        inside = lines[bisect_left(lines, first) : bisect_right(lines, last)] if lines else []
        texts = [text for line in inside for text in added.pop(line)]
        if last == page.last_line:
            spans.append((page.line_start(first) - 1, len(page.text), "".join([f"\n{text}" for text in texts])))
        else:
            spans.append((page.line_start(first), page.line_start(last + 1), "".join([f"{text}\n" for text in texts])))
    for line, texts in added.items():
        offset = 0 if line < 0 else page.line_end(line)
        spans.append((offset, offset, "".join([f"{text}\n" if line < 0 else f"\n{text}" for text in texts])))
    return spans
