"""Words and their 64-bit hashes for leak detection: the one definition that the index and both of its readers share.

A word is a maximal run of letters and digits (`str.isalnum`), each code point lower-cased by itself. So punctuation,
underscores, Markdown signs and kinds of quotes never hide a copy, and no rule needs a look at the neighbours (the
final sigma of `str.lower` does). It is the samplers' lower-case word-punct split without its punctuation tokens.

A word hashes to 64 bits; m words hash to a polynomial in `BASE` over their hashes modulo 2**64, so that a window rolls
on in two multiplications, and a finaliser with m in it makes the key. Nothing here depends on the process, the
platform or the version of Python, but for letters that a later Unicode adds.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Final

import numpy as np
import numpy.typing as npt

I16 = npt.NDArray[np.int16]
U64 = npt.NDArray[np.uint64]

HASH_VERSION: Final = 1
"""Part of every saved index: other hashing, other version."""
MASK: Final = 2**64 - 1
WORD_SEED: Final = 0x243F6A8885A308D3
WORD_FACTOR: Final = 0x9E3779B97F4A7C15
BASE: Final = 0xD6E8FEB86659FD93
LENGTH_FACTOR: Final = 0xA0761D6478BD642F
MIX_1: Final = 0xBF58476D1CE4E5B9
MIX_2: Final = 0x94D049BB133111EB
_NUM_FOLDED: Final = 0x40000
"""Letters and digits lie in planes 0 to 3; above are only tags, selectors and private use."""
_CACHED_WORDS: Final = 1_000_000

WORD_RE: Final = re.compile(r"[^\W_]+")


def fold(word: str) -> str:
    """Return `word` with every code point lower-cased by itself; where that gives several, the first.

    >>> fold("ΣΊΣΥΦΟΣ"), fold("İstanbul")
    ('σίσυφοσ', 'istanbul')
    """
    return word.lower() if word.isascii() else "".join(character.lower()[0] for character in word)


def words_of(text: str) -> list[str]:
    """Return the words of `text`, folded.

    >>> words_of("Don't _panic_: it's 4,2!")
    ['don', 't', 'panic', 'it', 's', '4', '2']
    """
    return [fold(word) for word in WORD_RE.findall(text)]


@cache
def fold_table() -> npt.NDArray[np.uint32]:
    """Return what each code point becomes in a word, 0 for those that end one; uint32[262144]."""
    characters = (chr(code) for code in range(_NUM_FOLDED))
    codes = (ord(character.lower()[0]) if character.isalnum() else 0 for character in characters)
    return np.fromiter(codes, dtype=np.uint32, count=_NUM_FOLDED)


def mix(value: int) -> int:
    """Return `value` after the finaliser of SplitMix64, a bijection on 64 bits."""
    value = ((value ^ (value >> 30)) * MIX_1) & MASK
    value = ((value ^ (value >> 27)) * MIX_2) & MASK
    return value ^ (value >> 31)


def word_hash(word: str) -> int:
    """Return the 64-bit hash of a folded word."""
    value = WORD_SEED
    for character in word:
        value = ((value ^ ord(character)) * WORD_FACTOR) & MASK
        value ^= value >> 29
    return mix(value)


def ngram_key(words: Sequence[str]) -> int:
    """Return the key of some folded words in a row; the readable form of `window_keys`."""
    value = 0
    for word in words:
        value = (value * BASE + word_hash(word)) & MASK
    return mix(value ^ (len(words) * LENGTH_FACTOR & MASK))


class WordHasher:
    """Hashes of texts word by word, each distinct word once while the cache lasts (a million words, about 150 MB)."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def hashes(self, words: Iterable[str]) -> list[int]:
        """Return the hash of every word as it came (folded here)."""
        known, result = self._known, []
        for word in words:
            value = known.get(word)
            if value is None:
                value = word_hash(fold(word))
                if len(known) >= _CACHED_WORDS:
                    known.clear()
                known[word] = value
            result.append(value)
        return result

    def text(self, text: str) -> list[int]:
        """Return the hashes of the words of `text`, in order."""
        return self.hashes(WORD_RE.findall(text))


def window_keys(hashes_N: U64, length: int) -> U64:
    """Return the key of every window of `length` words; uint64[N - length + 1], empty where there are fewer words."""
    count = len(hashes_N) - length + 1
    if count <= 0:
        return np.empty(0, np.uint64)
    value = np.zeros(count, np.uint64)
    for i in range(length):
        value = value * np.uint64(BASE) + hashes_N[i : i + count]
    return mix_all(value ^ np.uint64(length * LENGTH_FACTOR & MASK))


def mix_all(values: U64) -> U64:
    """Return `mix` of every value; array products wrap around without a warning."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(MIX_1)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(MIX_2)
    return values ^ (values >> np.uint64(31))


def has_numba() -> bool:
    """Whether compiled kernels can be had; asked without importing numba."""
    return find_spec("numba") is not None
