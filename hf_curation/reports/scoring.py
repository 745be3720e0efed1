"""Word-level F1 of a text against its gold text."""

import re
from collections import Counter

_WORD_RE = re.compile(r"\w+")


def word_f1(text: str, gold: str) -> float:
    """Return the F1 of the lower-cased word multisets of `text` and `gold`; 1 when both hold no word."""
    words, wanted = Counter(_WORD_RE.findall(text.lower())), Counter(_WORD_RE.findall(gold.lower()))
    total = words.total() + wanted.total()
    return 2 * (words & wanted).total() / total if total else 1.0
