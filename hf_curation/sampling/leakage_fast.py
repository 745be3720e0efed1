# mypy: disable-error-code="untyped-decorator,no-any-return"
"""Finding leaks in compiled code: one pass over UTF-8 bytes, no word is ever made into a string.

Bytes become code points, code points word hashes by the fold table, a block of 4,096 hashes at a time (so one document
of 100 MB takes no more memory than a small one).

Looking up every window would wait for memory at every word: the tables of 1.4 million passages are larger than any
cache. So the index keeps anchors: runs of m words, of every test text each m-th (m = 7 for n = 13). Any n words in a
row hold a whole one of them, since n >= 2m - 1, and a text that is matched whole has its last m words as an anchor.
Over a block one polynomial rolls, over m words, and asks a bitmap of anchors that fits into the cache (0.5 MB), then
the anchors themselves; only around one of them (6 words in 100,000 of web text) are windows hashed and looked up.
One core reads 195 MB/s of web pages against 1.4 million passages, 300 MB/s against a few; it was 90 with a bitmap of
all windows, and 27 with words and windows in one loop.

The numpy path of `LeakIndex` and the tuples of words in the tests, which know no anchors, are its twins.
"""

from dataclasses import dataclass
from typing import Any, Final, Protocol

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

Symbols = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.int64]
Table = tuple[U64, Numbers, np.uint64]
Tables = tuple[Table, npt.NDArray[np.int16], Table, Symbols]

_BITS_PER_ANCHOR: Final = 16
_BLOCK: Final = 4096
_SEED, _FACTOR, _BASE = np.uint64(WORD_SEED), np.uint64(WORD_FACTOR), np.uint64(BASE)
_LENGTH, _MIX_1, _MIX_2 = np.uint64(LENGTH_FACTOR), np.uint64(MIX_1), np.uint64(MIX_2)
_U0, _U3, _U7, _U29 = np.uint64(0), np.uint64(3), np.uint64(7), np.uint64(29)
_U27, _U30, _U31, _U32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_NUM_FOLDED = len(fold_table())


class Index(Protocol):
    """What is read of a `LeakIndex`, whose module imports this one."""

    @property
    def n(self) -> int: ...  # noqa: D102
    @property
    def keys(self) -> U64: ...  # noqa: D102
    @property
    def key_sets(self) -> npt.NDArray[np.int16]: ...  # noqa: D102
    @property
    def short_lengths(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def anchors(self) -> U64: ...  # noqa: D102
    @property
    def anchor_words(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Lookup:
    """What the kernel reads of an index."""

    passages: Table
    anchors: Table
    bitmap: npt.NDArray[np.uint8]
    """Two bits for every anchor."""
    lengths: npt.NDArray[np.int64]
    power: np.uint64
    """BASE to the power of an anchor's words."""

    @classmethod
    def of(cls, index: Index) -> "Lookup":
        """Return the tables for `index`."""
        return cls(
            passages=_table(index.keys),
            anchors=_table(index.anchors),
            bitmap=_bitmap(index.anchors),
            lengths=np.array(index.short_lengths, np.int64),
            power=np.uint64(pow(BASE, index.anchor_words, 2**64)),
        )


def _table(keys: U64) -> Table:
    """Return sorted keys, where those with each leading bits begin, and the shift that leaves these bits."""
    bits = max(1, len(keys).bit_length())
    edges = np.arange(2**bits, dtype=np.uint64) << np.uint64(64 - bits)
    starts = np.append(np.searchsorted(keys, edges), len(keys)).astype(np.int64)
    return keys, starts, np.uint64(64 - bits)


def find_fast(index: Index, texts: Any) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int32]]:  # noqa: ANN401
    """Return the two arrays of `LeakMatches`; texts are strings or an Arrow array."""
    lookup = index.__dict__.get("_lookup") or index.__dict__.setdefault("_lookup", Lookup.of(index))
    parts = [_find_buffer(index, lookup, data, offsets) for data, offsets in utf8_of(texts)]
    if not parts:
        return np.empty(0, np.int16), np.empty(0, np.int32)
    set_indices, nums_matches = zip(*parts, strict=True)
    return np.concatenate(set_indices), np.concatenate(nums_matches)


