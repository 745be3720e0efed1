# mypy: disable-error-code="untyped-decorator,no-any-return"
"""Finding leaks in compiled code: one pass over UTF-8 bytes, no word is ever made into a string.

Bytes become code points, code points word hashes by the fold table, a block of 4,096 hashes at a time (so one document
of 100 MB takes no more memory than a small one). Over a block two polynomials roll: over n words, and over `min_words`
for the ends of texts that are matched whole. Each window first asks a bitmap (16 bits a key, 64 an end), wrong
once in 16 at most; then the sorted keys, by their leading bits.

Words and keys are two loops, so that the processor can wait for many lines of the bitmap at once: 3 times as fast as
one loop where the bitmap (4 MB for 1.4 million keys) is larger than the cache. The numpy path of `LeakIndex` and the
tuples of words in the tests are its twins.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numba
import numpy as np
import numpy.typing as npt

from hf_curation.sampling.leakage_words import (
    BASE,
    LENGTH_FACTOR,
    MIX_1,
    MIX_2,
    U64,
    WORD_FACTOR,
    WORD_SEED,
    fold_table,
)
from hf_curation.sampling.utf8 import utf8_of

if TYPE_CHECKING:
    from hf_curation.sampling.leakage import LeakIndex, LeakMatches

Symbols = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Tables = tuple[U64, npt.NDArray[np.int16], Numbers, np.uint64, Symbols, Symbols]

_BITS_PER_KEY: Final = 16
_BITS_PER_SUFFIX: Final = 64
_BLOCK: Final = 4096
_SEED, _FACTOR, _BASE = np.uint64(WORD_SEED), np.uint64(WORD_FACTOR), np.uint64(BASE)
_LENGTH, _MIX_1, _MIX_2 = np.uint64(LENGTH_FACTOR), np.uint64(MIX_1), np.uint64(MIX_2)
_U0, _U3, _U7, _U29 = np.uint64(0), np.uint64(3), np.uint64(7), np.uint64(29)
_U27, _U30, _U31 = np.uint64(27), np.uint64(30), np.uint64(31)
_NUM_FOLDED = len(fold_table())


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the kernel reads of an index."""

    starts: npt.NDArray[np.int64]
    """int64[2**bits + 1]: where the keys with each leading `bits` bits begin."""
    shift: np.uint64
    bitmap: npt.NDArray[np.uint8]
    suffix_bitmap: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.int64]
    powers: U64
    """uint64[2]: BASE to the power of n, and of `min_words`."""

    @classmethod
    def of(cls, index: "LeakIndex") -> "Lookup":
        """Return the tables for `index`."""
        bits = max(1, len(index.keys).bit_length())
        edges = np.arange(2**bits, dtype=np.uint64) << np.uint64(64 - bits)
        starts = np.append(np.searchsorted(index.keys, edges), len(index.keys)).astype(np.int64)
        powers = [pow(BASE, length, 2**64) for length in (index.n, index.min_words)]
        return cls(
            starts=starts,
            shift=np.uint64(64 - bits),
            bitmap=_bitmap(index.keys, _BITS_PER_KEY),
            suffix_bitmap=_bitmap(index.suffixes, _BITS_PER_SUFFIX),
            lengths=np.array(index.short_lengths, np.int64),
            powers=np.array(powers, np.uint64),
        )


def find_fast(index: "LeakIndex", texts: Any) -> "LeakMatches":  # noqa: ANN401 - Sequence[str] or Arrow
    """Return what `LeakIndex.find` returns."""
    from hf_curation.sampling.leakage import LeakMatches  # noqa: PLC0415 - that module imports this one

    lookup = index.__dict__.get("_lookup") or index.__dict__.setdefault("_lookup", Lookup.of(index))
    parts = [_find_buffer(index, lookup, data, offsets) for data, offsets in utf8_of(texts)]
    if not parts:
        return LeakMatches(np.empty(0, np.int16), np.empty(0, np.int32))
    return LeakMatches(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


def _find_buffer(
    index: "LeakIndex", lookup: Lookup, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int32]]:
    num_texts = len(offsets) - 1
    set_index, num_matches = np.full(num_texts, -1, np.int16), np.zeros(num_texts, np.int32)
    tables = (index.keys, index.key_sets, lookup.starts, lookup.shift, lookup.bitmap, lookup.suffix_bitmap)
    _scan(data, offsets, fold_table(), index.n, index.min_words, lookup.lengths, lookup.powers, tables,
          set_index, num_matches)  # fmt: skip
    return set_index, num_matches


def _bitmap(keys: U64, bits_per_key: int) -> npt.NDArray[np.uint8]:
    size = 1 << max(10, (len(keys) * bits_per_key).bit_length())
    bits = np.zeros(size, np.bool_)
    bits[(keys & np.uint64(size - 1)).astype(np.int64)] = True
    return np.packbits(bits, bitorder="little")


