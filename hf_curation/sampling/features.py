"""From texts to hashed n-grams: counts for a model, or sums over a table of log ratios.

No feature vector is ever built. A log weight is a sum over n-grams of `table[bucket]`, so scoring reads the text once
and gathers, where DSIR fills 10,000 counters and multiplies them with 10,000 numbers per document.

Sums are taken in one defined order: over the n-grams of an order from left to right, then over orders, in float64.
So every backend and every cut of the input into batches gives the same 64 bits, and a sidecar of weights is
byte-identical for any number of tasks.
"""

import logging
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from hf_curation.sampling.spec import FeatureSpec
from hf_curation.vocabulary.encoding import BulkEncoder
from hf_curation.vocabulary.texts import Texts

Counts = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]

logger = logging.getLogger(__name__)


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


def load_featurizer(
    spec: FeatureSpec, *, backend: Literal["auto", "fast", "plain"] = "auto", encoder: BulkEncoder | None = None
) -> Featurizer:
    """Return the featurizer of a spec.

    Args:
        spec: what the features are.
        backend: "fast" compiles kernels with numba (once a machine; they are cached on disk); "plain" is Python and
            numpy, with the same results; "auto" is the fast one, or with one line in the log the plain one where numba
            is not installed.
        encoder: of the spec's tokenizer, where one is loaded already, or another than the fastest is wanted.

    Raises:
        ImportError: for "fast" without numba; says what to install.
        RuntimeError: for "fast", if compiled kernels from a cache are out of date.
    """
    from hf_curation.sampling.plain import load_plain  # noqa: PLC0415 - it imports this module

    if backend not in ("auto", "fast", "plain"):
        raise ValueError(f"backend must be 'auto', 'fast' or 'plain', got {backend!r}")
    if backend == "plain":
        return load_plain(spec, encoder)
    try:
        import numba  # noqa: F401, PLC0415 - 0.3 s, and optional
    except ImportError as error:
        if backend == "fast":
            raise ImportError("`numba` is needed for backend='fast': pip install 'hf-curation[select]'") from error
        logger.info("numba is not installed: features are found in Python, 20 to 50 times slower, with equal results")
        return load_plain(spec, encoder)
    from hf_curation.sampling.fast import FastFeaturizer  # noqa: PLC0415 - imports numba

    try:
        return FastFeaturizer(spec, encoder)
    except RuntimeError as error:
        if backend == "fast":
            raise
        logger.warning("features are found in Python, 20 to 50 times slower, since %s", error)
        return load_plain(spec, encoder)
