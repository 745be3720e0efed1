"""Probe features: hashed character 5-grams, which no sampler here chooses by.

KL reduction on the sampler's own features is self-fulfilling: they are what it maximises. Character n-grams share
neither words nor borders nor buckets with them, see through inflection and spelling, and need no tokenizer. A choice
that is closer to the target in these as well has found more of the target's language than its keywords.

Text is read as code points, each lower-cased by itself, a run of white space as one space. 10,000 buckets, as in the
published measure, so that few are empty: on more, the 1e-10 floor of the measure would count absence instead of
distance.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hf_curation.sampling.characters import NUM_FOLDED, SPACE, Counts, character_table
from hf_curation.sampling.leakage_words import BASE, MASK, has_numba, mix, mix_all

DEFAULT_BUCKETS: Final = 10_000
HASH_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CharNgrams:
    """Counts of character n-grams by bucket."""

    n: int = 5
    num_buckets: int = DEFAULT_BUCKETS

    def __post_init__(self) -> None:
        if not 1 <= self.n <= 32:
            raise ValueError(f"n must be 1 to 32, got {self.n}")
        if not 1 <= self.num_buckets < 2**31:
            raise ValueError(f"num_buckets must be 1 to 2**31 - 1, got {self.num_buckets}")

    def empty(self) -> Counts:
        """Return zeros to count into; int64[num_buckets]."""
        return np.zeros(self.num_buckets, np.int64)

    def count(self, texts: Any, counts_B: Counts, *, backend: str = "auto") -> int:  # noqa: ANN401
        """Add the n-grams of `texts` to `counts_B` and return how many those were.

        Args:
            texts: strings, or an Arrow string array (chunked too); null counts as empty. One shorter than n has none.
            counts_B: int64[num_buckets], changed in place.
            backend: `auto` takes compiled code where numba is there; `fast` insists on it; `numpy` avoids it.
        """
        assert counts_B.shape == (self.num_buckets,), counts_B.shape
        if backend not in {"auto", "fast", "numpy"}:
            raise ValueError(f"backend must be auto, fast or numpy, got {backend!r}")
        before = int(counts_B.sum())
        if backend == "fast" or (backend == "auto" and has_numba()):
            from hf_curation.sampling.probes_fast import count_fast  # noqa: PLC0415 - numba compiles on import

            count_fast(texts, self.n, counts_B)
        else:
            for text in texts.to_pylist() if hasattr(texts, "to_pylist") else texts:
                self._count_numpy(text or "", counts_B)
        return int(counts_B.sum()) - before

    def bucket(self, characters: str) -> int:
        """Return the bucket of n characters that are folded already; the readable form of the kernels."""
        value = 0
        for character in characters:
            value = (value * BASE + ord(character) + 1) & MASK
        return ((mix(value) >> 32) * self.num_buckets) >> 32

    def describe(self) -> dict[str, int | str]:
        """Return what decides the counts, for manifests."""
        return {"kind": "characters", "n": self.n, "num_buckets": self.num_buckets, "hash_version": HASH_VERSION}

    def _count_numpy(self, text: str, counts_B: Counts) -> None:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint32)
        in_table = codes < NUM_FOLDED
        codes = np.where(in_table, character_table()[np.where(in_table, codes, 0)], codes)
        is_space = codes == SPACE
        codes = codes[~(is_space & np.roll(is_space, 1) & (np.arange(len(codes)) > 0))]
        count = len(codes) - self.n + 1
        if count <= 0:
            return
        value = np.zeros(count, np.uint64)
        for i in range(self.n):
            value = value * np.uint64(BASE) + (codes[i : i + count].astype(np.uint64) + np.uint64(1))
        buckets = ((mix_all(value) >> np.uint64(32)) * np.uint64(self.num_buckets)) >> np.uint64(32)
        counts_B += np.bincount(buckets.astype(np.int64), minlength=self.num_buckets)
