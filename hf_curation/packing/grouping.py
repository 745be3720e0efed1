"""Indices of documents by the part of a store that holds them: a batch of tokens, a span of prefixes."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

Int64Array = npt.NDArray[np.int64]


def grouped(items_N: Int64Array, first_G1: Sequence[int]) -> Iterator[tuple[int, Int64Array, Int64Array]]:
    """Group indices by the part that holds them.

    Args:
        items_N: Indices, in whatever order.
        first_G1: First index of each of G parts, then their end.

    Yields:
        A part that holds some; where these stand in `items_N`; which they are in the part.
    """
    order_N = np.argsort(items_N, kind="stable")
    items_N = items_N[order_N]
    ends_G1 = np.searchsorted(items_N, first_G1)
    for part in np.flatnonzero(np.diff(ends_G1)).tolist():
        stretch = slice(ends_G1[part], ends_G1[part + 1])
        yield part, order_N[stretch], items_N[stretch] - first_G1[part]
