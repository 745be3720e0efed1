"""Merges across spaces on arrays of ids: the loops, compiled by numba.

A pair that no superword holds side by side ends a stretch; one bit per hashed pair (128 KiB, stays in L2) finds nearly
all such ends, so that most stretches have one or two tokens. Inside a stretch merges go by rank, then from left to
right, with a heap: a page of one million words without punctuation costs n log n, as in `tokenizers`.
"""

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from numba import njit

Ids: TypeAlias = npt.NDArray[np.uint32]
Numbers: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.uint8]

_LINK_BITS: Final = 20
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)
_EMPTY: Final = np.uint64(0xFFFFFFFFFFFFFFFF)
_U1, _U3, _U7, _U29, _U32 = np.uint64(1), np.uint64(3), np.uint64(7), np.uint64(29), np.uint64(32)
_LINK_SHIFT: Final = np.uint64(64 - _LINK_BITS)
_DEAD: Final = -2


class Tables(NamedTuple):
    """What the loops look up. M merges, an open-addressed table of S >= 4 M slots, V ids."""

    keys: npt.NDArray[np.uint64]
    """[S]: left id << 32 | right id."""
    ranks: npt.NDArray[np.int32]
    """[S]."""
    products: Ids
    """[M]: the token that each merge makes."""
    links: Flags
    """[2**20 / 8]: bits of pairs of base tokens that stand side by side in a superword."""
    tails: Flags
    """[V]: 1 may end a contraction and begin a superword, 2 is a contraction that begins a superword."""
    apostrophes: Flags
    """[V]: 1 has an apostrophe among its last two characters."""


