r"""What a word is: `\w+|[^\w\s]+` in the text's lower case, with the classes of Python's `re`.

DSIR calls nltk's WordPunct tokenizer. Until nltk 3.9 that was this pattern in `re`: `\w` is what `str.isalnum` says
and the underscore, `\s` is what `str.isspace` says. nltk 3.10 compiles the same pattern with the `regex` package,
whose classes are others and move with its releases (measured with regex 2026.11.15): 1,950 combining marks, 445
spacing marks and 27,024 unassigned code points become letters, 895 superscripts and fractions stop being letters, and
U+001C-1F stop being spaces. We keep the classes that DSIR was published with; so Hindi and other scripts with vowel
signs are cut into more pieces than a reader would cut them, in our words as in DSIR's. Take a tokenizer's tokens for
those.

The classes are those of the running Python's Unicode tables, so `FeatureSpec.describe` records their version.
"""

import re
from typing import Final

WORD: Final = re.compile(r"\w+|[^\w\s]+")


def find_words(text: str, *, lower: bool) -> list[str]:
    """Return the words of a text, in order, in lower case where `lower` says so."""
    return WORD.findall(text.lower() if lower else text)
