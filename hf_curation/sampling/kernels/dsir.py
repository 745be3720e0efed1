"""DSIR's buckets, exactly: words become numbers, and SHA-256 is taken once of what is new.

Words are looked up by their bytes: a 64-bit hash finds the place, and the bytes decide, so two words never share a
number. A pair of numbers then identifies a bigram, exactly, in a direct-mapped memory of pairs: a pair that is met
again costs one load instead of a hash. When the memory of words is full, everything is forgotten.
"""
# ruff: noqa: ANN401

from typing import Any, NamedTuple

import numpy as np
from numba import int64, uint8, uint64

from hf_curation.sampling.kernels.blocks import load_8, lowest_bit
from hf_curation.sampling.kernels.jit import compiled
from hf_curation.sampling.kernels.sha256 import LANES, SHORT, compress, fill_lane, lane_bucket, make_lanes, pad, reset
from hf_curation.sampling.kernels.words import mix

FULL = -2


class WordMemory(NamedTuple):
    """All words met since it was last emptied, and the bigrams met most recently."""

    slots: Any
    """uint64[2^k], open addressing: upper half of the word's hash, then its number plus 1; 0 if empty."""
    start_of: Any
    """int64[W + 1]: where each word's bytes start in `bytes`."""
    bytes: Any
    """uint8, with 8 bytes of slack."""
    bucket_of: Any
    """int32[W]"""
    pairs: Any
    """uint64[2^p, 2]: key (both numbers plus 1), bucket."""
    used: Any
    """int64[2]: number of words, and of those whose bucket is known."""
    lanes: Any
    """Registers of SHA-256."""


def make_memory(num_words: int, num_bytes: int, num_pairs: int) -> WordMemory:
    """Return an empty memory for so many words, their bytes, and pairs; `num_words` and `num_pairs` powers of two."""
    return WordMemory(
        np.zeros(2 * num_words, np.uint64),
        np.zeros(num_words + 1, np.int64),
        np.zeros(num_bytes + 8, np.uint8),
        np.zeros(num_words, np.int32),
        np.zeros((num_pairs, 2), np.uint64),
        np.zeros(2, np.int64),
        make_lanes(),
    )


@compiled
def number_words(memory: Any, lowered: Any, starts: Any, ends: Any, count: int, hashes: Any, numbers: Any) -> Any:
    """Write the numbers of `count` words to `numbers`, int32; return `count`, or FULL."""
    slots, start_of, known = memory.slots, memory.start_of, memory.bytes
    last = uint64(len(slots) - 1)
    for token in range(count):
        h = hashes[token]
        start = starts[token]
        length = ends[token] - start
        tag = h >> uint64(32) << uint64(32)
        slot = h & last
        while True:
            entry = slots[slot]
            if entry == 0:
                number = memory.used[0]
                at = start_of[number]
                if number == len(memory.bucket_of) or at + length + 8 > len(known):
                    return FULL
                for i in range(length):
                    known[at + i] = lowered[start + i]
                start_of[number + 1] = at + length
                memory.used[0] = number + 1
                slots[slot] = tag | uint64(number + 1)
                break
            number = np.int64(entry & uint64(0xFFFFFFFF)) - 1
            if entry >> uint64(32) == h >> uint64(32) and is_word(start_of, known, number, lowered, start, length):
                break
            slot = (slot + uint64(1)) & last
        numbers[token] = number
    return count


@compiled
def is_word(start_of: Any, known: Any, number: Any, lowered: Any, start: int, length: int) -> Any:
    """Return whether a word's bytes are those of word `number`."""
    at = start_of[number]
    if start_of[number + 1] - at != length:
        return False
    while length > 8:
        if load_8(known, at) != load_8(lowered, start):
            return False
        at, start, length = at + 8, start + 8, length - 8
    return (load_8(known, at) ^ load_8(lowered, start)) << uint64(64 - 8 * length) == 0


@compiled
def gram_length(memory: Any, numbers: Any, first: int, order: int) -> Any:
    """Return the bytes of an n-gram, its words joined by spaces."""
    length = order - 1
    for i in range(first, first + order):
        length += memory.start_of[numbers[i] + 1] - memory.start_of[numbers[i]]
    return length


@compiled
def join(memory: Any, numbers: Any, first: int, order: int, message: Any) -> None:
    """Write the words of an n-gram, joined by spaces, to `message`."""
    end = 0
    for i in range(first, first + order):
        if i > first:
            message[end] = uint8(32)
            end += 1
        for at in range(memory.start_of[numbers[i]], memory.start_of[numbers[i] + 1]):
            message[end] = memory.bytes[at]
            end += 1


