"""The document stage: is there anything on the page to keep?

One number per page, a logistic function of five sums over the line probabilities; its coefficients are fitted by the
training recipe and stand in the weights file. The threshold is set where fewer than one in a hundred pages with main
content would be dropped: a page kept for nothing costs the chunk stage a little work, a page dropped is lost.
"""

from typing import Final

import numpy as np

from hf_curation.refiners.tagger.features import FloatArray

STATISTICS: Final = ("bias", "log_wanted_words", "log_sure_words", "wanted_share", "highest_probability", "log_words")
"""Names of `page_statistics`, in order."""


def page_statistics(probabilities: FloatArray, num_words: FloatArray) -> FloatArray:
    """Return the (6,) statistics of a page from its rows' probabilities (L,) and words (L,)."""
    if not len(probabilities):
        return np.array([1, 0, 0, 0, 0, 0], dtype=np.float32)
    total = float(num_words.sum())
    wanted = float((probabilities * num_words).sum())
    sure = float(num_words[probabilities > 0.5].sum())
    weighted = probabilities * np.minimum(num_words / 8, 1)  # a certain line of one word proves little
    return np.array(
        [1, np.log1p(wanted), np.log1p(sure), wanted / total, weighted.max(), np.log1p(total)], dtype=np.float32
    )


def worth(statistics: FloatArray, coefficients: FloatArray) -> float:
    """Return the probability that a page holds main content."""
    return float(1 / (1 + np.exp(-np.clip(statistics @ coefficients, -30, 30))))
