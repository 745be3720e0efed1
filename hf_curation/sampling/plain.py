"""The slow twin of the kernels: Python's `re`, `hashlib` and integers, with numpy for what is one line in it.

It is the definition that the kernels are tested against, and what runs where numba is not installed: about 7 times as
fast as data-selection, since words are hashed once and remembered, and no vector of 10,000 counters is built.
"""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from hf_curation.sampling.features import Counts, Floats, TextScores, TextSizes
from hf_curation.sampling.mix64 import Buckets, Hashes, buckets_of, combine_hashes, id_hashes, word_hash
from hf_curation.sampling.spec import FeatureSpec
from hf_curation.sampling.words import find_words
from hf_curation.vocabulary.encoding import BulkEncoder, load_bulk_encoder
from hf_curation.vocabulary.texts import Texts, as_strings

MEMORY_SIZE = 1 << 20
"""Words, or n-grams, whose hashes are remembered; then all are forgotten (about 150 MB at most)."""

Tokens = Sequence[str] | np.ndarray[Any, np.dtype[np.uint32]]


class Tokenizer(Protocol):
    """Cuts texts into tokens, and makes them readable again."""

    def split(self, texts: Texts) -> Iterator[Tokens]:
        """Return the tokens of each text."""
        ...

    def readable(self, tokens: Tokens) -> list[str]:
        """Return each token as text."""
        ...


class BucketsOf(Protocol):
    """Gives the buckets of the n-grams of one run of tokens, an array for each order from 1 up."""

    def __call__(self, tokens: Tokens) -> list[Buckets]:
        """Return the buckets; an array is empty where the run is shorter than its order."""
        ...


class PlainFeaturizer:
    """A featurizer in Python and numpy; see `hf_curation.sampling.features.Featurizer`."""

    backend = "plain"

    def __init__(self, spec: FeatureSpec, tokenizer: Tokenizer, buckets_of_run: BucketsOf) -> None:
        self.spec = spec
        self.tokenizer = tokenizer
        self._buckets = buckets_of_run

    def count(self, texts: Texts, counts_B: Counts) -> TextSizes:
        """Add the n-grams of `texts` to `counts_B`."""
        check_counts(counts_B, self.spec)
        num_tokens, num_ngrams = [], []
        for tokens in self.tokenizer.split(texts):
            buckets = self._buckets(tokens)
            for of_order in buckets:
                np.add.at(counts_B, of_order, 1)
            num_tokens.append(len(tokens))
            num_ngrams.append(sum(map(len, buckets)))
        return TextSizes(np.array(num_tokens, np.int64), np.array(num_ngrams, np.int64))

    def score(self, texts: Texts, table_B: Floats) -> TextScores:
        """Sum a table over the n-grams of each text."""
        return self._score(texts, table_B, None, 0.0)

    def score_chunks(
        self, texts: Texts, table_B: Floats, chunk_tokens: int, *, length_exponent: float = 0.0
    ) -> TextScores:
        """Score pieces of `chunk_tokens` tokens and average them."""
        check_chunk(chunk_tokens)
        return self._score(texts, table_B, chunk_tokens, length_exponent)

    def ngrams(self, text: str) -> list[tuple[str, int]]:
        """Return the n-grams of one text, readable, with their buckets."""
        tokens = next(self.tokenizer.split([text]))
        readable = self.tokenizer.readable(tokens)
        glue = " " if self.spec.uses_words else "|"
        return [
            (glue.join(readable[start : start + order]), int(bucket))
            for order, of_order in enumerate(self._buckets(tokens), 1)
            for start, bucket in enumerate(of_order)
        ]

    def _score(self, texts: Texts, table_B: Floats, chunk_tokens: int | None, length_exponent: float) -> TextScores:
        table_TB = check_table(table_B, self.spec)
        sums, sizes = [], []
        for tokens in self.tokenizer.split(texts):
            step = chunk_tokens or max(len(tokens), 1)
            total_T, num_ngrams, num_chunks = np.zeros(len(table_TB)), 0, 0
            for start in range(0, len(tokens), step):
                chunk = tokens[start : start + step]
                sum_T, num_of_chunk = self._score_run(chunk, table_TB)
                if chunk_tokens:
                    sum_T = sum_T / float(num_of_chunk) ** length_exponent * (len(chunk) / len(tokens))
                total_T += sum_T
                num_ngrams += num_of_chunk
                num_chunks += 1
            sums.append(total_T)
            sizes.append((len(tokens), num_ngrams, num_chunks))
        size_3N = np.array(sizes, np.int64).reshape(-1, 3).T
        sums_NT = np.array(sums).reshape(-1, len(table_TB))
        return TextScores(sums_NT[:, 0] if table_B.ndim == 1 else sums_NT, *size_3N)

    def _score_run(self, tokens: Tokens, table_TB: Floats) -> tuple[Floats, int]:
        """Return the sums of one run of tokens, float64[T], and its number of n-grams."""
        total_T, num_ngrams = np.zeros(len(table_TB)), 0
        for of_order in self._buckets(tokens):
            if len(of_order):
                # cumsum adds from left to right; sum would add in pairs, and differ in the last bits.
                total_T = total_T + np.cumsum(table_TB[:, of_order], axis=1)[:, -1]
                num_ngrams += len(of_order)
        return total_T, num_ngrams


