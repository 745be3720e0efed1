"""One line into another by unique string edits: the fine half of `derive`.

The difference of two lines is taken over words, spaces and marks, not characters, so that a label names whole words.
Each hunk is then widened by neighbouring words until its text occurs once in the scope (the page, or the line, as the
dialect has it); hunks that grow into each other become one.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from hf_curation.programs.align import shared_ends
from hf_curation.programs.model import ReplaceString

_TOKEN: Final = re.compile(r"\w+|\s+|[^\w\s]")
_MAX_CELLS: Final = 100_000
"""Largest product of differing words and marks that are compared; beyond it the difference is one hunk."""
_MAX_SLIDES: Final = 64
_MIN_SOURCE: Final = 2

Hunk = tuple[int, int, str]
"""Characters `start:end` of a line, and what stands there instead."""


@dataclass(frozen=True, slots=True)
class StringRules:
    """What a string edit of the dialect may look like."""

    scope: str | None
    """The text in which the source must occur once; None when that is the line, which the edit then names."""
    max_insert_chars: int
    """Most new characters of one hunk; words of context around it do not count."""
    may_replace: bool
    """False where strings can only be deleted: then no context can be added either."""


def diff_line(line: str, wanted: str) -> list[Hunk]:
    """Return the hunks that turn `line` into `wanted`; very long lines get a single one."""
    head, tail = shared_ends(line, wanted)
    if head + tail == len(wanted):
        start, end = _slide_to_words(line, head, len(line) - tail)
        return [(start, end, "")] if start < end else []
    old, new, starts = _TOKEN.findall(line), _TOKEN.findall(wanted), _bounds(line)
    head, tail = shared_ends(old, new)
    old, new = old[head : len(old) - tail], new[head : len(new) - tail]
    if len(old) * len(new) > _MAX_CELLS:
        return [(starts[head], starts[head + len(old)], "".join(new))]
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [
        (starts[head + i], starts[head + end], "".join(new[j:stop]))
        for code, i, end, j, stop in codes
        if code != "equal"
    ]


def edits_of(line: str, hunks: list[Hunk], number: int, rules: StringRules) -> list[ReplaceString] | None:
    """Return unique string edits that make the hunks; None if the language cannot say one of them.

    Args:
        line: The line as it is.
        hunks: Sorted, disjoint.
        number: The line's number.
        rules: Scope and bounds.
    """
    if any(len(target) > rules.max_insert_chars for _, _, target in hunks):
        return None
    bounds = _bounds(line)
    made: list[tuple[Hunk, Hunk]] = []  # each hunk as it came, and widened
    for hunk in hunks:
        wide = _widen(line, hunk, bounds, rules)
        while made and wide is not None and wide[0] < made[-1][1][1]:
            start, end, target = made.pop()[0]
            hunk = (start, hunk[1], target + line[end : hunk[0]] + hunk[2])
            wide = _widen(line, hunk, bounds, rules)
        if wide is None:
            return None
        made.append((hunk, wide))
    named = number if rules.scope is None else None
    return [ReplaceString(line[start:end], target, named) for _, (start, end, target) in made]


def _widen(line: str, hunk: Hunk, bounds: list[int], rules: StringRules) -> Hunk | None:
    """Return the hunk with the fewest words of context that make its source unique."""
    scope = line if rules.scope is None else rules.scope
    if not line or _occurs_twice(scope, line):
        return None  # no more context can tell this line from its double
    for start, end, target in _contexts(line, hunk, bounds):
        if target and not rules.may_replace:
            return None
        source = line[start:end]
        if len(source) >= _MIN_SOURCE and not source.isspace() and not _occurs_twice(scope, source):
            return start, end, target
    return None


def _contexts(line: str, hunk: Hunk, bounds: list[int]) -> Iterator[Hunk]:
    """Yield the hunk itself, the same deletion elsewhere in a repetition, and the hunk between more and more words."""
    start, end, target = hunk
    yield hunk
    if not target:
        for begin in _slides(line, start, end):
            yield begin, begin + end - start, ""
    first, last = bisect_left(bounds, start), bisect_right(bounds, end) - 1
    num_words = 1
    while num_words <= len(bounds):
        left, right = bounds[max(first - num_words, 0)], bounds[min(last + num_words, len(bounds) - 1)]
        yield left, end, line[left:start] + target
        yield start, right, target + line[end:right]
        yield left, right, line[left:start] + target + line[end:right]
        num_words += 1 + num_words // 4
    yield 0, len(line), line[:start] + target + line[end:]


def _slide_to_words(line: str, start: int, end: int) -> tuple[int, int]:
    """Move a deletion to where it begins and ends between words, if deleting there is the same."""
    bounds = set(_bounds(line))
    for begin in (start, *_slides(line, start, end)):
        if begin in bounds and begin + end - start in bounds:
            return begin, begin + end - start
    return start, end


def _slides(line: str, start: int, end: int) -> Iterator[int]:
    """Yield other starts at which a deletion of the same length leaves the same line, to the left and to the right."""
    length = end - start
    for begin in range(start - 1, max(start - _MAX_SLIDES, 0) - 1, -1):
        if line[begin] != line[begin + length]:
            break
        yield begin
    for begin in range(start + 1, min(start + _MAX_SLIDES, len(line) - length) + 1):
        if line[begin - 1] != line[begin + length - 1]:
            break
        yield begin


def _occurs_twice(scope: str, source: str) -> bool:
    return scope.find(source, scope.find(source) + 1) >= 0


def _bounds(line: str) -> list[int]:
    """Return where words, spaces and marks begin, and the line's length."""
    return [0, *(match.end() for match in _TOKEN.finditer(line))]
