"""What is counted of a group of documents (target, raw, chosen, random, top_k), and added up over tasks.

All integers, so that the sum over ranks is the same in any order. Memory: 160 kB a group for 10,000 buckets of either
kind, and about 200 bytes a source.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import orjson

from hf_curation.sampling.arrays import read_arrays, write_arrays
from hf_curation.sampling.features import TextSizes
from hf_curation.sampling.probes import CharNgrams
from hf_curation.vocabulary.texts import Texts

Counts = npt.NDArray[np.int64]

LENGTH_BINS: Final = 48
"""Bin 0: no token; bin i: 2**(i - 1) to 2**i - 1 tokens."""
NO_SOURCE: Final = ""
_ARRAYS: Final = ("features", "probes", "lengths")


@dataclass(slots=True, eq=False)
class GroupCounts:
    """Counts of one group."""

    features_B: Counts
    """int64[B]: n-grams by bucket of the sampler's features; `Featurizer.count` adds to it."""
    probes_P: Counts
    """int64[P]: probe n-grams by bucket."""
    lengths: Counts = field(default_factory=lambda: np.zeros(LENGTH_BINS, np.int64))
    """int64[48]: documents by length; see `LENGTH_BINS`."""
    sources: dict[str, list[int]] = field(default_factory=dict)
    """Source -> [documents, tokens]; documents without one count under the empty name."""

    @classmethod
    def empty(cls, num_buckets: int, probes: CharNgrams) -> Self:
        """Return a group of no documents.

        Args:
            num_buckets: of the sampler's features.
            probes: what `add` will count.
        """
        return cls(np.zeros(num_buckets, np.int64), probes.empty())

    @property
    def num_documents(self) -> int:
        """Documents that were added."""
        return sum(entry[0] for entry in self.sources.values())

    @property
    def num_tokens(self) -> int:
        """Their tokens."""
        return sum(entry[1] for entry in self.sources.values())

    def add(
        self, texts: Texts, sizes: TextSizes, sources: Sequence[str | None] | None, *, probes: CharNgrams | None
    ) -> None:
        """Count probes, lengths and sources of a batch, whose features were counted already.

            sizes = featurizer.count(texts, group.features_B)
            group.add(texts, sizes, sources, probes=probes)

        A document that is chosen twice is added twice.

        Args:
            texts: N documents.
            sizes: of the same documents.
            sources: N names, None for a document without; None as a whole where the corpus has no sources.
            probes: None counts no probes, for texts that are only weighed.
        """
        if probes is not None:
            probes.count(texts, self.probes_P)
        self.add_sizes(sizes.num_tokens, sources)

    def add_sizes(self, num_tokens: Counts, sources: Sequence[str | None] | None) -> None:
        """Count lengths and sources only; int64[N] tokens."""
        bits = np.frexp(num_tokens.astype(np.float64))[1]  # of 0 it is 0, of 2**k to 2**(k + 1) - 1 it is k + 1
        self.lengths += np.bincount(np.minimum(bits, LENGTH_BINS - 1), minlength=LENGTH_BINS)
        if sources is None:
            self._add_source(NO_SOURCE, len(num_tokens), int(num_tokens.sum()))
            return
        names, codes = np.unique([name or NO_SOURCE for name in sources], return_inverse=True)
        documents = np.bincount(codes, minlength=len(names))
        tokens = np.zeros(len(names), np.int64)
        np.add.at(tokens, codes, num_tokens)
        for name, *entry in zip(names.tolist(), documents.tolist(), tokens.tolist(), strict=True):
            self._add_source(name, *entry)

    def merge(self, other: Self) -> None:
        """Add the counts of another part of the same group."""
        if self.features_B.shape != other.features_B.shape or self.probes_P.shape != other.probes_P.shape:
            raise ValueError(
                f"counts of {self.features_B.size:,} and {other.features_B.size:,} buckets cannot be added: "
                "they are of different features"
            )
        self.features_B += other.features_B
        self.probes_P += other.probes_P
        self.lengths += other.lengths
        for name, entry in other.sources.items():
            self._add_source(name, *entry)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the counts as named arrays, for an npz file; equal counts give equal arrays."""
        sources = orjson.dumps(dict(sorted(self.sources.items())))
        return {
            "features": self.features_B,
            "probes": self.probes_P,
            "lengths": self.lengths,
            "sources": np.frombuffer(sources, np.uint8),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Return what `arrays` was made of."""
        features, probes, lengths = (arrays[name].astype(np.int64) for name in _ARRAYS)
        return cls(features, probes, lengths, orjson.loads(arrays["sources"].tobytes()))

    def _add_source(self, name: str, documents: int, tokens: int) -> None:
        if documents:
            entry = self.sources.setdefault(name, [0, 0])
            entry[0] += documents
            entry[1] += tokens


def merged(parts: Iterable[GroupCounts]) -> GroupCounts:
    """Return the sum of some parts, which stay as they are; at least one."""
    first, *rest = parts
    total = GroupCounts.from_arrays(first.arrays())
    for part in rest:
        total.merge(part)
    return total


def save_groups(path: Path, groups: Mapping[str, GroupCounts]) -> None:
    """Write groups by name into one npz file, whole or not at all."""
    write_arrays(
        path, {f"{name}/{key}": array for name, group in groups.items() for key, array in group.arrays().items()}
    )


def load_groups(path: Path) -> dict[str, GroupCounts]:
    """Read what `save_groups` wrote.

    Raises:
        ValueError: if it is something else.
    """
    arrays = read_arrays(path, (), "a file of group counts")
    found: dict[str, dict[str, npt.NDArray[Any]]] = {}
    for full_name, array in arrays.items():
        name, _, key = full_name.rpartition("/")
        found.setdefault(name, {})[key] = array
    if any(set(group) != {*_ARRAYS, "sources"} for group in found.values()):
        raise ValueError(f"{path} is not a file of group counts: it holds {', '.join(sorted(arrays))}")
    return {name: GroupCounts.from_arrays(group) for name, group in found.items()}