def build_tables(pairs_M2: Ids, products_M: Ids, links_K2: Ids, tails_V: Flags, apostrophes_V: Flags) -> Tables:
    """Return tables for merges in the order of their ranks; all arrays as in `Tables`."""
    num_slots = 1 << max(4, (4 * len(pairs_M2)).bit_length())
    keys, ranks = np.full(num_slots, _EMPTY, np.uint64), np.zeros(num_slots, np.int32)
    links = np.zeros(2**_LINK_BITS // 8, np.uint8)
    _fill(keys, ranks, links, pairs_M2, links_K2)
    return Tables(keys, ranks, products_M, links, tails_V, apostrophes_V)


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _key(left: np.uint32, right: np.uint32) -> np.uint64:
    return (np.uint64(left) << _U32) | np.uint64(right)


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _mix(key: np.uint64) -> np.uint64:
    mixed = key * _GOLDEN
    return mixed ^ (mixed >> _U29)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _fill(keys: Any, ranks: Any, links: Any, pairs_M2: Ids, links_K2: Ids) -> None:  # noqa: ANN401
    mask = np.uint64(len(keys) - 1)
    for rank in range(len(pairs_M2)):
        key = _key(pairs_M2[rank, 0], pairs_M2[rank, 1])
        slot = _mix(key) & mask
        while keys[slot] != _EMPTY:
            slot = (slot + _U1) & mask
        keys[slot] = key
        ranks[slot] = rank
    for i in range(len(links_K2)):
        bit = _mix(_key(links_K2[i, 0], links_K2[i, 1])) >> _LINK_SHIFT
        links[bit >> _U3] |= np.uint8(_U1 << (bit & _U7))


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _rank(left: np.uint32, right: np.uint32, tables: Tables) -> int:
    """Return the rank of the merge of a pair, or -1."""
    mask = np.uint64(len(tables.keys) - 1)
    key = _key(left, right)
    slot = _mix(key) & mask
    while tables.keys[slot] != _EMPTY:
        if tables.keys[slot] == key:
            return np.int64(tables.ranks[slot])  # type: ignore[return-value]
        slot = (slot + _U1) & mask
    return np.int64(-1)  # type: ignore[return-value]


@njit(cache=True, inline="always")  # type: ignore[untyped-decorator]
def _is_link(left: np.uint32, right: np.uint32, links: Flags) -> bool:
    bit = _mix(_key(left, right)) >> _LINK_SHIFT
    return bool((np.uint64(links[bit >> _U3]) >> (bit & _U7)) & _U1)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _push(heap: Numbers, size: int, key: int) -> int:
    at = size
    while at > 0:
        parent = (at - 1) >> 1
        if heap[parent] <= key:
            break
        heap[at] = heap[parent]
        at = parent
    heap[at] = key
    return size + 1


@njit(cache=True)  # type: ignore[untyped-decorator]
def _pop(heap: Numbers, size: int) -> int:
    """Close the gap at the top, which the caller has read."""
    size -= 1
    key = heap[size]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = key
    return size


@njit(cache=True)  # type: ignore[untyped-decorator]
def _merge_stretch(ids: Ids, start: int, stop: int, tables: Tables, heap: Numbers, around: Numbers) -> None:
    """Merge `ids[start:stop]` where it lies; `around[:, 1]` says which tokens went into their left neighbours.

    The heap orders by rank, then position. `around` holds the living neighbours of each position, -1 for none.
    """
    size = 0
    for i in range(start, stop):
        around[i, 0] = i - 1 if i > start else -1
        around[i, 1] = i + 1 if i + 1 < stop else -1
        if i + 1 < stop:
            rank = _rank(ids[i], ids[i + 1], tables)
            if rank >= 0:
                size = _push(heap, size, (rank << 32) | i)
    while size > 0:
        rank, at = heap[0] >> 32, heap[0] & 0xFFFFFFFF
        size = _pop(heap, size)
        right = around[at, 1]
        if right < 0 or _rank(ids[at], ids[right], tables) != rank:
            continue  # one of the two was merged since
        ids[at] = tables.products[rank]
        around[at, 1] = around[right, 1]
        if around[right, 1] >= 0:
            around[around[right, 1], 0] = at
        around[right, 1] = _DEAD
        for left in (around[at, 0], at):
            if left >= 0 and around[left, 1] >= 0:
                rank = _rank(ids[left], ids[around[left, 1]], tables)
                if rank >= 0:
                    size = _push(heap, size, (rank << 32) | left)


@njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def merge(ids: Ids, offsets: Numbers, tables: Tables) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Apply superword merges to the base ids of N documents, where they lie.

    Args:
        ids: uint32[total]; the first `offsets_out[N]` become the result.
        offsets: int64[N + 1].
        tables: From `build_tables`.

    Returns:
        int64[N + 1] offsets, and bool[N]: documents whose borders of words these ids do not tell.
    """
    longest = 1
    for d in range(len(offsets) - 1):
        longest = max(longest, offsets[d + 1] - offsets[d])
    heap, around = np.empty(3 * longest, np.int64), np.empty((longest, 2), np.int64)
    offsets_out, unclear = np.zeros(len(offsets), np.int64), np.zeros(len(offsets) - 1, np.bool_)
    out = 0
    for d in range(len(offsets) - 1):
        doc = ids[offsets[d] : offsets[d + 1]]
        start = 0
        while start < len(doc):
            stop = start + 1
            while stop < len(doc) and _is_link(doc[stop - 1], doc[stop], tables.links):
                tail = tables.tails[doc[stop - 1]]
                # doc[stop - 2] is still a base token: what was written so far ends before it, or left it as it was
                unclear[d] |= tail == 2 or (tail == 1 and stop >= 2 and tables.apostrophes[doc[stop - 2]] == 1)
                stop += 1
            if stop - start > 1:
                _merge_stretch(doc, start, stop, tables, heap, around)
            for i in range(start, stop):
                if stop - start == 1 or around[i, 1] != _DEAD:
                    ids[out] = doc[i]
                    out += 1
            start = stop
        offsets_out[d + 1] = out
    return offsets_out, unclear
