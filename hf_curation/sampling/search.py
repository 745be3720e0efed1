"""The last copy within a limit, found without sorting: digits of the threshold from the top, a pass for each.

A pass sums the sizes of copies by the next 16 bits of their key, among those that agree with the digits found so far;
the digit is the bin in which the running sum meets the limit. As soon as the copies left fit into memory they are
collected and sorted. With a million held: 1 pass for up to 1e6 documents; for more, a pass for levels (numbers of
copies), then 2 for 5e6 and 3 for 1e9, at worst 9 when millions of keys are equal and hashes decide. Sums are of
integers, so the point is exact, whatever the order and the chunks; memory is 1 MB a pool and what is held.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hf_curation.sampling.points import NOTHING, Point, everything

_DIGIT_BITS: Final = 16
_BINS: Final = 1 << _DIGIT_BITS
_DIGITS_A_WORD: Final = 64 // _DIGIT_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Documents with copies to give: numbers `have + 1` to `allow` of each, all of the same size."""

    pools: NDArray[np.int32]
    """Which limit a document counts towards."""
    keys: NDArray[np.uint64]
    hashes: NDArray[np.uint64]
    sizes: NDArray[np.int64]
    have: NDArray[np.int16]
    allow: NDArray[np.int16]

    def take(self, rows: NDArray[np.bool_]) -> "Copies":
        """Return some of the documents."""
        return Copies(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def at(self, level: int | NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return bool[N], whether a document has a copy of this number to give."""
        return (self.have < level) & (level <= self.allow)


@dataclass(slots=True)
class _Front:
    """How far the search of one pool has come."""

    remaining: int
    """Of the limit, after the copies above this place."""
    level: int = 0
    num_documents: int = 0
    key: int = 0
    hash: int = 0

    def point(self) -> Point:
        return Point(self.level, self.key, self.hash)


def search(
    read: Callable[[], Iterator[Copies]], limits: Sequence[int], *, max_repeats: int, max_held: int, num_documents: int
) -> list[Point]:
    """Return, for every pool, the first copy in its order at which the sum of sizes reaches the limit.

    Args:
        read: yields the documents of all pools, anew with every call.
        limits: of every pool, in the unit of sizes. 0 gives `NOTHING`; more than there is, `everything`.
        max_repeats: the highest number of a copy.
        max_held: documents that may be held in memory.
        num_documents: upper bound of the number of documents that `read` yields.
    """
    if not any(limits):
        return [NOTHING] * len(limits)
    if num_documents <= max_held:
        return _search_in_memory(_concatenated(read()), limits, max_repeats)
    fronts = _find_levels(read, limits, max_repeats)
    for digit in range(2 * _DIGITS_A_WORD):
        if sum(front.num_documents for front in fronts if front.level) <= max_held:
            _finish_in_memory(_concatenated(_left(read, fronts, digit)), fronts)
            break
        _find_digit(_left(read, fronts, digit), fronts, digit)
    return [
        front.point() if front.level else (everything(max_repeats) if limit else NOTHING)
        for front, limit in zip(fronts, limits, strict=True)
    ]


def _find_levels(read: Callable[[], Iterator[Copies]], limits: Sequence[int], max_repeats: int) -> list[_Front]:
    """Sum up every level of every pool; level 0 stays where the limit is 0 or all copies are too few."""
    sizes = np.zeros((len(limits), max_repeats + 1), dtype=np.int64)
    counts = np.zeros_like(sizes)
    for copies in read():
        for level in range(1, max_repeats + 1):
            rows = copies.at(level)
            np.add.at(sizes[:, level], copies.pools[rows], copies.sizes[rows])
            np.add.at(counts[:, level], copies.pools[rows], 1)
    fronts = []
    for pool, limit in enumerate(limits):
        sums = np.cumsum(sizes[pool])
        front = _Front(limit)
        if 0 < limit <= sums[-1]:
            front.level = int(np.searchsorted(sums, limit))
            front.remaining = limit - int(sums[front.level - 1])
            front.num_documents = int(counts[pool, front.level])
        fronts.append(front)
    return fronts


def _left(read: Callable[[], Iterator[Copies]], fronts: Sequence[_Front], digit: int) -> Iterator[Copies]:
    """Yield the documents that agree with their front in all digits before `digit`."""
    levels = np.array([front.level for front in fronts])
    keys = np.array([front.key for front in fronts], dtype=np.uint64)
    hashes = np.array([front.hash for front in fronts], dtype=np.uint64)
    for copies in read():
        level = levels[copies.pools]
        rows = copies.at(level) & (level > 0)
        if digit:
            shift = _shift(min(digit, _DIGITS_A_WORD) - 1)
            rows &= (copies.keys >> shift) == (keys[copies.pools] >> shift)
        if digit > _DIGITS_A_WORD:
            shift = _shift(digit - _DIGITS_A_WORD - 1)
            rows &= (copies.hashes >> shift) == (hashes[copies.pools] >> shift)
        yield copies.take(rows)


def _find_digit(left: Iterator[Copies], fronts: Sequence[_Front], digit: int) -> None:
    """Fix one more digit of every open front."""
    is_key = digit < _DIGITS_A_WORD
    shift = _shift(digit % _DIGITS_A_WORD)
    sizes = np.zeros(len(fronts) * _BINS, dtype=np.int64)
    counts = np.zeros_like(sizes)
    for copies in left:
        digits = ((copies.keys if is_key else copies.hashes) >> shift) & np.uint64(_BINS - 1)
        bins = copies.pools.astype(np.int64) * _BINS + digits.astype(np.int64)
        np.add.at(sizes, bins, copies.sizes)
        np.add.at(counts, bins, 1)
    for pool, front in enumerate(fronts):
        if front.level:
            from_top = np.cumsum(sizes[pool * _BINS : (pool + 1) * _BINS][::-1])
            rank = int(np.searchsorted(from_top, front.remaining))
            value = _BINS - 1 - rank
            front.remaining -= int(from_top[rank - 1]) if rank else 0
            front.num_documents = int(counts[pool * _BINS + value])
            if is_key:
                front.key |= value << int(shift)
            else:
                front.hash |= value << int(shift)


def _finish_in_memory(held: Copies, fronts: Sequence[_Front]) -> None:
    for pool, front in enumerate(fronts):
        if front.level:
            front.key, front.hash = _last_within(held.take(held.pools == pool), front.remaining)


def _search_in_memory(held: Copies, limits: Sequence[int], max_repeats: int) -> list[Point]:
    points = []
    for pool, limit in enumerate(limits):
        mine = held.take(held.pools == pool) if len(limits) > 1 else held
        points.append(_point_in(mine, limit, max_repeats))
    return points


def _point_in(pool: Copies, limit: int, max_repeats: int) -> Point:
    if limit == 0:
        return NOTHING
    for level in range(1, max_repeats + 1):
        rows = pool.at(level)
        size = int(pool.sizes[rows].sum())
        if limit <= size:
            return Point(level, *_last_within(pool.take(rows), limit))
        limit -= size
    return everything(max_repeats)


def _last_within(pool: Copies, limit: int) -> tuple[int, int]:
    """Return key and hash of the copy at which the sum of sizes, from the top, reaches the limit."""
    order = np.argsort(pool.keys)[::-1]
    key = pool.keys[order[np.searchsorted(np.cumsum(pool.sizes[order]), limit)]]
    is_tied = pool.keys == key
    hashes, sizes = pool.hashes[is_tied], pool.sizes[is_tied]
    limit -= int(pool.sizes[pool.keys > key].sum())
    order = np.argsort(hashes)[::-1]
    return int(key), int(hashes[order[np.searchsorted(np.cumsum(sizes[order]), limit)]])


def _concatenated(chunks: Iterator[Copies]) -> Copies:
    parts = list(chunks)
    return Copies(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Copies)})


def _shift(digit: int) -> np.uint64:
    return np.uint64(64 - _DIGIT_BITS * (digit + 1))