class Words:
    """Words as tokens."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._lower = spec.lower

    def split(self, texts: Texts) -> Iterator[Tokens]:
        """Return the words of each text."""
        return (find_words(text, lower=self._lower) for text in as_strings(texts))

    def readable(self, tokens: Tokens) -> list[str]:
        """Return the words themselves."""
        return [str(token) for token in tokens]


class TokenIds:
    """The ids of a tokenizer as tokens."""

    def __init__(self, spec: FeatureSpec, encoder: BulkEncoder | None = None) -> None:
        self.encoder = encoder or load_bulk_encoder(spec.tokens, revision=spec.revision)

    def split(self, texts: Texts) -> Iterator[Tokens]:
        """Return the ids of each text."""
        ids, offsets = self.encoder.encode(texts)
        return (ids[start:end] for start, end in pairwise(offsets))

    def readable(self, tokens: Tokens) -> list[str]:
        """Return the string of each token."""
        return [str(self.encoder.token(int(token))) for token in tokens]


class Mix64Buckets:
    """Buckets of our own hash; see `hf_curation.sampling.mix64`."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._hash_of_word: dict[str, int] = {}

    def __call__(self, tokens: Tokens) -> list[Buckets]:
        """Return the buckets of a run, an array for each order."""
        hashes = id_hashes(tokens) if isinstance(tokens, np.ndarray) else self._hash_words(tokens)
        grams, buckets = hashes, []
        for order in range(1, self._spec.max_order + 1):
            if order > 1:
                grams = combine_hashes(grams[: max(len(hashes) - order + 1, 0)], hashes[order - 1 :])
            buckets.append(buckets_of(grams, self._spec.num_buckets))
        return buckets

    def _hash_words(self, words: Sequence[str]) -> Hashes:
        known = self._hash_of_word
        if len(known) > MEMORY_SIZE:
            known.clear()
        for word in words:
            if word not in known:
                known[word] = word_hash(word.encode("utf-8"))
        return np.fromiter((known[word] for word in words), np.uint64, len(words))


class Sha256Buckets:
    """DSIR's buckets: SHA-256 of the words of an n-gram, joined by a space, as a number modulo `num_buckets`."""

    def __init__(self, spec: FeatureSpec) -> None:
        self._spec = spec
        self._bucket_of: dict[str, int] = {}

    def __call__(self, tokens: Tokens) -> list[Buckets]:
        """Return the buckets of a run of words, an array for each order."""
        words, known, num_buckets = list(tokens), self._bucket_of, self._spec.num_buckets
        buckets = []
        for order in range(1, self._spec.max_order + 1):
            grams = [" ".join(words[start : start + order]) for start in range(len(words) - order + 1)]
            if len(known) > MEMORY_SIZE:
                known.clear()
            for gram in grams:
                if gram not in known:
                    known[gram] = int.from_bytes(sha256(gram.encode("utf-8")).digest(), "big") % num_buckets
            buckets.append(np.fromiter((known[gram] for gram in grams), np.int64, len(grams)))
        return buckets


def load_plain(spec: FeatureSpec, encoder: BulkEncoder | None = None) -> PlainFeaturizer:
    """Return the plain featurizer of a spec; `encoder` as in `load_featurizer`."""
    tokenizer = Words(spec) if spec.uses_words else TokenIds(spec, encoder)
    return PlainFeaturizer(spec, tokenizer, Sha256Buckets(spec) if spec.hash == "sha256" else Mix64Buckets(spec))


def check_counts(counts_B: Counts, spec: FeatureSpec) -> None:
    """Raise ValueError unless `counts_B` can take the counts of a spec."""
    if counts_B.dtype != np.int64 or counts_B.shape != (spec.num_buckets,):
        raise ValueError(f"counts must be int64[{spec.num_buckets}], got {counts_B.dtype}{list(counts_B.shape)}")


def check_table(table_B: Floats, spec: FeatureSpec) -> Floats:
    """Return a table [B] or [T, B] as float64[T, B], or raise ValueError."""
    table_TB = np.atleast_2d(table_B)
    if table_TB.ndim != 2 or table_TB.shape[1] != spec.num_buckets or not len(table_TB):
        raise ValueError(f"the table must have {spec.num_buckets} buckets, got shape {list(table_B.shape)}")
    return np.ascontiguousarray(table_TB, dtype=np.float64)


def check_chunk(chunk_tokens: int) -> None:
    """Raise ValueError unless pieces have a length."""
    if chunk_tokens < 1:
        raise ValueError(f"chunk_tokens must be at least 1, got {chunk_tokens}")
