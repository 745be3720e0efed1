"""The curve of an adaptation: what each vocabulary on the way was worth, and which of them is taken."""

import logging

import numpy as np

from hf_curation.vocabulary.counts import BoolArray, IntArray, TargetText
from hf_curation.vocabulary.merge_tree import MergeTree, multi_word_tokens
from hf_curation.vocabulary.settings import AdaptSettings
from hf_curation.vocabulary.utility import CurvePoint, measure

logger = logging.getLogger(__name__)
UNION = 1
"""Place in the curve of the base united with what was learned; the base is before it, the steps are after it."""


class Curve:
    """Points in the order in which they were reached: the base, the union, then each step.

    Attributes:
        points: What was measured.
        counts: Of each point, how often each token occurs.
        num_removed: Of each point, how many of the removals lie before it.
    """

    def __init__(self, tree: MergeTree, target: TargetText, settings: AdaptSettings, num_outside: int) -> None:
        self.points: list[CurvePoint] = []
        self.counts: list[IntArray] = []
        self.num_removed: list[int] = []
        self._tree, self._target, self._settings, self._num_outside = tree, target, settings, num_outside

    def record(self, counts: IntArray, kept: BoolArray, *, unreachable: int, num_removed: int = 0) -> None:
        """Measure the vocabulary of the kept tokens, which occur `counts` times."""
        tree = self._tree
        named = [i for i in tree.protected if len(tree.strings[i]) > 1]
        point = measure(
            counts,
            np.array(tree.num_bytes(), dtype=np.int64),
            kept,
            is_multi_word_V=_mask(len(kept), list(multi_word_tokens(tree))),
            is_added_V=_mask(len(kept), named),
            size=int(kept.sum()) + self._num_outside,
            target_bytes=self._target.num_bytes,
            unreachable=unreachable,
        )
        logger.info(f"{point.size:,} ids: {point.num_tokens:,} tokens of the target, H {point.entropy:.4f}")
        self.points.append(point)
        self.counts.append(counts.copy())
        self.num_removed.append(num_removed)

    def rises(self) -> bool:
        """Return whether the last step raised H_v."""
        last = len(self.points) - 1
        return last > UNION and self._utility(last) > self._utility(last - 1)

    def choose(self) -> int:
        """Return the place of the vocabulary to take: the last, unless the settings ask for a minimum or a grid."""
        settings, last = self._settings, len(self.points) - 1
        if settings.stop_at_minimum and self.rises():
            return last - 1
        if settings.grid is None or settings.final_size is not None or last < UNION + 2:
            return last
        # The curve runs from large to small, so a vocabulary grows from the next point to this one.
        return min(range(UNION + 1, last), key=lambda place: self._slope(place, place + 1))

    def _slope(self, large: int, small: int) -> float:
        return (self._utility(large) - self._utility(small)) / (self.points[large].size - self.points[small].size)

    def _utility(self, place: int) -> float:
        return self.points[place].utility[self._settings.token_length]


def _mask(length: int, places: list[int]) -> BoolArray:
    mask = np.zeros(length, dtype=bool)
    mask[places] = True
    return mask
