"""Calls become spans: the edits that the programs of one page have agreed on so far.

Two passes over the calls, removals first, make the outcome independent of their order. A refiner may be shown a piece
of a line that is too long for its window; a removed piece goes by its characters, and when all pieces of a line are
removed, the line goes.
"""

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from hf_curation.programs.limits import Limits
from hf_curation.programs.literals import decode_escapes
from hf_curation.programs.model import AddLine, Call, RemoveAll, RemoveLines, ReplaceString, Scope
from hf_curation.programs.spans import Page, Span, merge_ranges, removal_spans

_MIN_SOURCE = 2


class Part(NamedTuple):
    """The part of a page that a program may touch: characters `start:end`, lines `first` to `last`."""

    start: int
    end: int
    first: int
    last: int
    is_whole: bool = True
    """Whether it begins and ends with a line; a piece of a line too long for a window does not."""


class RejectedError(Exception):
    """A call that does not fit the text; the argument is the reason."""


class Budget:
    """What one program may still do."""

    def __init__(self, limits: Limits) -> None:
        self.added_chars = limits.max_added_chars
        self.search_chars = limits.max_search_chars


class Collector:
    """The edits of one page, in the making. Removals first, then `close_removals`, then strings and lines to add."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self._removed: list[tuple[int, int]] = []
        self._spans: list[Span] = []
        self._added: dict[int, list[tuple[int, str]]] = {}

    def part(self, scope: Scope | None) -> Part:
        """Return where a program applies.

        Raises:
            ValueError: if the scope does not fit the page.
        """
        page = self.page
        if scope is None:
            return Part(0, len(page.text), 0, page.last_line)
        start, end, first = scope.start, scope.end, scope.first_line
        if not 0 <= start <= end <= len(page.text) or page.line_at(start) != first:
            raise ValueError(
                f"scope {start}:{end} from line {first} does not fit a text of {len(page.text)} characters and "
                f"{page.last_line + 1} lines: was the program written for another text?"
            )
        last = first + page.text.count("\n", start, end)
        return Part(start, end, first, last, start == page.line_start(first) and end == page.line_end(last))

    def remove(self, call: RemoveLines | RemoveAll, part: Part) -> Call:
        """Note lines to remove; return the call as executed, clamped to the part.

        Raises:
            RejectedError: if the range does not begin inside the part, or is reversed.
        """
        if isinstance(call, RemoveAll):
            first, last = part.first, part.last
        else:
            first, last = call.start, call.end
            if first > last:
                raise RejectedError("reversed_range")
            if not part.first <= first <= part.last:
                raise RejectedError("line_out_of_range")
            if last > part.last:
                last = part.last
                call = RemoveLines(first, last)
        if part.is_whole:
            self._removed.append((first, last))
        else:
            self._remove_pieces(first, last, part)
        return call

    def _remove_pieces(self, first: int, last: int, part: Part) -> None:
        """Remove lines of a part whose first or last line is only a piece of one."""
        page = self.page
        if first == part.first and part.start > page.line_start(first):
            self._spans.append((part.start, min(part.end, page.line_end(first)), ""))
            first += 1
        if first <= last == part.last and part.end < page.line_end(last):
            self._spans.append((page.line_start(last), part.end, ""))
            last -= 1
        if first <= last:
            self._removed.append((first, last))

    def close_removals(self) -> None:
        """Merge what is to be removed; a line whose pieces are all removed becomes a removed line."""
        pieces = merge_ranges([(start, end - 1) for start, end, _ in self._spans if start < end])
        for start, last in pieces:
            line = self.page.line_at(start)
            if (start, last + 1) == (self.page.line_start(line), self.page.line_end(line)):
                self._removed.append((line, line))
        self._removed = merge_ranges(self._removed)
        self._spans = [(start, last + 1, "") for start, last in pieces if not self._is_removed(start)]

    def replace(self, call: ReplaceString, part: Part, budget: Budget) -> Call:
        """Replace the one occurrence of a string; return the call with the spelling that was found.

        The string is searched as it stands; one that does not occur and holds a backslash is searched once more with
        its escapes decoded, and then the replacement is decoded too.

        Raises:
            RejectedError: with the reason.
        """
        _check_strings(call)
        start, end = part.start, part.end
        if call.line is not None:
            if not part.first <= call.line <= part.last:
                raise RejectedError("line_out_of_range")
            start, end = max(start, self.page.line_start(call.line)), min(end, self.page.line_end(call.line))
        found = self._find(call.source, start, end, budget)
        if found < 0 and "\\" in call.source:
            call = ReplaceString(decode_escapes(call.source), decode_escapes(call.target), call.line)
            _check_strings(call)
            found = self._find(call.source, start, end, budget)
        if found < 0:
            raise RejectedError("not_found")
        span = found, found + len(call.source), call.target
        place = bisect_left(self._spans, span)
        if self._is_taken(span, place):
            raise RejectedError("overlap")
        _spend(budget, len(call.target))
        self._spans.insert(place, span)
        return call

    def add_line(self, call: AddLine, part: Part, budget: Budget) -> Call:
        """Insert a line after a line of the part, or before its first.

        Raises:
            RejectedError: with the reason.
        """
        if "\n" in call.text or "\r" in call.text:
            raise RejectedError("newline_in_source")
        if part.first <= call.after <= part.last:
            fits = self.page.line_end(call.after) <= part.end
        else:
            fits = call.after == part.first - 1 and self.page.line_start(part.first) == part.start
        if not fits:
            raise RejectedError("line_out_of_range")
        _spend(budget, len(call.text) + 1)  # with its line break
        self._added.setdefault(call.after, []).append((call.order, call.text))
        return call

    def spans(self) -> list[Span]:
        """Return all edits, sorted and disjoint."""
        added = {line: [text for _, text in sorted(texts, key=_rank)] for line, texts in self._added.items()}
        return sorted(removal_spans(self.page, self._removed, added) + self._spans)

    def _find(self, source: str, start: int, end: int, budget: Budget) -> int:
        budget.search_chars -= end - start
        if budget.search_chars < 0:
            raise RejectedError("program_too_long")
        found = self.page.text.find(source, start, end)
        if found >= 0 and self.page.text.find(source, found + 1, end) >= 0:
            raise RejectedError("ambiguous_match")
        return found

    def _is_taken(self, span: Span, place: int) -> bool:
        start, end, _ = span
        spans = self._spans
        if (place and spans[place - 1][1] > start) or (place < len(spans) and spans[place][0] < end):
            return True
        return self._is_removed(start)

    def _is_removed(self, offset: int) -> bool:
        if not self._removed:
            return False
        line = self.page.line_at(offset)
        index = bisect_right(self._removed, (line, self.page.last_line)) - 1
        return index >= 0 and self._removed[index][1] >= line


def _rank(ranked: tuple[int, str]) -> int:
    return ranked[0]


def _check_strings(call: ReplaceString) -> None:
    if len(call.source) < _MIN_SOURCE or call.source.isspace():
        raise RejectedError("source_too_short")
    if any(mark in string for string in (call.source, call.target) for mark in "\n\r"):
        raise RejectedError("newline_in_source")
    if call.source == call.target:
        raise RejectedError("no_effect")


def _spend(budget: Budget, num_chars: int) -> None:
    if num_chars > budget.added_chars:
        raise RejectedError("added_too_much")
    budget.added_chars -= num_chars
