"""The same page in a language that nobody speaks: letters are exchanged, and layout, lengths and punctuation stay.

The data set is nearly all English. A network that saw only English calls a Japanese page a menu, for its short "words"
without capitals. Three disguises teach it what to rely on where it knows neither words nor script:

- `cipher`: letters are permuted, vowels and case too; every word is unknown
- `caseless`: letters become those of a script without capitals (Arabic, Hebrew, Devanagari, Hangul)
- `unspaced`: every word becomes one to four characters of a script without spaces (Han, kana, Thai), spaces go
"""

import re
from typing import Final
from zlib import crc32

import numpy as np

_WORD: Final = re.compile(r"[^\W\d_]+")
_GAP: Final = re.compile(r"(?<=[\u0e01-\u0e2e\u3041-\u9fff]) (?=[\u0e01-\u0e2e\u3041-\u9fff])")
_LATIN: Final = "abcdefghijklmnopqrstuvwxyz"
_CASELESS: Final = ((0x0627, 36), (0x05D0, 27), (0x0905, 53), (0xAC00, 2000))
_UNSPACED: Final = ((0x4E00, 6000), (0x3041, 86), (0x0E01, 46))
_FULL_WIDTH: Final = {".": "。", ",": "、", "!": "！", "?": "？", ":": "：", "(": "（", ")": "）"}
_PUNCTUATION: Final = re.compile(r"[.,!?:](?![\w/])|[()]")


def disguise(lines: list[str], rng: np.random.Generator) -> list[str]:
    """Return the lines in one of the three disguises; equal words stay equal within the page."""
    kind = rng.integers(3)
    if kind == 0:
        return _cipher(lines, rng)
    return _caseless(lines, rng) if kind == 1 else _unspaced(lines, rng)


def _cipher(lines: list[str], rng: np.random.Generator) -> list[str]:
    if rng.random() < 0.5:  # Cyrillic and Greek have case, too
        start = int(rng.choice([0x0430, 0x03B1]))
        letters = [chr(start + i) for i in rng.permutation(25)] + ["ё"]
    else:
        letters = [_LATIN[i] for i in rng.permutation(26)]
    table = dict(zip(map(ord, _LATIN), letters, strict=True))
    table |= {ord(a.upper()): b.upper()[:1] for a, b in zip(_LATIN, letters, strict=True)}
    return [line.translate(table) for line in lines]


def _caseless(lines: list[str], rng: np.random.Generator) -> list[str]:
    start, size = _CASELESS[int(rng.integers(len(_CASELESS)))]
    places = rng.integers(0, size, 26)
    table = {ord(a): chr(start + int(i)) for a, i in zip(_LATIN, places, strict=True)}
    table |= {ord(a.upper()): b for a, b in zip(_LATIN, list(table.values()), strict=True)}
    return [line.translate(table) for line in lines]


def _unspaced(lines: list[str], rng: np.random.Generator) -> list[str]:
    start, size = _UNSPACED[int(rng.integers(len(_UNSPACED)))]
    salt = int(rng.integers(1 << 30))
    thai = start == 0x0E01
    known: dict[str, str] = {}

    def spell(match: re.Match[str]) -> str:
        word = match[0].lower()
        if word not in known:
            num = min(max((len(word) + 1) // (2 if size < 100 else 3), 1), 8)
            places = (crc32(word.encode(), salt + k) % size for k in range(num))
            known[word] = "".join(chr(start + place) for place in places)
        return known[word]

    spelt = [_GAP.sub("", _WORD.sub(spell, line)) for line in lines]
    return spelt if thai else [_PUNCTUATION.sub(lambda match: _FULL_WIDTH[match[0]], line) for line in spelt]
