"""Which n-grams draw a document into the choice, and which keep it out, in words that a person can read.

A model holds buckets, not n-grams: names come from some texts of the target and of the corpus, read through the
featurizer. An n-gram's contribution is its share of those texts' n-grams times its log ratio, in nats per n-gram: the
sum over all n-grams of the target is the target's own mean weight. Several n-grams may share a bucket and hence a log
ratio; one is listed only if it leads its bucket, with the share of the bucket that is its own.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hf_curation.sampling.features import Featurizer

DEFAULT_TOP: Final = 24
MAX_NGRAMS: Final = 400_000
"""Read from either side at most; about 100 MB while they are counted."""


@dataclass(frozen=True, slots=True)
class NgramShift:
    """One n-gram that moves weights."""

    ngram: str
    log_ratio: float
    """ln p - ln q of its bucket, in nats."""
    target_share: float
    """Share of the n-grams read from the target."""
    raw_share: float
    contribution: float
    """target_share (up) or raw_share (down) times log_ratio."""
    bucket_share: float
    """Share of its bucket's occurrences, in the texts read, that are this n-gram."""
    num_sharing: int
    """Other n-grams, in the texts read, of the same bucket."""


@dataclass(frozen=True, slots=True)
class Shifts:
    """The strongest n-grams of one target."""

    up: tuple[NgramShift, ...]
    """Largest contribution to the target's weight first."""
    down: tuple[NgramShift, ...]
    """Largest loss of the corpus first."""
    num_target_ngrams: int
    num_raw_ngrams: int
    """N-grams that were read."""


def find_shifts(
    featurizer: Featurizer,
    table_B: npt.NDArray[np.float64],
    target_texts: Iterable[str],
    raw_texts: Iterable[str],
    *,
    top: int = DEFAULT_TOP,
) -> Shifts:
    """Return the n-grams that contribute most, from the first `MAX_NGRAMS` n-grams of either side.

    Args:
        featurizer: of the model.
        table_B: float64[B], the log ratios of one target.
        target_texts: texts of the target; a few hundred documents do.
        raw_texts: texts of the corpus; drawn at random, not from its start.
        top: n-grams listed on each side.
    """
    buckets: dict[str, int] = {}
    target, raw = (_count(featurizer, texts, buckets) for texts in (target_texts, raw_texts))
    num_target, num_raw = sum(target.values()), sum(raw.values())
    leaders, totals, sharing = _lead(buckets, target, raw)

    def shift(ngram: str, *, up: bool) -> NgramShift:
        bucket = buckets[ngram]
        shares = target[ngram] / max(num_target, 1), raw[ngram] / max(num_raw, 1)
        ratio = float(table_B[bucket])
        own = (target[ngram] + raw[ngram]) / totals[bucket]
        return NgramShift(ngram, ratio, *shares, shares[0 if up else 1] * ratio, own, sharing[bucket] - 1)

    def strongest(counts: Counter[str], *, up: bool) -> tuple[NgramShift, ...]:
        sign = 1 if up else -1
        weights = ((-sign * count * float(table_B[buckets[ngram]]), ngram) for ngram, count in counts.items())
        ranked = sorted(pair for pair in weights if pair[0] < 0 and leaders[buckets[pair[1]]] == pair[1])
        return tuple(shift(ngram, up=up) for _, ngram in ranked[:top])

    return Shifts(strongest(target, up=True), strongest(raw, up=False), num_target, num_raw)


def _count(featurizer: Featurizer, texts: Iterable[str], buckets: dict[str, int]) -> Counter[str]:
    counts: Counter[str] = Counter()
    num_read = 0
    for text in texts:
        found = featurizer.ngrams(text)[: MAX_NGRAMS - num_read]
        buckets.update(found)
        counts.update(ngram for ngram, _ in found)
        num_read += len(found)
        if num_read >= MAX_NGRAMS:
            break
    return counts


def _lead(
    buckets: dict[str, int], target: Counter[str], raw: Counter[str]
) -> tuple[dict[int, str], Counter[int], Counter[int]]:
    """Return by bucket its most frequent n-gram, the occurrences of all, and how many different ones there are."""
    leaders: dict[int, str] = {}
    totals: Counter[int] = Counter()
    sharing: Counter[int] = Counter()
    for ngram, bucket in buckets.items():
        count = target[ngram] + raw[ngram]
        totals[bucket] += count
        sharing[bucket] += 1
        held = leaders.get(bucket)
        if held is None or (count, held) > (target[held] + raw[held], ngram):
            leaders[bucket] = ngram
    return leaders, totals, sharing
