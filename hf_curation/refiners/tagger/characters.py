"""Characters as small numbers: a class and a lower-case form per code point, without any word list.

Everything that the tagger knows about writing systems is here and comes from Unicode's general categories, so a page
in any script gets the same features. One table look-up handles a whole page: no Python runs per character.
"""

import unicodedata
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

CLASSES: Final = (
    "space",
    "lower",
    "upper",
    "letter",  # caseless scripts written with spaces, and combining marks
    "unspaced",  # scripts written without spaces: one character is one word
    "digit",
    "stop",  # ends a sentence
    "comma",
    "colon",
    "quote",
    "bracket",
    "dash",
    "bar",  # separates the entries of a menu or a breadcrumb
    "bullet",
    "currency",
    "punctuation",
    "symbol",
    "other",
)
"""Names of the character classes; a class is an index into this tuple."""

_LISTED: Final = {
    "stop": ".!?\u2026\u3002\uff01\uff1f\u0964\u061f\u06d4",
    "comma": ",;\u3001\uff0c\uff1b\u060c\u061b",
    "colon": ":\uff1a",
    "bar": "|/\\><\u00bb\u203a\u00ab\u2039\u2192\u2190\u276f\u25b6\u25ba\uff5c",
    "bullet": "*+#\u2022\u00b7\u25e6\u25aa\u25cf\u25a0\u25cb\u2023\u30fb",
    "quote": "\"'`",
}
_BY_CATEGORY: Final = {
    "Ll": "lower", "Lu": "upper", "Lt": "upper", "Lo": "letter", "Lm": "letter",
    "Mn": "letter", "Mc": "letter", "Me": "letter", "Nd": "digit", "Nl": "digit", "No": "digit",
    "Pi": "quote", "Pf": "quote", "Ps": "bracket", "Pe": "bracket", "Pd": "dash", "Pc": "letter", "Po": "punctuation",
    "Sc": "currency", "Sm": "symbol", "Sk": "symbol", "So": "symbol", "Zs": "space", "Zl": "space", "Zp": "space",
}  # fmt: skip
# Thai, Lao, Burmese, Khmer, kana and ideographs; the ranges of `hf_curation.programs.align`.
_UNSPACED: Final = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF)
)  # fmt: skip
_ASTRAL: Final = 0x10000  # code points from here on share a class per plane
CLASS: Final = {name: index for index, name in enumerate(CLASSES)}
"""Name -> class."""


def codes_of(text: str) -> NDArray[np.uint32]:
    """Return the code points of `text`; lone surrogates are code points like others."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def classify(codes: NDArray[np.uint32]) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    """Return the class of each code point and its lower-case form, in which every digit is `0`."""
    classes, lower = _tables()
    bmp = np.minimum(codes, _ASTRAL)
    found, lowered = classes[bmp], lower[bmp]
    astral = np.flatnonzero(codes >= _ASTRAL)
    if len(astral):
        wide = codes[astral]
        found[astral] = np.where(
            (wide >= 0x20000) & (wide < 0x40000),
            CLASS["unspaced"],
            np.where(wide >= 0x1F000, CLASS["symbol"], CLASS["letter"]),
        )
        lowered[astral] = wide
    return found, lowered


@cache
def _tables() -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
    classes = np.full(_ASTRAL + 1, CLASS["other"], dtype=np.uint8)
    lower = np.arange(_ASTRAL + 1, dtype=np.uint32)
    for code in range(_ASTRAL):
        character = chr(code)
        classes[code] = CLASS[_BY_CATEGORY.get(unicodedata.category(character), "other")]
        lowered = character.lower()
        if len(lowered) == 1:
            lower[code] = ord(lowered)
    for start, end in _UNSPACED:
        letters = np.isin(classes[start : end + 1], [CLASS["letter"], CLASS["lower"], CLASS["upper"]])
        classes[start : end + 1][letters] = CLASS["unspaced"]
    for name, characters in _LISTED.items():
        classes[[ord(c) for c in characters]] = CLASS[name]
    classes[[ord(c) for c in "\t\x0b\x0c\x1c\x1d\x1e\x1f\x85"]] = CLASS["space"]
    lower[classes == CLASS["digit"]] = ord("0")
    return classes, lower
