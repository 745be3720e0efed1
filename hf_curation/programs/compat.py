"""ProX's own executor, as its code documents it, for people who compare with published numbers.

What it does differently from `execute`, on purpose and as in GAIR-NLP/ProX (utils/chunk_utils.py):

- All programs of a page act on the whole page; scopes and line numbers of string edits are ignored.
- Strings are replaced one after the other on the running text, every occurrence, also inside words.
- A page is dropped when at most 5 % of its words are left (and the program has fewer than two errors), or when ten
  words or fewer are left, whatever the program did: short and unspaced pages go even if the program keeps them.
- Two errors void all edits of the page. Errors are calls that cannot be read and ranges that reach past the last line;
  unknown calls, prose and strings that do not occur are none.
- `keep_chunk()` beside edits changes nothing, and a program that repeats itself is executed.

Where the reference is plainly wrong, this follows our parser instead: strings with commas, equals signs, parentheses
or escaped quotes mean what they say, arguments are bound by name, torn calls are never executed, numbers are ASCII
digits, a range costs the same however long, a reversed or negative range does nothing (and is rejected), lines are
counted after newlines are normalised, blank pages pass through instead of raising ZeroDivisionError.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from hf_curation.programs.align import shared_ends
from hf_curation.programs.model import (
    Call,
    Edit,
    EditResult,
    KeepAll,
    Program,
    Rejection,
    RemoveAll,
    RemoveLines,
    ReplaceString,
)
from hf_curation.programs.read_variants import shorten
from hf_curation.programs.spans import Page, Span, merge_ranges, removal_spans, replay

_NO_ERRORS = {"prose", "unknown_call"}


@dataclass(kw_only=True, slots=True, frozen=True)
class ProxGuards:
    """The reference's thresholds, with its defaults."""

    min_kept_ratio: float = 0.0
    """`threshold_1`: below this share of words kept, the page stays as it came."""
    max_removed_ratio: float = 0.95
    """`threshold_2`: at this share of words removed, or above, the page is dropped."""
    max_errors: int = 2
    """`error_op`: this many errors void all edits of the page."""
    min_words: int = 10
    """A page left with this many words or fewer is dropped."""


def execute_prox_compat(
    text: str, programs: Program | Sequence[Program], *, guards: ProxGuards | None = None
) -> EditResult:
    """Execute the chunk programs of one page with the reference's semantics and guards; see the module's docstring.

    `edits` replay as everywhere; `effective` is empty, because `execute` would not give the same text.
    """
    guards = guards or ProxGuards()
    programs = (programs,) if isinstance(programs, Program) else programs
    if not text.split():
        return EditResult(text, (), tuple(r for program in programs for r in program.rejected), ("empty",))
    run = _CompatRun(text)
    for program in programs:
        run.rejected += program.rejected
        run.num_errors += sum(rejection.reason not in _NO_ERRORS for rejection in program.rejected)
        for call in program.calls:
            run.take(call)
    edits = run.finish()
    result = replay(text, edits)
    num_words = len(result.split())
    ratio = num_words / len(text.split())
    is_sound = run.num_errors < guards.max_errors
    fallbacks: tuple[str, ...] = ()
    is_dropped = False
    if (ratio <= 1 - guards.max_removed_ratio and is_sound) or num_words <= guards.min_words:
        edits, result, is_dropped = (Edit(0, len(text)),), "", True
    elif ratio < guards.min_kept_ratio or not is_sound:
        edits, result = (), text
        fallbacks = ("removed_too_much" if is_sound else "too_many_errors",)
    return EditResult(
        text=result,
        edits=edits,
        rejected=tuple(run.rejected),
        fallbacks=fallbacks,
        dropped=is_dropped,
        num_applied=run.num_applied,
        num_clamped=run.num_clamped,
    )


class _CompatRun:
    """The state of one page: a running text, and ranges of lines to delete from it at the end."""

    def __init__(self, text: str) -> None:
        self.page = Page(text)
        self.running = self.page.text
        self.ranges: list[tuple[int, int]] = []
        self.rejected: list[Rejection] = []
        self.num_errors = self.num_applied = self.num_clamped = 0

    def take(self, call: Call) -> None:
        """Execute one call, or note why not."""
        reason = self._try(call)
        if reason is None:
            self.num_applied += 1
        else:
            self.rejected.append(Rejection(shorten(repr(call)), reason))

    def _try(self, call: Call) -> str | None:
        match call:
            case RemoveAll():
                self.ranges.append((0, self.page.last_line))
            case RemoveLines(start, end):
                return self._remove(start, end)
            case ReplaceString(source, target):
                return self._replace(source, target)
            case KeepAll(document=False):
                return None
            case _:
                return "unknown_call"
        return None

    def _remove(self, start: int, end: int) -> str | None:
        if start > end:
            return "reversed_range"
        if start < 0:
            return "line_out_of_range"
        self.ranges.append((start, end))
        if start > self.page.last_line:
            return "line_out_of_range"
        self.num_clamped += end > self.page.last_line
        return None

    def _replace(self, source: str, target: str) -> str | None:
        if not source.strip(" "):
            return "source_too_short"
        if "\n" in source or "\n" in target:
            return "newline_in_source"
        if source not in self.running:
            return "not_found"
        self.running = self.running.replace(source, target)
        return None

    def finish(self) -> tuple[Edit, ...]:
        """Count errors of ranges, and return what the calls made of the page as edits, line by line."""
        last_line = self.page.last_line
        merged = merge_ranges(self.ranges)  # the reference counts after merging: two overlong ranges may be one error
        self.num_errors += sum(end > last_line for _, end in merged)
        removed = [(start, min(end, last_line)) for start, end in merged if start <= last_line]
        spans = removal_spans(self.page, removed, {})
        if self.running != self.page.text:
            gone = {line for first, last in removed for line in range(first, last + 1)}
            old_lines, new_lines = self.page.text.split("\n"), self.running.split("\n")
            for number, (old, new) in enumerate(zip(old_lines, new_lines, strict=True)):
                if old != new and number not in gone:
                    spans.append(_changed(self.page.line_start(number), old, new))
        return self.page.edits(sorted(spans))


def _changed(start: int, old: str, new: str) -> Span:
    head, tail = shared_ends(old, new)
    return start + head, start + len(old) - tail, new[head : len(new) - tail]
