"""From the hashes of a document's tokens to the buckets of its n-grams, and from buckets to sums or counts.

Sums are float64, taken from left to right within an order, then over orders, without fastmath: the plain featurizer's
sums, bit for bit. A document is scored as one run of tokens, or in runs of `step` tokens whose n-grams stay inside.
"""
# ruff: noqa: ANN401 - arrays and numbers of numba

from typing import Any

import numpy as np
from numba import uint64

from hf_curation.sampling.kernels.jit import compiled
from hf_curation.sampling.kernels.words import mix
from hf_curation.sampling.mix64 import MULTIPLIER_A

_A = np.uint64(MULTIPLIER_A)


@compiled
def fill_buckets(hashes: Any, num_tokens: int, order: int, num_buckets: Any, grams: Any, buckets: Any) -> None:
    """Write the buckets of a document's n-grams of one order; to be called for order 1, 2, ... in turn.

    Args:
        hashes: uint64 hashes of the tokens.
        num_tokens: how many.
        order: which n-grams.
        num_buckets: uint64.
        grams: uint64 scratch, keeps the hashes of the order before.
        buckets: int32, receives the bucket of the n-gram that starts at each token.
    """
    for i in range(num_tokens - order + 1):
        h = hashes[i + order - 1]
        if order > 1:
            h = mix(grams[i] * _A + h)
        grams[i] = h
        buckets[i] = ((h >> uint64(32)) * num_buckets) >> uint64(32)


@compiled
def add_sums(
    buckets: Any,
    num_tokens: int,
    order: int,
    step: int,
    table_TB: Any,
    sums_RT: Any,
) -> None:
    """Add the sums of one order over each run of `step` tokens to `sums_RT`."""
    for run, start in enumerate(range(0, num_tokens, step)):
        end = min(start + step, num_tokens) - order + 1
        for target in range(len(table_TB)):
            total = 0.0
            for i in range(start, end):
                total += table_TB[target, buckets[i]]
            sums_RT[run, target] += total


@compiled
def average_runs(sums_RT: Any, num_tokens: int, step: int, settings: Any, mean_T: Any) -> Any:
    """Write the average of the runs to `mean_T`, as `features.TextScores.sums` says; return the number of n-grams."""
    if not settings.chunk_tokens:
        mean_T[:] = sums_RT[0]
        return count_ngrams(num_tokens, settings.max_order)
    num_ngrams = 0
    for run, start in enumerate(range(0, num_tokens, step)):
        length = min(step, num_tokens - start)
        of_run = count_ngrams(length, settings.max_order)
        for target in range(sums_RT.shape[1]):
            mean = sums_RT[run, target] / float(of_run) ** settings.length_exponent
            mean_T[target] += mean * (length / num_tokens)
        num_ngrams += of_run
    return num_ngrams


@compiled
def count_ngrams(num_tokens: int, max_order: int) -> Any:
    """Return how many n-grams of orders 1 to `max_order` a run of tokens has."""
    total = 0
    for order in range(1, max_order + 1):
        total += max(num_tokens - order + 1, 0)
    return total


@compiled
def count_buckets(buckets: Any, num_grams: int, counts_B: Any) -> None:
    """Count the buckets of one order, if they are counted at all."""
    if len(counts_B):
        for i in range(num_grams):
            counts_B[buckets[i]] += 1
