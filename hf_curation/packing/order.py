"""The order in which documents of a store are laid out: a shuffle of any number of them, a stretch at a time.

Up to one block of documents it is a permutation held in memory. Beyond, it is a Feistel network over a grid of about
sqrt(D) x sqrt(D) places: in every round one coordinate is moved by a random number that stands in a table under the
other one, which is a bijection whatever the tables hold; what falls on the last places of the grid, behind D, goes
through again. The tables take 6 x sqrt(D) numbers (48 kB for a million documents), and any stretch of the order is
there without the rest: no process holds, writes or sorts an entry per document.

Rejected: shuffling only inside of neighbouring documents (a store is written source by source, and a model would be
trained so), and a shuffle on the disk (files to clean up, and a store that may be read only).
"""

from math import isqrt
from typing import Final

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]

BLOCK_DOCUMENTS: Final = 1 << 17
"""Documents that are packed together; see `phase_rows` for what smaller blocks cost."""
_ROUNDS: Final = 6


class DocumentOrder:
    """A permutation of D documents: equal arguments give equal orders.

    Args:
        num_documents: D.
        seed: Of the shuffle.
        block_documents: Up to so many documents the permutation is numpy's, in memory.

    >>> DocumentOrder(5, seed=0).stretch(0, 5)
    array([2, 4, 3, 0, 1])
    >>> sorted(DocumentOrder(5, seed=0, block_documents=2).stretch(0, 5).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(self, num_documents: int, seed: int, *, block_documents: int = BLOCK_DOCUMENTS) -> None:
        if block_documents < 1:
            raise ValueError(f"block_documents must be at least 1, got {block_documents}")
        self.num_documents, self.block_documents = num_documents, block_documents
        rng = np.random.Generator(np.random.PCG64(seed))
        self._order_D = rng.permutation(num_documents).astype(np.int64) if num_documents <= block_documents else None
        if self._order_D is None:
            self._width = isqrt(num_documents - 1) + 1
            sizes = [-(-num_documents // self._width), self._width]
            self._moves = [rng.integers(sizes[i % 2], size=sizes[1 - i % 2]) for i in range(_ROUNDS)]

    def __len__(self) -> int:
        """Return D."""
        return self.num_documents

    def stretch(self, first: int, last: int) -> Int64Array:
        """Return the documents at the places `first` to `last - 1`."""
        if self._order_D is not None:
            return self._order_D[first:last]
        found = self._shuffle(np.arange(first, min(last, self.num_documents)))
        while len(outside := np.flatnonzero(found >= self.num_documents)):
            found[outside] = self._shuffle(found[outside])
        return found

    def _shuffle(self, places: Int64Array) -> Int64Array:
        """Return a permutation of the grid, at some of its places."""
        row, column = np.divmod(places, self._width)
        for here, there in zip(self._moves[::2], self._moves[1::2], strict=True):
            row = _wrap(row + here[column], len(there))
            column = _wrap(column + there[row], len(here))
        return row * self._width + column


def _wrap(values: Int64Array, size: int) -> Int64Array:
    """Return `values % size` of numbers below `2 * size`; a division takes three times as long."""
    return np.where(values < size, values, values - size)