@numba.njit(cache=True, inline="always")
def mix_word(value: np.uint64) -> np.uint64:
    """Return `leakage_words.mix` of a value."""
    value = (value ^ (value >> _U30)) * _MIX_1
    value = (value ^ (value >> _U27)) * _MIX_2
    return value ^ (value >> _U31)


@numba.njit(cache=True, inline="always")
def _key(value: np.uint64, length: int) -> np.uint64:
    return mix_word(value ^ (np.uint64(length) * _LENGTH))


@numba.njit(cache=True, inline="always")
def _maybe(bitmap: Symbols, key: np.uint64) -> bool:
    bit = key & np.uint64(bitmap.size * 8 - 1)
    return bool((bitmap[bit >> _U3] >> (bit & _U7)) & 1)


@numba.njit(cache=True)
def _find(tables: Tables, key: np.uint64) -> int:
    """Return the set of `key`, -1 where it is none of the index."""
    keys, key_sets, starts, shift, _, _ = tables
    slot = np.int64(key >> shift)
    for at in range(starts[slot], starts[slot + 1]):
        if keys[at] == key:
            return int(key_sets[at])
    return -1


@numba.njit(cache=True)
def _find_whole(words: U64, stop: int, lengths: Numbers, tables: Tables) -> tuple[int, int]:
    """Return (set of the first, number) of the short texts that end with word `stop` - 1."""
    first, count = -1, 0
    for length in lengths:
        if length > stop:
            break
        value = _U0
        for i in range(stop - length, stop):
            value = value * _BASE + words[i]
        key = _key(value, length)
        owner = _find(tables, key) if _maybe(tables[4], key) else -1
        if owner >= 0:
            first = owner if count == 0 else first
            count += 1
    return first, count


@numba.njit(cache=True)
def _match(
    words: U64, start: int, stop: int, n: int, min_words: int, lengths: Numbers, powers: U64, tables: Tables
) -> tuple[int, int]:
    """Return (set of the first, number) of the windows that end with one of words `start` to `stop` - 1."""
    first, count, long, short = -1, 0, _U0, _U0
    bitmap, suffix_bitmap, has_short = tables[4], tables[5], lengths.size > 0
    for i in range(stop):
        long = long * _BASE + words[i]
        short = short * _BASE + words[i]
        if i >= n:
            long -= words[i - n] * powers[0]
        if i >= min_words:
            short -= words[i - min_words] * powers[1]
        if i < start:
            continue
        if i >= n - 1:
            key = _key(long, n)
            owner = _find(tables, key) if _maybe(bitmap, key) else -1
            if owner >= 0:
                first = owner if count == 0 else first
                count += 1
        if has_short and i >= min_words - 1 and _maybe(suffix_bitmap, _key(short, min_words)):
            owner, more = _find_whole(words, i + 1, lengths, tables)
            first = owner if count == 0 else first
            count += more
    return first, count


@numba.njit(cache=True, inline="always")
def decode(data: Symbols, at: int) -> tuple[np.uint32, int]:
    """Return (code point, bytes) of the well-formed UTF-8 sequence at `at`."""
    lead = np.uint32(data[at])
    if lead < 0x80:
        return lead, 1
    if lead < 0xE0:
        return ((lead & 0x1F) << 6) | (data[at + 1] & 0x3F), 2
    if lead < 0xF0:
        return ((lead & 0x0F) << 12) | (np.uint32(data[at + 1] & 0x3F) << 6) | (data[at + 2] & 0x3F), 3
    high = ((lead & 0x07) << 18) | (np.uint32(data[at + 1] & 0x3F) << 12)
    return high | (np.uint32(data[at + 2] & 0x3F) << 6) | (data[at + 3] & 0x3F), 4


@numba.njit(cache=True, nogil=True)
def _scan(
    data: Symbols,
    offsets: Numbers,
    folded: npt.NDArray[np.uint32],
    n: int,
    min_words: int,
    lengths: Numbers,
    powers: U64,
    tables: Tables,
    set_index: npt.NDArray[np.int16],
    num_matches: npt.NDArray[np.int32],
) -> None:
    words = np.empty(_BLOCK + n, np.uint64)
    for text in range(offsets.size - 1):
        at, stop = offsets[text], offsets[text + 1]
        num_old, num_words, value, in_word = 0, 0, _SEED, False
        while at <= stop:
            symbol, width = np.uint32(0), 1
            if at < stop:
                code, width = decode(data, at)
                symbol = folded[code] if code < _NUM_FOLDED else symbol
            at += width
            if symbol:
                value = (value ^ np.uint64(symbol)) * _FACTOR
                value ^= value >> _U29
                in_word = True
                continue
            if in_word:
                words[num_words] = mix_word(value)
                num_words += 1
                value, in_word = _SEED, False
            if num_words == words.size or at > stop:
                first, count = _match(words, num_old, num_words, n, min_words, lengths, powers, tables)
                if count:
                    set_index[text] = first if num_matches[text] == 0 else set_index[text]
                    num_matches[text] += count
                num_old = min(n - 1, num_words)
                words[:num_old] = words[num_words - num_old : num_words]
                num_words = num_old