def _find_buffer(
    index: Index, lookup: Lookup, data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int32]]:
    num_texts = len(offsets) - 1
    set_index, num_matches = np.full(num_texts, -1, np.int16), np.zeros(num_texts, np.int32)
    tables = (lookup.passages, index.key_sets, lookup.anchors, lookup.bitmap)
    sizes = (index.n, index.anchor_words)
    _scan(data, offsets, fold_table(), sizes, lookup.lengths, lookup.power, tables, set_index, num_matches)
    return set_index, num_matches


def _bitmap(anchors: U64) -> npt.NDArray[np.uint8]:
    size = 1 << max(10, (len(anchors) * _BITS_PER_ANCHOR).bit_length())
    bits = np.zeros(size, np.bool_)
    for part in (anchors, anchors >> np.uint64(32)):
        bits[(part & np.uint64(size - 1)).astype(np.int64)] = True
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
def _has_bit(bitmap: Symbols, key: np.uint64) -> bool:
    bit = key & np.uint64(bitmap.size * 8 - 1)
    return bool((bitmap[bit >> _U3] >> (bit & _U7)) & 1)


@numba.njit(cache=True)
def _find(table: Table, key: np.uint64) -> int:
    """Return the place of `key` among the keys, -1 where it is none of them."""
    keys, starts, shift = table
    slot = np.int64(key >> shift)
    for at in range(starts[slot], starts[slot + 1]):
        if keys[at] == key:
            return int(at)
    return -1


@numba.njit(cache=True)
def _find_window(words: U64, stop: int, length: int, tables: Tables) -> int:
    """Return the set of the `length` words that end before word `stop`, -1 where they are no passage."""
    value = _U0
    for i in range(stop - length, stop):
        value = value * _BASE + words[i]
    at = _find(tables[0], _key(value, length))
    return int(tables[1][at]) if at >= 0 else -1


@numba.njit(cache=True)
def _match(
    words: U64, start: int, stop: int, sizes: tuple[int, int], lengths: Numbers, power: np.uint64, tables: Tables
) -> tuple[int, int]:
    """Return (set of the first, number) of the windows that end with one of words `start` to `stop` - 1."""
    (n, m), bitmap = sizes, tables[3]
    first, count, until, rolled = -1, 0, -1, _U0
    for i in range(stop):
        rolled = rolled * _BASE + words[i]
        if i >= m:
            rolled -= words[i - m] * power
        key = _key(rolled, m)
        is_anchor = False
        if i >= m - 1 and _has_bit(bitmap, key) and _has_bit(bitmap, key >> _U32):
            is_anchor = _find(tables[2], key) >= 0
        if is_anchor:
            until = i + n - m
        if i > until or i < start:
            continue
        owner = _find_window(words, i + 1, n, tables) if i >= n - 1 else -1
        if owner >= 0:
            first = owner if count == 0 else first
            count += 1
        if is_anchor:
            for length in lengths:
                owner = _find_window(words, i + 1, length, tables) if i >= length - 1 else -1
                if owner >= 0:
                    first = owner if count == 0 else first
                    count += 1
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
    sizes: tuple[int, int],
    lengths: Numbers,
    power: np.uint64,
    tables: Tables,
    set_index: npt.NDArray[np.int16],
    num_matches: npt.NDArray[np.int32],
) -> None:
    n = sizes[0]
    words = np.empty(_BLOCK + n, np.uint64)
    for text in range(offsets.size - 1):
        at, stop = offsets[text], offsets[text + 1]
        num_old, num_words, value, in_word = 0, 0, _SEED, False
        while at <= stop:
            symbol, width = np.uint32(0), 1
            if at < stop:
                code, width = decode(data, at)
                width = min(width, stop - at)  # Parquet files may hold broken UTF-8 in a column of strings
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
                first, count = _match(words, num_old, num_words, sizes, lengths, power, tables)
                if count:
                    set_index[text] = first if num_matches[text] == 0 else set_index[text]
                    num_matches[text] += count
                num_old = min(n - 1, num_words)
                words[:num_old] = words[num_words - num_old : num_words]
                num_words = num_old
