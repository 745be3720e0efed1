"""How probe features read characters: in lower case one by one, all white space as a space."""

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Codes = npt.NDArray[np.uint32]

NUM_FOLDED: Final = 0x40000
SPACE: Final = 32


@cache
def character_table() -> Codes:
    """Return what each code point counts as: itself in lower case, a space for any white space; uint32[262144].

    Code points above the table count as themselves.
    """
    characters = map(chr, range(NUM_FOLDED))
    folded = (SPACE if one.isspace() else ord(one.lower()[0]) for one in characters)
    return np.fromiter(folded, np.uint32, NUM_FOLDED)
