"""From probabilities to a program: which lines to keep, and the `remove_lines` calls that leave exactly those.

Word F1 is a ratio, so the best set of lines is not "probability above one half": a line pays when its share of wanted
words is above half of the F1 that the page reaches. With the expected F1 in place of the unknown one, the best set is
a prefix of the lines sorted by probability, found in one pass (Lewis 1995; Dinkelbach's ratio argument).
"""

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hf_curation.programs.model import Call, KeepAll, RemoveLines
from hf_curation.refiners.tagger.features import FloatArray

MIN_GAIN: Final = 0.01
"""Held-out gold texts lose .0107 of their characters at 0, .0088 at .01, .0075 at .02; F1 falls by .0002 and .0007."""
MIN_KEPT_CHARS: Final = 0.06
"""A program must leave this share of the page's characters: one that removes more than .95 is refused as a whole."""


def choose_lines(probabilities: FloatArray, num_words: FloatArray, *, min_gain: float = MIN_GAIN) -> NDArray[np.bool_]:
    """Return which lines to keep so that the expected word F1 of the page is highest.

    Args:
        probabilities: (L,) share of each line's words that the clean page is expected to hold.
        num_words: (L,) words of each line.
        min_gain: Expected F1 that removing lines must gain over keeping the whole page; below it, all lines stay.
    """
    if not len(probabilities):
        return np.zeros(0, dtype=np.bool_)
    order = np.argsort(-probabilities, kind="stable")
    wanted = np.cumsum((probabilities * num_words)[order], dtype=np.float64)
    kept = np.cumsum(num_words[order], dtype=np.float64)
    expected_f1 = 2 * wanted / (kept + wanted[-1] + 1e-9)
    best = int(expected_f1.argmax())
    if expected_f1[best] - expected_f1[-1] < min_gain:
        return np.ones(len(probabilities), dtype=np.bool_)
    return probabilities >= min(float(probabilities[order[best]]), float(expected_f1[best]) / 2)


def keep_at_least(
    keep: NDArray[np.bool_], probabilities: FloatArray, num_chars: FloatArray, share: float = MIN_KEPT_CHARS
) -> NDArray[np.bool_]:
    """Add the likeliest of the other lines until at least `share` of the characters is kept."""
    missing = share * num_chars.sum() - num_chars[keep].sum()
    if missing <= 0:
        return keep
    rest = np.flatnonzero(~keep)
    rest = rest[np.argsort(-probabilities[rest], kind="stable")]
    enough = int(np.searchsorted(np.cumsum(num_chars[rest]), missing)) + 1
    grown = keep.copy()
    grown[rest[:enough]] = True
    return grown


def removal_calls(rows: NDArray[np.int64], keep: NDArray[np.bool_], num_lines: int) -> tuple[Call, ...]:
    """Return the calls that remove the rows not kept, as few as possible.

    Blank lines (those that are no row) go with a removed stretch, except those in front of it: so paragraphs stay
    apart and the result does not end in blank lines.

    Args:
        rows: (L,) line numbers of the lines that are not blank.
        keep: (L,) which of them stay.
        num_lines: Lines of the page, blank ones included.
    """
    if keep.all():
        return (KeepAll(),)
    calls: list[Call] = []
    for first, last in _runs(~keep):
        start = int(rows[first]) if first else 0
        end = int(rows[last + 1]) - 1 if last + 1 < len(rows) else num_lines - 1
        if last + 1 == len(rows) and first:
            start = int(rows[first - 1]) + 1
        calls.append(RemoveLines(start, end))
    return tuple(calls)


def _runs(flags: NDArray[np.bool_]) -> Iterable[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return zip(edges[::2].tolist(), (edges[1::2] - 1).tolist(), strict=True)