@compiled
def hash_grams(memory: Any, numbers: Any, firsts: Any, count: int, order: int, num_buckets: Any, results: Any) -> None:
    """Write the buckets of `count` n-grams, the words `numbers[first : first + order]`, to `results`, int32."""
    state, words = memory.lanes.state, memory.lanes.words
    message, whose = np.empty(128, np.uint8), np.empty(LANES, np.int64)
    filled, num_long = 0, 0
    for k in range(count):
        length = gram_length(memory, numbers, firsts[k], order)
        if length <= SHORT:
            join(memory, numbers, firsts[k], order, message)
            pad(message, length)
            fill_lane(message, int64(0), filled, words)
            whose[filled] = k
            filled += 1
        else:
            num_long += 1
        if filled == LANES or (filled and k == count - 1):
            reset(state)
            compress(memory.lanes)
            for lane in range(filled):
                results[whose[lane]] = lane_bucket(state, lane, num_buckets)
            filled = 0
    if num_long:
        for k in range(count):
            if gram_length(memory, numbers, firsts[k], order) > SHORT:
                results[k] = hash_long(memory, numbers, firsts[k], order, num_buckets)


@compiled
def hash_long(memory: Any, numbers: Any, first: int, order: int, num_buckets: Any) -> Any:
    """Return the bucket of an n-gram that does not fit one block: one lane works, the others idle."""
    length = gram_length(memory, numbers, first, order)
    message = np.empty(length + 72, np.uint8)
    join(memory, numbers, first, order, message)
    state, words = memory.lanes.state, memory.lanes.words
    reset(state)
    for block in range(pad(message, length)):
        fill_lane(message, 64 * block, int64(0), words)
        compress(memory.lanes)
    return lane_bucket(state, int64(0), num_buckets)


@compiled
def hash_new_words(memory: Any, num_buckets: Any) -> None:
    """Give every word that has none its bucket."""
    first, end = memory.used[1], memory.used[0]
    if first < end:
        numbers = np.arange(first, end, dtype=np.int32)
        places = np.arange(end - first)
        hash_grams(memory, numbers, places, end - first, int64(1), num_buckets, memory.bucket_of[first:end])
        memory.used[1] = end


@compiled
def fill_dsir_buckets(
    memory: Any, numbers: Any, num_tokens: int, order: int, num_buckets: Any, places: Any, buckets: Any
) -> None:
    """Write the buckets of a document's n-grams of one order; as `ngrams.fill_buckets`, from the numbers of words.

    `places` is int64 scratch with room for every token.
    """
    num_grams = num_tokens - order + 1
    if order == 1:
        hash_new_words(memory, num_buckets)
        for i in range(num_grams):
            buckets[i] = memory.bucket_of[numbers[i]]
    elif order == 2:
        fill_pairs(memory, numbers, num_grams, num_buckets, places, buckets)
    else:
        for i in range(num_grams):
            places[i] = i
        hash_grams(memory, numbers, places, num_grams, order, num_buckets, buckets)


@compiled
def fill_pairs(memory: Any, numbers: Any, num_grams: int, num_buckets: Any, places: Any, buckets: Any) -> None:
    """Write the buckets of bigrams: remembered ones are read, the others hashed together."""
    pairs = memory.pairs
    shift = uint64(64 - lowest_bit(uint64(len(pairs))))
    num_missed = 0
    for i in range(num_grams):
        key = pair_key(numbers, i)
        slot = mix(key) >> shift
        if pairs[slot, 0] == key:
            buckets[i] = np.int32(
                pairs[slot, 1]
            )  # of one missed in this document: its place among the missed, below 0
        else:
            pairs[slot, 0] = key
            pairs[slot, 1] = uint64(np.int64(-1 - num_missed))
            buckets[i] = -1 - num_missed
            places[num_missed] = i
            num_missed += 1
    results = np.empty(num_missed, np.int32)
    hash_grams(memory, numbers, places, num_missed, int64(2), num_buckets, results)
    for k in range(num_missed):
        key = pair_key(numbers, places[k])
        slot = mix(key) >> shift
        if pairs[slot, 0] == key:
            pairs[slot, 1] = uint64(results[k])
    for i in range(num_grams):
        if buckets[i] < 0:
            buckets[i] = results[-1 - buckets[i]]


@compiled
def pair_key(numbers: Any, i: int) -> Any:
    """Return both numbers in one: exact, and never 0."""
    return uint64(numbers[i] + 1) << uint64(32) | uint64(numbers[i + 1] + 1)
