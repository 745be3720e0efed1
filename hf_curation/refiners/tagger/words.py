"""Words of a page as 32-bit hashes: found and hashed for all lines at once.

A word is a run of letters, marks and digits; in scripts written without spaces it is one character. Case is folded
and digits are all alike, so that years and prices share a hash. A polynomial hash sums over the characters of a word,
which `np.add.reduceat` does for all words in one call; 32-bit arithmetic wraps, and a finaliser spreads the bits.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hf_curation.refiners.tagger.characters import CLASS

_MAX_HASHED_LINE_WORDS: Final = 8


@dataclass(frozen=True, slots=True)
class Words:
    """The words of all lines in order. W = words, L = lines."""

    hashes: NDArray[np.uint32]
    lengths: NDArray[np.int64]
    """(W,) in characters."""
    first_class: NDArray[np.uint8]
    """(W,) class of each word's first character."""
    line_starts: NDArray[np.int64]
    """(L + 1,) where the words of each line begin."""
    line_of: NDArray[np.int64]
    """(W,) the line of each word."""


def _mix(values: NDArray[np.uint32], salt: int) -> NDArray[np.uint32]:
    """Scramble 32-bit numbers (the finaliser of MurmurHash3)."""
    h = values ^ np.uint32((salt * 0x9E3779B9) & 0xFFFFFFFF)
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


_POWERS: Final = np.cumprod(np.full(64, 0x01000193, dtype=np.uint32), dtype=np.uint32)


def find_words(classes: NDArray[np.uint8], lowered: NDArray[np.uint32], char_starts: NDArray[np.int64]) -> Words:
    """Return the words of all lines.

    Args:
        classes: (C,) character classes of the lines, each line ended by one character that belongs to no word.
        lowered: (C,) the same characters in lower case.
        char_starts: (L + 1,) where each line begins.
    """
    unspaced = classes == CLASS["unspaced"]
    inside = unspaced | (classes == CLASS["digit"]) | ((classes >= CLASS["lower"]) & (classes <= CLASS["letter"]))
    before = np.concatenate([[False], inside[:-1]])
    unspaced_before = np.concatenate([[False], unspaced[:-1]])
    is_first = inside & (~before | unspaced | unspaced_before)
    begins = np.flatnonzero(is_first)
    at = np.flatnonzero(inside)
    word_of = np.cumsum(is_first)[at] - 1
    offset = np.minimum(at - begins[word_of], len(_POWERS) - 1) if len(begins) else at
    line_starts = np.searchsorted(begins, char_starts).astype(np.int64)
    line_of = np.repeat(np.arange(len(char_starts) - 1), np.diff(line_starts))
    if not len(begins):
        return Words(at.astype(np.uint32), at, at.astype(np.uint8), line_starts, line_of)
    first_char = np.searchsorted(at, begins)
    hashes = np.add.reduceat(lowered[at] * _POWERS[offset], first_char, dtype=np.uint32)
    lengths = np.diff(np.append(first_char, len(at)))
    return Words(_mix(hashes, 1), lengths, classes[begins], line_starts, line_of)


def special_tokens(words: Words) -> NDArray[np.uint32]:
    """Return (L, 4) hashes: first word, last word, first two words, whole line; a long line has its length instead."""
    num = np.diff(words.line_starts)
    result = np.zeros((len(num), 4), dtype=np.uint32)
    some = np.flatnonzero(num)
    if not len(some):
        return result
    starts, n = words.line_starts[:-1][some], num[some]
    first = words.hashes[starts]
    second = words.hashes[np.minimum(starts + 1, starts + n - 1)]
    place = np.minimum(np.arange(len(words.hashes)) - words.line_starts[words.line_of], len(_POWERS) - 1)
    whole = np.add.reduceat(words.hashes * _POWERS[place], starts, dtype=np.uint32)
    result[some, 0] = _mix(first, 2)
    result[some, 1] = _mix(words.hashes[starts + n - 1], 3)
    result[some, 2] = _mix(first * np.uint32(31) + second, 4)
    result[some, 3] = np.where(n <= _MAX_HASHED_LINE_WORDS, _mix(whole, 5), _mix(n.astype(np.uint32) // 8, 6))
    return result
