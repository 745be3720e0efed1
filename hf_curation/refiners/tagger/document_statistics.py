"""What the document stage knows of a page besides its words: lengths, repetition, sentences, characters.

Everything is a number that means the same in any language. Only the first `MAX_CHARS` characters and `MAX_WORDS`
words are looked at, so that the cost of a page is bounded (1.1 ms in the median of real pages, 1.6 ms for one in
twenty, the head included).
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from hf_curation.refiners.tagger.characters import CLASS, CLASSES, classify, codes_of
from hf_curation.refiners.tagger.features import FloatArray, PageFeatures

MAX_CHARS: Final = 16_000
MAX_WORDS: Final = 2_000
STATISTICS: Final = (
    "log_wanted_words", "log_sure_words", "wanted_share", "highest_probability", "log_words", "log_lines",
    "log_words_per_line", "short_lines", "repeated_lines",
    "diversity", "repeated_pairs", "commonest_word",
    "sentence_share", "log_sentence_words", "log_longest_sentence", "log_wanted_sentence_words", "stops_per_word",
    "digits", "capitals", "symbols", "bars", "marks", "calls", "unbroken",
)  # fmt: skip
"""Names of `page_statistics`, in order."""
_SENTENCE_WORDS: Final = 6
_UNBROKEN_CHARS: Final = 40


def page_statistics(lines: Sequence[str], page: PageFeatures, probabilities: FloatArray) -> FloatArray:
    """Return the statistics of a page that holds at least one line with text.

    Args:
        lines: The lines of the page.
        page: `page_features` of them.
        probabilities: (L,) what the network says of the page's rows.
    """
    codes = codes_of("\n".join(lines)[:MAX_CHARS])
    classes, _ = classify(codes)
    values = [
        *_line_statistics(page, probabilities),
        *_word_statistics(page.words[:MAX_WORDS]),
        *_sentence_statistics(codes, classes, page, probabilities),
        *_character_statistics(codes, classes),
    ]
    return np.array(values, dtype=np.float32)


def _line_statistics(page: PageFeatures, probabilities: FloatArray) -> list[float]:
    num_words = page.num_words
    total, lines = float(num_words.sum()), len(num_words)
    wanted = float((probabilities * num_words).sum())
    sure = float(num_words[probabilities > 0.5].sum())
    weighted = probabilities * np.minimum(num_words / 8, 1)  # a certain line of one word proves little
    distinct = len(np.unique(page.specials[:, 3]))
    return [
        np.log1p(wanted), np.log1p(sure), wanted / total, float(weighted.max()), np.log1p(total), np.log1p(lines),
        np.log1p(total / lines), float((num_words <= 3).mean()), 1 - distinct / lines,
    ]  # fmt: skip


def _word_statistics(words: NDArray[np.uint32]) -> list[float]:
    if len(words) < 2:
        return [1.0, 0.0, 1.0]
    _, counts = np.unique(words, return_counts=True)
    pairs = len(np.unique(words[:-1] * np.uint32(31) + words[1:]))
    diversity = np.log1p(len(counts)) / np.log1p(len(words))
    return [float(diversity), 1 - pairs / (len(words) - 1), float(counts.max()) / len(words)]


def _sentence_statistics(
    codes: NDArray[np.uint32], classes: NDArray[np.uint8], page: PageFeatures, probabilities: FloatArray
) -> list[float]:
    """Lines of some length with a full stop in them, as far as `codes` reach."""
    line_of = np.cumsum(codes == ord("\n"))
    stops = np.bincount(line_of[classes == CLASS["stop"]], minlength=int(line_of[-1]) + 1)
    rows = page.rows[page.rows < len(stops)]
    num_words = page.num_words[: len(rows)]
    if not len(rows):
        return [0.0] * 5
    in_sentence = num_words * ((stops[rows] > 0) & (num_words >= _SENTENCE_WORDS))
    total, sentence = float(num_words.sum()), float(in_sentence.sum())
    wanted = float((in_sentence * probabilities[: len(rows)]).sum())
    return [
        sentence / total, np.log1p(sentence), np.log1p(float(in_sentence.max())), np.log1p(wanted),
        float(stops.sum()) / total,
    ]  # fmt: skip


def _character_statistics(codes: NDArray[np.uint32], classes: NDArray[np.uint8]) -> list[float]:
    share = np.bincount(classes, minlength=len(CLASSES)) / len(codes)
    is_break = codes == ord("\n")
    space = (classes == CLASS["space"]) | is_break
    runs = np.diff(np.flatnonzero(np.concatenate([[True], space, [True]]))) - 1
    spaced_script = 1 - min(1.0, 3 * share[CLASS["unspaced"]])
    return [
        share[CLASS["digit"]],
        share[CLASS["upper"]],
        share[CLASS["symbol"]] + share[CLASS["other"]] - float(is_break.mean()),
        share[CLASS["bar"]] + share[CLASS["bullet"]],
        share[CLASS["bracket"]] + share[CLASS["punctuation"]] + share[CLASS["quote"]],
        float(np.isin(codes, [0x21, 0x3F, 0xFF01]).mean()),
        float(runs[runs > _UNBROKEN_CHARS].sum()) / len(codes) * spaced_script,
    ]
