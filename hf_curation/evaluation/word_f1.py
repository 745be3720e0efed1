r"""Word-level F1 of an extracted text against the gold main content, and the intervals that go with a mean over pages.

The measure of the Web Content eXtraction Benchmark: texts as multisets of lower-cased `\w+` words, so that wrapping,
order and punctuation do not count. A page is the unit: means are over pages, and intervals resample pages (paired when
two refiners are compared on the same pages), because words of one page are far from independent.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class WordScore:
    """How the words of one text agree with those of the gold text; each in [0, 1]."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with a bootstrap confidence interval."""

    mean: float
    low: float
    high: float


def word_score(text: str, gold: str) -> WordScore:
    """Compare two texts as multisets of lower-cased words.

    Two texts without words agree (1, 1, 1); if only one has words, all three figures are 0.
    """
    found, wanted = _count(text), _count(gold)
    num_found, num_wanted = found.total(), wanted.total()
    if not num_found and not num_wanted:
        return WordScore(1.0, 1.0, 1.0)
    common = (found & wanted).total()
    if not common:
        return WordScore(0.0, 0.0, 0.0)
    return WordScore(common / num_found, common / num_wanted, 2 * common / (num_found + num_wanted))


def word_f1(text: str, gold: str) -> float:
    """Return the F1 of `word_score`."""
    return word_score(text, gold).f1


def bootstrap_mean(
    values: Sequence[float], *, num_resamples: int = 10_000, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Return the mean of per-page `values` with its percentile bootstrap interval.

    Args:
        values: One figure per page.
        num_resamples: Bootstrap resamples of the pages.
        confidence: Mass inside the interval, in (0, 1).
        seed: Equal seeds give equal intervals.

    Raises:
        ValueError: if there are no values or `confidence` is not inside (0, 1).
    """
    if not len(values):
        raise ValueError("cannot take the mean of no pages; is the evaluation set empty?")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be inside (0, 1), got {confidence}")
    data = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    # One resample at a time: an index matrix of 10,000 x 100,000 pages would need 8 GB.
    means = [data[rng.integers(len(data), size=len(data))].mean() for _ in range(num_resamples)]
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(data.mean()), float(low), float(high))


def paired_difference(
    values: Sequence[float],
    baseline: Sequence[float],
    *,
    num_resamples: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Return the mean of `values - baseline` page by page; an interval that holds 0 means "no difference".

    Raises:
        ValueError: if the two were not measured on the same number of pages.
    """
    if len(values) != len(baseline):
        raise ValueError(f"a paired comparison needs the same pages: got {len(values)} and {len(baseline)} figures")
    difference = np.asarray(values, dtype=np.float64) - np.asarray(baseline, dtype=np.float64)
    return bootstrap_mean(difference.tolist(), num_resamples=num_resamples, confidence=confidence, seed=seed)


def over_deletion(pairs: Iterable[tuple[str, str]]) -> float:
    """Return the share of characters that are gone from clean texts: the harm a refiner does where nothing is to do.

    White space is not counted on either side. The share is over all characters, not a mean over texts.

    Args:
        pairs: (clean text, what the refiner made of it).
    """
    total = removed = 0
    for before, after in pairs:
        num_before, num_after = _num_visible(before), _num_visible(after)
        total += num_before
        removed += max(num_before - num_after, 0)
    return removed / total if total else 0.0


def _count(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text.lower()))


def _num_visible(text: str) -> int:
    return sum(map(len, text.split()))
