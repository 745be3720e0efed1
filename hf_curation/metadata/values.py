"""Text that may enter a prefix, whatever column it came from.

A prefix is a line that the loss ignores and inference repeats, so a value must not end the line, reorder it on screen
or hide text in it. Such values are refused under `unsafe_character`, not repaired: a host with a newline in it is an
injection, and what a repair would leave of it is not the document's source. Blanks around a value are dropped first.
"""

import re
from datetime import date
from numbers import Integral, Real
from typing import Final

from hf_curation.metadata.missing import Missing

MAX_VALUE_CHARS: Final = 256
"""Longest column value that a prefix carries; the longest public topic and source labels have under 100 characters."""

# C0, DEL, C1; Arabic letter mark, LRM, RLM; line and paragraph separators; bidi embeddings, overrides and isolates;
# byte-order mark and non-characters; surrogates; tag characters. ZWJ and ZWNJ stay: Persian and emoji need them.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufffe\uffff"
    "\ud800-\udfff\U000e0000-\U000e0fff]"
)


def is_null(value: object) -> bool:
    """Say whether `value` is None, a NaN of any float type, or pandas' NaT."""
    return value is None or (isinstance(value, Real | date) and bool(value != value))


def read_text(value: object) -> str | Missing:
    """Return `value` stripped, if it is text of any length without unsafe characters."""
    if not isinstance(value, str):
        return Missing("absent" if is_null(value) else "wrong_type")
    text = value.strip()
    if not text:
        return Missing("empty")
    if not text.isprintable() and _UNSAFE.search(text):
        return Missing("unsafe_character")
    return text


def read_label(value: object) -> str | Missing:
    """Return a short label: text of at most `MAX_VALUE_CHARS` characters, a whole number, or `true` and `false`.

    Floats are refused: their printed form is no label. Bucket them (`labels.bucket_score`).
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Integral):
        return str(int(value))
    text = read_text(value)
    return Missing("too_long") if isinstance(text, str) and len(text) > MAX_VALUE_CHARS else text
