"""The loops over the documents of a batch: words, DSIR's words or token ids; counted or scored.

A loop stops at a document that it cannot do, and says why; the caller does something about it and goes on there.
"""
# ruff: noqa: ANN401

from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint64

from hf_curation.sampling.kernels.dsir import FULL, fill_dsir_buckets, number_words
from hf_curation.sampling.kernels.jit import compiled
from hf_curation.sampling.kernels.ngrams import add_sums, average_runs, count_buckets, fill_buckets
from hf_curation.sampling.kernels.words import NEEDS_PYTHON, SEGMENT_BYTES, find_cut, find_tokens, hash_tokens, mix
from hf_curation.sampling.mix64 import MULTIPLIER_A

SLACK = 128
_A = np.uint64(MULTIPLIER_A)


class Scratch(NamedTuple):
    """Buffers for the longest document; the operating system gives them memory only where they are touched."""

    lowered: Any
    """uint8"""
    starts: Any
    """int32"""
    ends: Any
    """int32"""
    hashes: Any
    """uint64"""
    grams: Any
    """uint64"""
    places: Any
    """int64"""
    numbers: Any
    """int32"""
    buckets: Any
    """int32"""


class Settings(NamedTuple):
    """What is the same for all documents."""

    max_order: int
    num_buckets: Any
    """uint64"""
    case_bit: Any
    """uint8: 32 folds case, 0 leaves it."""
    chunk_tokens: int
    """0 for whole documents."""
    length_exponent: float


def make_scratch(longest: int) -> Scratch:
    """Return buffers for documents of up to `longest` bytes (or tokens)."""
    size = longest + SLACK
    kinds = (np.uint8, np.int32, np.int32, np.uint64, np.uint64, np.int64, np.int32, np.int32)
    return Scratch(*(np.empty(size, kind) for kind in kinds))


@compiled
def read_words(data: Any, begin: int, stop: int, settings: Any, code_points: Any, scratch: Any) -> Any:
    """Write the hashes of a document's words to the scratch; return their number, or NEEDS_PYTHON."""
    num_tokens = 0
    lowered, starts, ends = scratch.lowered, scratch.starts, scratch.ends
    while begin < stop:
        cut = find_cut(data, begin + SEGMENT_BYTES, stop)
        count = find_tokens(data, begin, cut, settings.case_bit, code_points, lowered, starts, ends)
        if count < 0:
            return NEEDS_PYTHON
        hash_tokens(lowered, starts, ends, count, scratch.hashes, num_tokens)
        num_tokens += count
        begin = cut
    return num_tokens


@compiled
def read_dsir_words(
    data: Any, begin: int, stop: int, settings: Any, code_points: Any, scratch: Any, memory: Any
) -> Any:
    """Write the numbers of a document's words to the scratch; return how many, or NEEDS_PYTHON, or FULL."""
    num_tokens = 0
    lowered, starts, ends = scratch.lowered, scratch.starts, scratch.ends
    while begin < stop:
        cut = find_cut(data, begin + SEGMENT_BYTES, stop)
        count = find_tokens(data, begin, cut, settings.case_bit, code_points, lowered, starts, ends)
        if count < 0:
            return NEEDS_PYTHON
        hash_tokens(lowered, starts, ends, count, scratch.hashes, int64(0))
        numbers = scratch.numbers[num_tokens:]
        if number_words(memory, lowered, starts, ends, count, scratch.hashes, numbers) == FULL:
            return FULL
        num_tokens += count
        begin = cut
    return num_tokens


@compiled
def read_ids(ids: Any, begin: int, stop: int, scratch: Any) -> Any:
    """Write the hashes of a document's token ids to the scratch; return their number."""
    for i in range(stop - begin):
        scratch.hashes[i] = mix(mix(_A * (uint64(ids[begin + i]) + uint64(1))))
    return stop - begin


@compiled
def fill_order(scratch: Any, memory: Any, num_tokens: int, order: int, settings: Any) -> None:
    """Write the buckets of one order, by our hash or, where there is a memory of words, by DSIR's."""
    if memory is None:
        fill_buckets(scratch.hashes, num_tokens, order, settings.num_buckets, scratch.grams, scratch.buckets)
    else:
        fill_dsir_buckets(
            memory, scratch.numbers, num_tokens, order, settings.num_buckets, scratch.places, scratch.buckets
        )


@compiled
def read_document(data: Any, begin: int, stop: int, settings: Any, code_points: Any, scratch: Any, memory: Any) -> Any:
    """Read a document: words, DSIR's words where there is a memory of them, or ids where there are no code points."""
    if code_points is None:
        return read_ids(data, begin, stop, scratch)
    if memory is None:
        return read_words(data, begin, stop, settings, code_points, scratch)
    return read_dsir_words(data, begin, stop, settings, code_points, scratch, memory)


@compiled
def read_documents(
    data: Any,
    offsets: Any,
    first: int,
    settings: Any,
    code_points: Any,
    scratch: Any,
    memory: Any,
    counts_B: Any,
    table_TB: Any,
    sums_NT: Any,
    sizes_N3: Any,
) -> Any:
    """Count or score the n-grams of documents from number `first` on. One kernel for both: half the compiling.

    Args:
        data: uint8 text, or uint32 ids.
        offsets: int64[N + 1]: document d is `data[offsets[d] : offsets[d + 1]]`.
        first: where to start.
        settings: what is the same for all.
        code_points: `code_point_table()`; None for ids.
        scratch: buffers.
        memory: DSIR's `WordMemory`, or None for our own hash.
        counts_B: int64, receives counts; of length 0 when documents are scored.
        table_TB: float64; with no row when n-grams are counted.
        sums_NT: float64 zeros, receives the sums.
        sizes_N3: int64, receives tokens (NEEDS_PYTHON where the document was left out), n-grams, pieces.

    Returns:
        N, or the number of the document for which the memory was full.
    """
    one_run_RT = np.zeros((1, len(table_TB)))
    for d in range(first, len(offsets) - 1):
        num_tokens = read_document(data, offsets[d], offsets[d + 1], settings, code_points, scratch, memory)
        if num_tokens == FULL:
            return d
        sizes_N3[d, 0] = num_tokens
        if num_tokens <= 0:
            continue
        step = settings.chunk_tokens if settings.chunk_tokens else num_tokens
        sums_RT = one_run_RT
        if step < num_tokens:
            sums_RT = np.zeros(((num_tokens - 1) // step + 1, len(table_TB)))
        sums_RT[:] = 0.0
        for order in range(1, settings.max_order + 1):
            fill_order(scratch, memory, num_tokens, order, settings)
            count_buckets(scratch.buckets, num_tokens - order + 1, counts_B)
            add_sums(scratch.buckets, num_tokens, order, step, table_TB, sums_RT)
        sizes_N3[d, 1] = average_runs(sums_RT, num_tokens, step, settings, sums_NT[d])
        sizes_N3[d, 2] = len(sums_RT)
    return len(offsets) - 1
