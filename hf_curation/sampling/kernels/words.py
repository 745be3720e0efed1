"""Words of UTF-8 bytes, 64 bytes at a time, and their hashes. No Python string is made.

Each block gives three masks (`blocks.classify_64`); only bytes above 0x7F are looked at one by one. Where a run of one
class begins and ends are then bit operations: a token starts where a word byte follows none, or a sign follows none.
Three loops over small buffers (find, hash, gather) are faster than one that does all (measured: 1.3 and 1.6 GB/s
against 0.5): the first is full of branches, the second of multiplications, the third of loads.

A document is worked on in segments of about 8 KB that end at an ASCII space, so that the buffers stay in the first
cache whatever a document's size.
"""

from typing import Any

import numpy as np
from numba import njit, uint8, uint32, uint64

from hf_curation.sampling.kernels.blocks import classify_64, count_bits, load_8, lowest_bit
from hf_curation.sampling.kernels.code_points import BY_PYTHON, SPACE, WORD
from hf_curation.sampling.mix64 import MULTIPLIER_A, MULTIPLIER_C

SEGMENT_BYTES = 8192
BLOCK = 64
NEEDS_PYTHON = -1
_A = np.uint64(MULTIPLIER_A)
_C = np.uint64(MULTIPLIER_C)


@njit(cache=True, nogil=True)
def find_cut(data: Any, position: int, stop: int) -> int:  # noqa: ANN401
    """Return the first place from `position` on where an ASCII space stands, or `stop`."""
    for at in range(position, stop):
        byte = data[at]
        if byte == 32 or 9 <= byte <= 13:
            return at
    return stop


@njit(cache=True, nogil=True, inline="always")
def decode(data: Any, at: int) -> tuple[Any, int]:  # noqa: ANN401
    """Return the code point above U+007F that starts at `at` in valid UTF-8, and its number of bytes."""
    lead = uint32(data[at])
    if lead < 0xE0:
        return (lead & uint32(0x1F)) << uint32(6) | uint32(data[at + 1]) & uint32(0x3F), 2
    second = uint32(data[at + 1]) & uint32(0x3F)
    third = uint32(data[at + 2]) & uint32(0x3F)
    if lead < 0xF0:
        return (lead & uint32(0x0F)) << uint32(12) | second << uint32(6) | third, 3
    fourth = uint32(data[at + 3]) & uint32(0x3F)
    return (lead & uint32(0x07)) << uint32(18) | second << uint32(12) | third << uint32(6) | fourth, 4


@njit(cache=True, nogil=True, inline="always")
def encode(point: Any, num_bytes: int, target: Any, at: int) -> None:  # noqa: ANN401
    """Write a code point above U+007F as `num_bytes` bytes of UTF-8."""
    for i in range(num_bytes - 1, 0, -1):
        target[at + i] = uint8(point & uint32(0x3F) | uint32(0x80))
        point >>= uint32(6)
    target[at] = uint8(point | (uint32(0xFF00) >> uint32(num_bytes)) & uint32(0xFF))


@njit(cache=True, nogil=True, inline="always")
def write_positions(mask: Any, base: int, positions: Any, count: int) -> int:  # noqa: ANN401
    """Append the places of the bits of `mask`; four are written at a time, and those too many overwritten later."""
    end = count + count_bits(mask)
    while count < end:
        for i in range(4):
            positions[count + i] = base + lowest_bit(mask)
            mask &= mask - uint64(1)
        count += 4
    return end


