"""The passages of held-out texts as they are indexed: one key for each window of words, and the set it is from."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from hf_curation.sampling.leakage_words import I16, U64, WordHasher, window_keys

MAX_SETS: Final = 2**15 - 1
"""A set is numbered by 16 bits."""


@dataclass(frozen=True, slots=True)
class LeakSet:
    """What the index holds of one held-out set."""

    name: str
    num_texts: int = 0
    num_whole: int = 0
    """Texts of `min_words` to n - 1 words, matched whole."""
    num_too_short: int = 0
    """Texts below `min_words`: not in the index."""


def anchor_words(n: int, min_words: int) -> int:
    """Return the length m of anchors: n >= 2m - 1, and no text that is matched whole is shorter."""
    return min((n + 1) // 2, min_words)


class LeakIndexBuilder:
    """Keys as they come, set by set."""

    def __init__(self, n: int, min_words: int) -> None:
        self.n, self.min_words, self.anchor_words = n, min_words, anchor_words(n, min_words)
        self.keys: list[U64] = [np.empty(0, np.uint64)]
        self.key_sets: list[I16] = [np.empty(0, np.int16)]
        self.short_lengths: set[int] = set()
        self.anchors: list[U64] = [np.empty(0, np.uint64)]
        self.counts: dict[str, list[int]] = {}
        self._hasher = WordHasher()

    def add(self, name: str, texts: Iterable[str]) -> None:
        """Index the texts of a set; it may come again."""
        counts = self.counts.setdefault(name, [0, 0, 0])
        index = list(self.counts).index(name)
        if index >= MAX_SETS:
            raise ValueError(f"a leak index holds at most {MAX_SETS:,} sets; set {name!r} is one more")
        for text in texts:
            hashes = np.array(self._hasher.text(text), np.uint64)
            length = min(self.n, len(hashes))
            counts[0] += 1
            if length < self.min_words:
                counts[2] += 1
                continue
            runs = window_keys(hashes, self.anchor_words)
            self.anchors.append(runs[:: self.anchor_words] if length == self.n else runs[-1:])
            if length < self.n:
                counts[1] += 1
                self.short_lengths.add(length)
            self.keys.append(np.unique(window_keys(hashes, length)))
            self.key_sets.append(np.full(len(self.keys[-1]), index, np.int16))

    def table(self) -> tuple[U64, I16]:
        """Return the distinct keys, sorted, with the first set of each."""
        keys, key_sets = np.concatenate(self.keys), np.concatenate(self.key_sets)
        order = np.lexsort((key_sets, keys))
        distinct, first = np.unique(keys[order], return_index=True)
        return distinct, key_sets[order][first]

    def sets(self) -> Iterator[LeakSet]:
        """Yield the sets with their counts."""
        for name, (num_texts, num_whole, num_too_short) in self.counts.items():
            yield LeakSet(name, num_texts, num_whole, num_too_short)
