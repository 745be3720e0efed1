"""The documents that may be chosen, in chunks of arrays."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Any number N of documents of the corpus, in any order; N may be 0."""

    hashes: NDArray[np.uint64]
    """uint64[N], `stable_hash64` of the ids. Choosing reads its candidates several times, and hashing is most of the
    cost of a pass (1 us an id): a sidecar does well to hold the hash beside the id."""
    log_weights: NDArray[np.float64]
    """float64[N], or float64[N, T] with a column for each of T separate targets; in nats, neither scaled nor clipped.
    Of excluded documents it may be NaN."""
    num_tokens: NDArray[np.int64]
    """int64[N], 0 or more."""
    sources: NDArray[np.int32] | None = None
    """int32[N], codes of sources: positions in the list of names given to `choose`; -1 for none."""
    excluded: NDArray[np.bool_] | None = None
    """bool[N], documents that may not be chosen: contaminated, without features ..."""

    def __post_init__(self) -> None:
        for name in ("log_weights", "num_tokens", "sources", "excluded"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.hashes):
                raise ValueError(f"candidates have {len(self.hashes)} hashes, but {len(values)} {name}")
        if self.hashes.dtype != np.uint64:
            raise ValueError(f"hashes of candidates are uint64 (stable_hash64 of the ids), got {self.hashes.dtype}")
        object.__setattr__(self, "num_tokens", self.num_tokens.astype(np.int64, copy=False))

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.hashes)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Candidates":
        """Return some of the documents, by mask or by position."""
        return Candidates(
            hashes=self.hashes[rows],
            log_weights=self.log_weights[rows],
            num_tokens=self.num_tokens[rows],
            sources=None if self.sources is None else self.sources[rows],
            excluded=None if self.excluded is None else self.excluded[rows],
        )

    def eligible(self, min_tokens: int) -> NDArray[np.bool_]:
        """Return bool[N], true for documents that may be chosen."""
        is_long = self.num_tokens >= min_tokens
        return is_long if self.excluded is None else is_long & ~self.excluded

    def source_codes(self) -> NDArray[np.int32]:
        """Return int32[N], -1 where a document has no source."""
        return np.full(len(self), -1, dtype=np.int32) if self.sources is None else self.sources

    def weights_of(self, target: int) -> NDArray[np.float64]:
        """Return float64[N], the log weights towards one target."""
        return self.log_weights if self.log_weights.ndim == 1 else self.log_weights[:, target]


Read = Callable[[], Iterator[Candidates]]
"""Reads all candidates anew, with every call the same ones; their order and the borders of chunks are free."""
