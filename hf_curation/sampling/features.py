"""From texts to hashed n-grams: counts for a model, or sums over a table of log ratios.

No feature vector is ever built. A log weight is a sum over n-grams of `table[bucket]`, so scoring reads the text once
and gathers, where DSIR fills 10,000 counters and multiplies them with 10,000 numbers per document.

Sums are taken in one defined order: over the n-grams of an order from left to right, then over orders, in float64.
So every backend and every cut of the input into batches gives the same 64 bits, and a sidecar of weights is
byte-identical for any number of tasks.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hf_curation.sampling.spec import FeatureSpec
from hf_curation.vocabulary.texts import Texts

Counts = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, slots=True, eq=False)
class TextSizes:
    """How long the texts of a batch are."""

    num_tokens: Counts
    """int64[N]"""
    num_ngrams: Counts
    """int64[N], of all orders. 0 where a text holds no token."""


@dataclass(frozen=True, slots=True, eq=False)
class TextScores:
    """Sums of a table over the n-grams of each text of a batch."""

    sums: Floats
    """float64[N], or float64[N, T] for a table [T, B]. 0 where a text holds no n-gram.

    Of `score_chunks`: the mean of the chunks' `sum / num_ngrams^length_exponent`, in which a chunk weighs as many
    parts as it has tokens.
    """
    num_tokens: Counts
    """int64[N]"""
    num_ngrams: Counts
    """int64[N]; of `score_chunks`, without the n-grams that would cross a border."""
    num_chunks: Counts
    """int64[N]; of `score`, 1 for a text with tokens and 0 for one without."""


class Featurizer(Protocol):
    """Something that finds the n-grams of texts. Texts are given as strings or as an Arrow array; null is an error."""

    spec: FeatureSpec
    backend: str

    def count(self, texts: Texts, counts_B: Counts) -> TextSizes:
        """Add the n-grams of `texts` to `counts_B`, int64[num_buckets], in place."""
        ...

    def score(self, texts: Texts, table_B: Floats) -> TextScores:
        """Sum `table_B`, float64[num_buckets] or [T, num_buckets], over the n-grams of each text."""
        ...

    def score_chunks(
        self, texts: Texts, table_B: Floats, chunk_tokens: int, *, length_exponent: float = 0.0
    ) -> TextScores:
        """Score pieces of `chunk_tokens` tokens (the last may be shorter) and average them; see `TextScores.sums`."""
        ...

    def ngrams(self, text: str) -> list[tuple[str, int]]:
        """Return the n-grams of one text, readable, with their buckets: by order, then from left to right. Slow."""
        ...
