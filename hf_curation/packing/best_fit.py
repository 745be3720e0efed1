"""Best-fit-decreasing bin packing, by length classes instead of by items.

Sequence lengths are small integers, so all pieces of one length are placed in bulk: bins are grouped by their free
space, a bitmap (one Python integer) finds the smallest free space that fits, and one step fills every bin of that
group with as many pieces as it takes. The cost grows with the number of distinct (length, free space) pairs that meet,
not with the number of pieces: one million pieces into rows of 2,048 cost about as much as one hundred thousand.

The number of bins is that of the textbook algorithm (longest first, each into the fullest bin that still takes it).
"""

from collections import defaultdict

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]


def best_fit_decreasing(lengths_P: Int64Array, capacity: int) -> Int64Array:
    """Assign every piece to a bin.

    Args:
        lengths_P: Length of each of P pieces, in tokens, from 1 to `capacity`.
        capacity: Tokens a bin holds.

    Returns:
        Bin of each piece, shape (P,), numbered from 0 in the order in which bins were opened. Among pieces of one
        length the order of `lengths_P` is kept.

    Raises:
        ValueError: if a piece is empty or does not fit into a bin.
    """
    if len(lengths_P) and not (lengths_P.min() >= 1 and lengths_P.max() <= capacity):
        raise ValueError(f"pieces must have 1 to {capacity} tokens, got {lengths_P.min()} to {lengths_P.max()}")
    order_P = np.argsort(-lengths_P, kind="stable")
    lengths, counts = np.unique(lengths_P, return_counts=True)
    groups: list[Int64Array] = []  # bins of the pieces, longest pieces first
    free = _FreeBins(capacity)
    for length, count in zip(lengths[::-1].tolist(), counts[::-1].tolist(), strict=True):
        groups.extend(free.place(length, count))
    bins_P = np.empty(len(lengths_P), dtype=np.int64)
    if groups:
        bins_P[order_P] = np.concatenate(groups)
    return bins_P


class _FreeBins:
    """Open bins grouped by free space; bit `s` of `mask` says that some bin has `s` tokens left."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.num_bins = 0
        self.by_space: dict[int, list[Int64Array]] = defaultdict(list)
        self.mask = 0

    def place(self, length: int, count: int) -> list[Int64Array]:
        """Place `count` pieces of one length; return their bins, one array for every group of bins that was filled."""
        placed: list[Int64Array] = []
        while count:
            fitting = self.mask >> length
            if fitting:
                space = length + (fitting & -fitting).bit_length() - 1
                bins = self._take(space)
            else:
                space = self.capacity
                per_bin = space // length
                bins = np.arange(self.num_bins, self.num_bins - (-count // per_bin))
                self.num_bins += len(bins)
            placed.append(self._fill(bins, space, length, count))
            count -= len(placed[-1])
        return placed

    def _fill(self, bins: Int64Array, space: int, length: int, count: int) -> Int64Array:
        """Fill `bins`, each with `space` left, one after the other; return the bin of each placed piece."""
        per_bin = space // length
        full = min(len(bins), count // per_bin)
        rest = min(count - full * per_bin, per_bin) if full < len(bins) else 0
        self._give(space - per_bin * length, bins[:full])
        if rest:
            self._give(space - rest * length, bins[full : full + 1])
        self._give(space, bins[full + bool(rest) :])
        return np.concatenate([np.repeat(bins[:full], per_bin), np.repeat(bins[full : full + 1], rest)])

    def _take(self, space: int) -> Int64Array:
        self.mask &= ~(1 << space)
        groups = self.by_space.pop(space)
        return groups[0] if len(groups) == 1 else np.concatenate(groups)

    def _give(self, space: int, bins: Int64Array) -> None:
        if space and len(bins):
            self.by_space[space].append(bins)
            self.mask |= 1 << space
