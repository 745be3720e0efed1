"""Words of UTF-8 bytes, 64 bytes at a time, and their hashes. No Python string is made.

Each block gives three masks (`blocks.classify_64`); only bytes above 0x7F are looked at one by one. Where a run of one
class begins and ends are then bit operations: a token starts where a word byte follows none, or a sign follows none.
Three loops over small buffers (find, hash, gather) are faster than one that does all (measured: 1.3 and 1.6 GB/s
against 0.5): the first is full of branches, the second of multiplications, the third of loads.

A document is worked on in segments of about 8 KB that end at an ASCII space, so that the buffers stay in the first
cache whatever a document's size.
"""
# ruff: noqa: ANN401 - arrays and numbers of numba

from typing import Any

import numpy as np
from numba import int64, uint8, uint32, uint64

from hf_curation.sampling.kernels.blocks import classify_64, count_bits, load_8, lowest_bit
from hf_curation.sampling.kernels.code_points import BY_PYTHON, SPACE, WORD
from hf_curation.sampling.kernels.jit import compiled
from hf_curation.sampling.mix64 import MULTIPLIER_A, MULTIPLIER_C

SEGMENT_BYTES = 8192
BLOCK = 64
NEEDS_PYTHON = -1
_A = np.uint64(MULTIPLIER_A)
_C = np.uint64(MULTIPLIER_C)


@compiled
def find_cut(data: Any, position: int, stop: int) -> Any:
    """Return the first place from `position` on where an ASCII space stands, or `stop`."""
    for at in range(position, stop):
        byte = data[at]
        if byte == 32 or 9 <= byte <= 13:
            return at
    return stop


@compiled
def decode(data: Any, at: int) -> Any:
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


@compiled
def encode(point: Any, num_bytes: int, target: Any, at: int) -> None:
    """Write a code point above U+007F as `num_bytes` bytes of UTF-8."""
    for i in range(num_bytes - 1, 0, -1):
        target[at + i] = uint8(point & uint32(0x3F) | uint32(0x80))
        point >>= uint32(6)
    target[at] = uint8(point | (uint32(0xFF00) >> uint32(num_bytes)) & uint32(0xFF))


@compiled
def write_positions(mask: Any, base: int, positions: Any, count: int) -> Any:
    """Append the places of the bits of `mask`; four are written at a time, and those too many overwritten later."""
    end = count + count_bits(mask)
    while count < end:
        for i in range(4):
            positions[count + i] = base + lowest_bit(mask)
            mask &= mask - uint64(1)
        count += 4
    return end


@compiled
def read_letters(
    data: Any, begin: int, base: int, high: Any, case_bit: Any, code_points: Any, lowered: Any, spill: Any
) -> Any:
    """Classify the bytes above 0x7F of one block, and write their lower case.

    Args:
        data: uint8, valid UTF-8.
        begin: where the text starts in `data`.
        base: where the block starts in the text.
        high: mask of the bytes above 0x7F.
        case_bit: as `find_tokens`.
        code_points: as `find_tokens`.
        lowered: as `find_tokens`.
        spill: uint64[6] of a letter that goes over the block's end, in and out: mask of its bytes in the next block,
            of those that are a word, of those that are space; where it starts, its lower case, its number of bytes.

    Returns:
        Masks of word bytes and of space bytes; and whether Python must lower the text.
    """
    word, space = spill[1], spill[2]
    if spill[0]:
        encode(uint32(spill[4]), int64(spill[5]), lowered, int64(spill[3]))  # the block was written over it
        high &= ~spill[0]
    spill[:3] = uint64(0)
    while high:
        i = lowest_bit(high)
        point, num_bytes = decode(data, begin + base + i)
        kind = code_points[point] & uint32(3)
        if kind == BY_PYTHON:
            if case_bit:
                return word, space, True
            kind = uint32(WORD)
        elif case_bit and code_points[point] >> uint32(2) != point:
            point = code_points[point] >> uint32(2)
            encode(point, num_bytes, lowered, base + i)
        ones = (uint64(1) << uint64(num_bytes)) - uint64(1)
        mask = ones << uint64(i)
        high &= ~mask
        word |= mask if kind == WORD else uint64(0)
        space |= mask if kind == SPACE else uint64(0)
        if i + num_bytes > BLOCK:
            spill[0] = ones >> uint64(BLOCK - i)
            spill[1] = spill[0] if kind == WORD else uint64(0)
            spill[2] = spill[0] if kind == SPACE else uint64(0)
            spill[3], spill[4], spill[5] = uint64(base + i), uint64(point), uint64(num_bytes)
    return word, space, False


@compiled
def find_tokens(
    data: Any, begin: int, stop: int, case_bit: Any, code_points: Any, lowered: Any, starts: Any, ends: Any
) -> Any:
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
    num_starts, num_ends, length = int64(0), int64(0), stop - begin
    was_word, was_sign = uint64(0), uint64(0)
    tail, spill = np.zeros(BLOCK, np.uint8), np.zeros(6, np.uint64)
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
        if high & valid or spill[0]:
            more_word, more_space, needs_python = read_letters(
                data, begin, base, high & valid, case_bit, code_points, lowered, spill
            )
            if needs_python:
                return NEEDS_PYTHON
            word |= more_word
            space |= more_space
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


@compiled
def hash_tokens(lowered: Any, starts: Any, ends: Any, count: int, hashes: Any, first: int) -> None:
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
        hashes[first + token] = mix(h)


@compiled
def mix(x: Any) -> Any:
    """Return `mix64.mix` of a uint64."""
    x ^= x >> uint64(32)
    x *= _C
    return x ^ x >> uint64(29)
