"""Benchmark leakage: which documents hold a passage of a held-out test text.

A document leaks when `n` words in a row (13, as in GPT-3 and most decontaminations since) also stand in a test text.
Test texts are mostly questions, and many are shorter than that: those of `min_words` (8) to n - 1 words are matched
whole, those below are too short to tell a copy from chance and are counted as `num_too_short`. Nothing is sampled and
no text is kept: the index holds a 64-bit key and a set number for every distinct passage, 10 bytes each on disk; the
tables of the fast path take about 18 more. The validation sets of the paper's eight benchmarks, questions with every
choice, make 1.4 million keys: 16 MB on disk, 40 MB in memory.

Exact up to hash collisions: a window of a document that is in no test text matches with odds of num_keys / 2**64. With
2 million keys that is one false match expected in 9e12 words. What should match always does.
Rejected: Bloom filters (they cannot say which set, nor which words), suffix arrays (they keep the test texts).

`find` takes the compiled kernel of `leakage_fast` where numba is installed, else numpy; both give equal arrays.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from hf_curation.sampling.leakage_build import LeakIndexBuilder, LeakSet, anchor_words
from hf_curation.sampling.leakage_words import HASH_VERSION, I16, U64, WORD_RE, WordHasher, has_numba, window_keys

I32 = npt.NDArray[np.int32]

SCHEMA_VERSION: Final = 1
DEFAULT_N: Final = 13
DEFAULT_MIN_WORDS: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class LeakMatches:
    """What `find` found; N texts."""

    set_index: I16
    """int16[N]: index into `LeakIndex.sets` of the set that the text's first match belongs to; -1: no match."""
    num_matches: I32
    """int32[N]: number of windows that match."""

    @property
    def is_leaked(self) -> npt.NDArray[np.bool_]:
        """bool[N]: whether the text holds a passage of a held-out set."""
        return self.set_index >= 0

    def counts(self, num_sets: int) -> npt.NDArray[np.int64]:
        """Return the number of leaked texts by set; int64[num_sets]."""
        return np.bincount(self.set_index[self.is_leaked], minlength=num_sets).astype(np.int64)


@dataclass(frozen=True, slots=True)
class LeakExample:
    """One match, as a person wants to see it."""

    set_name: str
    passage: str
    """The matching words as they stand in the text."""
    before: str
    after: str


