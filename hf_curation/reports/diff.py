"""A page and its edits as numbered lines: what stayed, what went, what was put in its place.

Everything here streams: lines are cut from the page as they are asked for, long runs keep their ends, and a page
stops at its budget of HTML bytes with the rest counted. So a page of a million lines, or of one line of 10 MB, costs
time but neither memory nor room in the report.
"""

import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby, islice
from typing import Literal

from hf_curation.programs.model import Edit
from hf_curation.reports.visible import markup_bytes

LineKind = Literal["kept", "removed", "changed", "added"]
SegmentKind = Literal["keep", "del", "ins", "gap"]

HEAD_LINES = {"removed": 4, "kept": 6}
"""Lines shown at either end of a long run; the middle is folded."""
MIN_FOLD = 5
"""A run is folded when that hides at least so many lines."""
MAX_FOLDED_LINES = 60
"""Lines inside one fold; those after them are only counted."""
MAX_SEGMENT = 900
"""Characters shown of one uninterrupted stretch of a line; its middle is only counted."""
LINE_BYTES, SEGMENT_BYTES, BLOCK_BYTES = 90, 40, 160
"""Upper bounds on the markup around a line, a segment and a fold; the page budget counts them."""

_NEWLINE_RE = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one line; of a `gap`, `text` says how much is not shown."""

    kind: SegmentKind
    text: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the diff; lines that a program added have no number."""

    kind: LineKind
    number: int | None
    segments: tuple[Segment, ...]
    num_chars: int


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive lines, folded (a click opens them) or not, and how many more there were."""

    lines: tuple[Line, ...]
    folded: bool = False
    kind: LineKind = "kept"
    num_lines: int = 0
    num_chars: int = 0
    num_hidden: int = 0
    """Lines of a fold that are counted in `num_lines` but not in the report."""


@dataclass(frozen=True, slots=True)
class Diff:
    """As much of a page as its budget allows."""

    blocks: tuple[Block, ...]
    hidden_lines: int = 0
    hidden_chars: int = 0
    num_bytes: int = 0


def diff(original: str, edits: Sequence[Edit], *, max_bytes: int, first_number: int = 0) -> Diff:
    """Return `original` with `edits` marked, in at most about `max_bytes` of HTML."""
    lines = annotate(original, edits, first_number=first_number)
    return _within(max_bytes, fold(lines))


def annotate(original: str, edits: Sequence[Edit], *, first_number: int = 0) -> Iterator[Line]:
    r"""Yield the lines of `original` with what `edits` (sorted, disjoint spans) do to each.

    Lines end at `\r\n`, `\r` or `\n`, as in `programs.lines`; spans count characters of the text as it came.
    """
    first = 0  # the first edit that may still touch the present line or one after it
    for number, (start, end, stop) in enumerate(_spans(original), first_number):
        is_last = stop == end
        while first < len(edits) and edits[first].end < start:
            first += 1
        if first == len(edits) or edits[first].start > stop:  # no edit is near, as for most lines
            segments = [Segment("keep", original[start:end])] if start < end else []
            yield Line("kept", number, tuple(chain.from_iterable(map(_shorten, segments))), end - start)
            continue
        here = []
        for index in range(first, len(edits)):
            edit = edits[index]
            if edit.start > stop or (edit.start == stop and not is_last):
                break
            if edit.end > start or edit.start == edit.end or is_last:
                here.append(edit)
        before, segments, after = _segments(original, start, end, here)
        blank_gone = start == end and any(_takes_break(edit, original, end, stop) for edit in here)
        gone = all(segment.kind == "del" for segment in segments) and (bool(segments) or blank_gone)
        kind: LineKind = "removed" if gone else "changed" if any(s.kind != "keep" for s in segments) else "kept"
        yield from map(_added, before)
        yield Line(kind, number, tuple(chain.from_iterable(map(_shorten, segments))), end - start)
        yield from map(_added, after)


def fold(lines: Iterable[Line]) -> Iterator[Block]:
    """Yield `lines` in blocks; the middle of a long run of kept or of removed lines becomes a folded block."""
    for kind, run in groupby(lines, key=lambda line: line.kind):
        if kind in HEAD_LINES:
            yield from _fold_run(kind, run, HEAD_LINES[kind])
        else:
            yield from (Block((line,)) for line in run)


def _fold_run(kind: LineKind, run: Iterator[Line], num_ends: int) -> Iterator[Block]:
    head = tuple(islice(run, num_ends))
    middle: list[Line] = []
    tail: deque[Line] = deque()
    num_lines = num_chars = 0
    for line in run:
        tail.append(line)
        if len(tail) > num_ends:
            folded = tail.popleft()
            num_lines, num_chars = num_lines + 1, num_chars + folded.num_chars
            if len(middle) < MAX_FOLDED_LINES:
                middle.append(folded)
    if num_lines < MIN_FOLD:
        yield Block((*head, *middle, *tail))
        return
    yield Block(head)
    yield Block(tuple(middle), True, kind, num_lines, num_chars, num_lines - len(middle))
    yield Block(tuple(tail))


def _within(max_bytes: int, blocks: Iterable[Block]) -> Diff:
    shown: list[Block] = []
    used = hidden_lines = hidden_chars = 0
    is_full = False
    for block in blocks:
        lines: list[Line] = []
        for line in () if is_full else block.lines:
            cost = _line_bytes(line) + (0 if lines else BLOCK_BYTES)
            is_full = used + cost > max_bytes
            if is_full:
                break
            used += cost
            lines.append(line)
        cut = block.lines[len(lines) :]
        if block.folded and lines:  # the fold itself says how many of its lines are shown
            shown.append(replace(block, lines=tuple(lines), num_hidden=block.num_hidden + len(cut)))
            continue
        if lines:
            shown.append(Block(tuple(lines)))
        hidden_lines += block.num_lines if block.folded else len(cut)
        hidden_chars += block.num_chars if block.folded else sum(line.num_chars for line in cut)
    return Diff(tuple(shown), hidden_lines, hidden_chars, used)


def _line_bytes(line: Line) -> int:
    edited = {"del", "ins"}
    sizes = (markup_bytes(segment.text, all_spaces=segment.kind in edited) for segment in line.segments)
    return LINE_BYTES + SEGMENT_BYTES * len(line.segments) + sum(sizes)


def _spans(text: str) -> Iterator[tuple[int, int, int]]:
    """Yield (start, end, end with separator) of every line; a text has one line more than it has separators."""
    start = 0
    for match in _NEWLINE_RE.finditer(text):
        yield start, match.start(), match.end()
        start = match.end()
    yield start, len(text), len(text)


def _takes_break(edit: Edit, original: str, end: int, stop: int) -> bool:
    """Whether `edit` takes the break that goes with a line: the one after it, or at the very end the one before it."""
    reaches_end = edit.end == len(original)
    if end == stop:
        return reaches_end and (edit.start == 0 or (edit.start < edit.end and original[edit.start] in "\r\n"))
    return edit.start <= end and edit.end >= stop and not (reaches_end and edit.start == end > 0)


def _segments(
    original: str, start: int, end: int, edits: Sequence[Edit]
) -> tuple[list[str], list[Segment], list[str]]:
    """Return the lines put in before, the segments of the line `start:end`, and the lines put in after."""
    before: list[str] = []
    after: list[str] = []
    segments: list[Segment] = []
    position = start
    for edit in edits:
        low, high = max(edit.start, start), min(edit.end, end)
        if low > position:
            segments.append(Segment("keep", original[position : min(low, end)]))
        if high > low:
            segments.append(Segment("del", original[low:high]))
        position = max(position, min(high, end))
        if not edit.replacement or edit.start < start:
            continue
        if "\n" not in edit.replacement:
            segments.append(Segment("ins", edit.replacement))
        elif edit.start == start:
            before += edit.replacement.removesuffix("\n").split("\n")
        else:
            after += edit.replacement.removeprefix("\n").split("\n")
    if position < end:
        segments.append(Segment("keep", original[position:end]))
    return before, segments, after


def _added(text: str) -> Line:
    return Line("added", None, tuple(_shorten(Segment("ins", text))), len(text))


def _shorten(segment: Segment) -> list[Segment]:
    if len(segment.text) <= MAX_SEGMENT:
        return [segment]
    hidden = len(segment.text) - MAX_SEGMENT
    gap = Segment("gap", f"… {hidden:,} characters not shown …")
    head, tail = segment.text[: MAX_SEGMENT * 2 // 3], segment.text[-(MAX_SEGMENT // 3) :]
    return [Segment(segment.kind, head), gap, Segment(segment.kind, tail)]
