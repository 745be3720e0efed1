"""Which raw line became which clean line: the coarse half of `derive`.

A page of up to a few hundred lines is solved exactly: a dynamic program over pairs of lines finds the pairing that
loses the fewest clean lines and, among those, needs the fewest calls (a stretch of removed lines is one call). Longer
pages are first cut at runs of lines that are equal and rare on both sides.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from hf_curation.programs.align import equal_runs, shared_ends

MAX_CELLS: Final = 60_000
"""Largest product of line counts solved exactly; about 0.1 s."""

_SKIP_CLEAN: Final = 1_000.0
_OPEN_REMOVAL: Final = 1.0
_AFTER_KEPT, _AFTER_REMOVED, _SKIP = range(3)
"""How a cell was reached: by one raw line more, after a kept or a removed one, or by giving up a clean line."""

PairCost = Callable[[int, int], float | None]
"""Calls needed to turn one raw line into one clean line; None if the language cannot."""


def pair_lines(raw: Sequence[str], clean: Sequence[str], cost: PairCost) -> list[tuple[int, int]]:
    """Return pairs (raw line, clean line) without crossings; raw lines in no pair are to be removed."""
    head, tail = shared_ends(raw, clean)
    box = (head, len(raw) - tail, head, len(clean) - tail)
    pairs = [(i, i) for i in range(head)]
    pairs += _pair_box(raw, clean, box, cost)
    return pairs + [(len(raw) - k, len(clean) - k) for k in range(tail, 0, -1)]


def _pair_box(
    raw: Sequence[str], clean: Sequence[str], box: tuple[int, int, int, int], cost: PairCost
) -> Iterator[tuple[int, int]]:
    raw_at, raw_end, clean_at, clean_end = box
    if (raw_end - raw_at) * (clean_end - clean_at) <= MAX_CELLS:
        yield from _solve(box, cost)
        return
    for i, j, length in [*equal_runs(raw, clean, box), (raw_end, clean_end, 0)]:
        if (i - raw_at) * (j - clean_at) <= MAX_CELLS:
            yield from _solve((raw_at, i, clean_at, j), cost)
        yield from zip(range(i, i + length), range(j, j + length), strict=True)
        raw_at, clean_at = i + length, j + length


def _solve(box: tuple[int, int, int, int], cost: PairCost) -> list[tuple[int, int]]:
    """Pair the lines of a box at the least cost.

    `kept[j]` and `removed[j]` are the best costs of the raw lines so far against the first j clean lines, by whether
    the last raw line is kept; removing a line after a removed one is free.
    """
    raw_at, raw_end, clean_at, clean_end = box
    width = clean_end - clean_at + 1
    kept = [j * _SKIP_CLEAN for j in range(width)]
    removed = [float("inf")] * width
    steps: list[tuple[bytearray, bytearray]] = []
    for i in range(raw_at, raw_end):
        old_kept, old_removed = kept, removed
        kept, removed = [float("inf")] * width, [float("inf")] * width
        step_kept, step_removed = bytearray(width), bytearray(width)
        for j in range(width):
            opened, extended = old_kept[j] + _OPEN_REMOVAL, old_removed[j]
            removed[j], step_removed[j] = (extended, _AFTER_REMOVED) if extended <= opened else (opened, _AFTER_KEPT)
            if not j:
                continue
            if removed[j - 1] + _SKIP_CLEAN < removed[j]:
                removed[j], step_removed[j] = removed[j - 1] + _SKIP_CLEAN, _SKIP
            kept[j], step_kept[j] = kept[j - 1] + _SKIP_CLEAN, _SKIP
            price = cost(i, clean_at + j - 1)
            if price is not None:
                before, step = min((old_kept[j - 1], _AFTER_KEPT), (old_removed[j - 1], _AFTER_REMOVED))
                if before + price <= kept[j]:
                    kept[j], step_kept[j] = before + price, step
        steps.append((step_kept, step_removed))
    return _trace(steps, raw_at, clean_at, width - 1, is_kept=kept[-1] <= removed[-1])


def _trace(
    steps: list[tuple[bytearray, bytearray]], raw_at: int, clean_at: int, j: int, *, is_kept: bool
) -> list[tuple[int, int]]:
    """Walk the dynamic program's steps backwards and return the pairs."""
    pairs = []
    i = len(steps)
    while i:
        step = steps[i - 1][0 if is_kept else 1][j]
        if step == _SKIP:
            j -= 1
            continue
        i -= 1
        if is_kept:
            j -= 1
            pairs.append((raw_at + i, clean_at + j))
        is_kept = step == _AFTER_KEPT
    return pairs[::-1]