@njit(cache=True, nogil=True)
def find_tokens(
    data: Any, begin: int, stop: int, case_bit: Any, code_points: Any, lowered: Any, starts: Any, ends: Any  # noqa: ANN401
) -> int:
    """Find the words of bytes `begin` to `stop`, where no word crosses either border.

    Args:
        data: uint8, valid UTF-8.
        begin: first byte.
        stop: one past the last.
        case_bit: 32 to fold case, 0 to leave it.
        code_points: `code_point_table()`.
        lowered: uint8, receives the text (in lower case); needs 128 bytes more than the text.
        starts: int32, receives the first byte of each word, in `lowered`; needs 8 places more than the text has bytes.
        ends: int32, likewise one past the last byte.

    Returns:
        The number of words, or NEEDS_PYTHON if a letter must be lowered by Python.
    """
    num_starts, num_ends = 0, 0
    was_word, was_sign = uint64(0), uint64(0)
    spilled_word, spilled_space, spilled = uint64(0), uint64(0), uint64(0)
    spill_at, spill_point, spill_bytes = 0, uint32(0), 0
    tail = np.zeros(BLOCK, np.uint8)
    length = stop - begin
    for base in range(0, length, BLOCK):
        if begin + base + BLOCK <= len(data):
            word, space, high = classify_64(data, begin + base, lowered, base, case_bit)
        else:
            for i in range(length - base):
                tail[i] = data[begin + base + i]
            word, space, high = classify_64(tail, 0, lowered, base, case_bit)
        valid = ~uint64(0)
        if length - base < BLOCK:
            valid = (uint64(1) << uint64(length - base)) - uint64(1)
            high &= valid
        if spilled or high:
            word |= spilled_word
            space |= spilled_space
            if spilled:
                encode(spill_point, spill_bytes, lowered, spill_at)
            high &= ~spilled
            spilled_word, spilled_space, spilled = uint64(0), uint64(0), uint64(0)
            while high:
                i = lowest_bit(high)
                point, num_bytes = decode(data, begin + base + i)
                entry = code_points[point]
                kind = entry & uint32(3)
                if case_bit:
                    if kind == BY_PYTHON:
                        return NEEDS_PYTHON
                    if entry >> uint32(2) != point:
                        point = entry >> uint32(2)
                        encode(point, num_bytes, lowered, base + i)
                elif kind == BY_PYTHON:
                    kind = uint32(WORD)
                ones = (uint64(1) << uint64(num_bytes)) - uint64(1)
                high &= ~(ones << uint64(i))
                if kind == WORD:
                    word |= ones << uint64(i)
                elif kind == SPACE:
                    space |= ones << uint64(i)
                if i + num_bytes > BLOCK:
                    spilled = ones >> uint64(BLOCK - i)
                    if kind == WORD:
                        spilled_word = spilled
                    elif kind == SPACE:
                        spilled_space = spilled
                    spill_at, spill_point, spill_bytes = base + i, point, num_bytes
        word &= valid
        sign = ~(word | space) & valid
        before_word = word << uint64(1) | was_word
        before_sign = sign << uint64(1) | was_sign
        num_starts = write_positions(word & ~before_word | sign & ~before_sign, base, starts, num_starts)
        num_ends = write_positions(~word & before_word | ~sign & before_sign, base, ends, num_ends)
        was_word, was_sign = word >> uint64(63), sign >> uint64(63)
    if num_ends < num_starts:
        ends[num_ends] = length
    return num_starts


@njit(cache=True, nogil=True)
def hash_tokens(lowered: Any, starts: Any, ends: Any, count: int, hashes: Any, first: int) -> None:  # noqa: ANN401
    """Write `mix64.word_hash` of each word to `hashes`, uint64, from `first` on."""
    for token in range(count):
        at = starts[token]
        left = ends[token] - at
        h = _A * uint64(left + 1)
        while left > 8:
            h = mix(h ^ load_8(lowered, at))
            at += 8
            left -= 8
        h = mix(h ^ load_8(lowered, at) & (~uint64(0) >> uint64(64 - 8 * left)))
        hashes[first + token] = h


@njit(cache=True, nogil=True, inline="always")
def mix(x: Any) -> Any:  # noqa: ANN401
    """Return `mix64.mix` of a uint64."""
    x ^= x >> uint64(32)
    x *= _C
    return x ^ x >> uint64(32)