@dataclass(frozen=True, eq=False)
class LeakIndex:
    """The passages of held-out sets; build one with `build`, or `load` it."""

    sets: tuple[LeakSet, ...]
    n: int
    min_words: int
    keys: U64
    """uint64[K], sorted, distinct."""
    key_sets: I16
    """int16[K]: the set of each key; the first one where several hold the passage."""
    short_lengths: tuple[int, ...]
    """Lengths in words of texts that are matched whole, ascending."""
    anchors: U64
    """uint64[A], sorted: keys of runs of `anchor_words` words, one of which every match holds; see `leakage_fast`."""

    @classmethod
    def build(
        cls,
        texts_by_set: Iterable[tuple[str, str]],
        *,
        n: int = DEFAULT_N,
        min_words: int = DEFAULT_MIN_WORDS,
    ) -> Self:
        """Index test texts.

        Args:
            texts_by_set: (set, text); a row of a test set may be several texts. Sets are numbered as they first come.
            n: words of a passage.
            min_words: a text of fewer than n words is matched whole if it has at least this many.

        Raises:
            ValueError: if n or min_words is not positive, or no set comes.
        """
        if n < 1 or min_words < 1:
            raise ValueError(f"n and min_words must be at least 1, got n={n} and min_words={min_words}")
        builder = LeakIndexBuilder(n, min(min_words, n))
        for name, pairs in groupby(texts_by_set, key=itemgetter(0)):
            builder.add(name, (text for _, text in pairs))
        if not builder.counts:
            raise ValueError(
                "there is no held-out text to index: is there none, or under another key (--target-text-key)?"
            )
        keys, key_sets = builder.table()
        return cls(
            sets=tuple(builder.sets()),
            n=n,
            min_words=min(min_words, n),
            keys=keys,
            key_sets=key_sets,
            short_lengths=tuple(sorted(builder.short_lengths)),
            anchors=np.unique(np.concatenate(builder.anchors)),
        )

    def find(self, texts: Any, *, backend: str = "auto") -> LeakMatches:  # noqa: ANN401 - Sequence[str] or Arrow
        """Return which texts hold a passage of a held-out set.

        Args:
            texts: strings, or an Arrow string array (chunked too); null counts as empty.
            backend: `auto` takes the compiled kernel where numba is there; `fast` insists on it; `numpy` avoids it.
        """
        if backend not in {"auto", "fast", "numpy"}:
            raise ValueError(f"backend must be auto, fast or numpy, got {backend!r}")
        if backend != "numpy" and (backend == "fast" or has_numba()):
            from hf_curation.sampling.leakage_fast import find_fast  # noqa: PLC0415 - numba compiles on import

            return LeakMatches(*find_fast(self, texts))
        return self._find_numpy(texts)

    def find_examples(self, text: str, *, limit: int = 3, context: int = 60) -> list[LeakExample]:
        """Return the passages of `text` that match, in order; overlapping windows of one set are one passage.

        Args:
            text: one document.
            limit: passages at most.
            context: characters shown on either side.
        """
        spans = [match.span() for match in WORD_RE.finditer(text)]
        hashes = np.array(WordHasher().text(text), np.uint64)
        runs: list[tuple[int, int, int]] = []
        for end, length, owner in sorted(self._windows(hashes), key=lambda window: window[0] - window[1]):
            start = end - length
            if runs and runs[-1][2] == owner and start <= runs[-1][1]:
                runs[-1] = (runs[-1][0], max(end, runs[-1][1]), owner)
            else:
                runs.append((start, end, owner))
        found = []
        for first, last, owner in runs[:limit]:
            start, stop = spans[first][0], spans[last - 1][1]
            around = text[max(0, start - context) : start], text[stop : stop + context]
            found.append(LeakExample(self.sets[owner].name, text[start:stop], *around))
        return found

    def describe(self) -> dict[str, Any]:
        """Return what decides its answers, for plans and manifests."""
        return {
            "n": self.n,
            "min_words": self.min_words,
            "hash_version": HASH_VERSION,
            "num_keys": len(self.keys),
            "sets": [asdict(one) for one in self.sets],
        }

    def save(self, path: Path) -> None:
        """Write the index as npz without pickle: arrays and a JSON header; equal indexes give equal bytes."""
        from hf_curation.sampling.arrays import write_arrays  # noqa: PLC0415 - zipfile

        header = {"schema_version": SCHEMA_VERSION, "kind": "leak_index", **self.describe()}
        arrays: dict[str, npt.NDArray[Any]] = {
            "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
            "keys": self.keys,
            "key_sets": self.key_sets,
            "short_lengths": np.array(self.short_lengths, np.int64),
            "anchors": self.anchors,
        }
        write_arrays(path, arrays)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: if it is no leak index, or one of another version.
        """
        from hf_curation.sampling.arrays import read_arrays  # noqa: PLC0415

        arrays = read_arrays(path, {"header", "keys", "key_sets", "short_lengths", "anchors"}, "a leak index")
        header = json.loads(arrays["header"].tobytes())
        if (header["schema_version"], header["hash_version"]) != (SCHEMA_VERSION, HASH_VERSION):
            raise ValueError(f"{path} was written by another version of hf-curation; build the leak index again")
        return cls(
            sets=tuple(LeakSet(**one) for one in header["sets"]),
            n=header["n"],
            min_words=header["min_words"],
            keys=arrays["keys"],
            key_sets=arrays["key_sets"],
            short_lengths=tuple(map(int, arrays["short_lengths"])),
            anchors=arrays["anchors"],
        )

    @property
    def anchor_words(self) -> int:
        """Words of an anchor."""
        return anchor_words(self.n, self.min_words)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of windows to look up, in the order in which they count at one place: n first."""
        return (self.n, *self.short_lengths)

    def _find_numpy(self, texts: Any) -> LeakMatches:  # noqa: ANN401
        strings = [text or "" for text in (texts.to_pylist() if hasattr(texts, "to_pylist") else texts)]
        set_index, num_matches = np.full(len(strings), -1, np.int16), np.zeros(len(strings), np.int32)
        hasher = WordHasher()
        for i, text in enumerate(strings):
            windows = list(self._windows(np.array(hasher.text(text), np.uint64)))
            if windows:
                num_matches[i] = len(windows)
                set_index[i] = min(windows, key=lambda window: (window[0], self.lengths.index(window[1])))[2]
        return LeakMatches(set_index, num_matches)

    def _windows(self, hashes: U64) -> Iterator[tuple[int, int, int]]:
        """Yield (end, length, set) of every window of one text that matches; `end` is the word after its last."""
        if not len(self.keys):
            return
        for length in self.lengths:
            keys = window_keys(hashes, length)
            at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
            for start in np.flatnonzero(self.keys[at] == keys).tolist():
                yield start + length, length, int(self.key_sets[at[start]])
