r"""What a word is: `\w+|[^\w\s]+` in the text's lower case, with the classes of Python's `re`.

DSIR calls nltk's WordPunct tokenizer. Until nltk 3.9 that was this pattern in `re`: `\w` is what `str.isalnum` says
and the underscore, `\s` is what `str.isspace` says. nltk 3.10 compiles the same pattern with the `regex` package,
whose classes are others and move with its releases (measured with regex 2026.11.15): 1,950 combining marks, 445
spacing marks and 27,024 unassigned code points become letters, 895 superscripts and fractions stop being letters, and
U+001C-1F stop being spaces. We keep the classes that DSIR was published with; so Hindi and other scripts with vowel signs are cut
into more pieces than a reader would cut them, in our words as in DSIR's. Take a tokenizer's tokens for those.

The classes are those of the running Python's Unicode tables, so `FeatureSpec.describe` records their version.
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

Texts = Sequence[str] | pa.Array | pa.ChunkedArray
"""Texts of a batch: a sequence of strings, or an Arrow array of strings (large, sliced or chunked as it comes)."""

WORD: Final = re.compile(r"\w+|[^\w\s]+")


def find_words(text: str, *, lower: bool) -> list[str]:
    """Return the words of a text, in order, in lower case where `lower` says so."""
    return WORD.findall(text.lower() if lower else text)


def as_strings(texts: Texts) -> Sequence[str]:
    """Return the texts as Python strings.

    Raises:
        ValueError: if a text is null, is no string, or holds half a surrogate pair (which UTF-8 cannot hold).
    """
    strings: Any = texts.to_pylist() if isinstance(texts, pa.Array | pa.ChunkedArray) else texts
    if isinstance(strings, str):
        raise ValueError("texts must be a sequence of strings, got one string")
    for row, text in enumerate(strings):
        if not isinstance(text, str):
            what = "null" if text is None else f"a {type(text).__name__}"
            raise ValueError(
                f"text {row} of the batch is {what}: drop such documents first, or give them an empty text"
            )
        if not text.isascii():
            check_surrogates(text, row)
    return strings  # type: ignore[no-any-return]


def check_surrogates(text: str, row: int) -> None:
    """Raise ValueError if `text`, number `row` of its batch, cannot be written as UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"text {row} of the batch holds half a surrogate pair at character {error.start}: "
            "it is no valid Unicode; replace it first (text.encode('utf-8', 'replace').decode())"
        ) from None
