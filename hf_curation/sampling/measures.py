"""How good a choice is, in numbers: KL divergence, effective sample size, overlap of two choices.

KL is taken as its authors do (https://huggingface.co/papers/2302.03169, and issues 9 and 11 of their repository): over
hashed n-gram distributions, inner(p, ln(p + 1e-10) - ln(q + 1e-10)), in nats. An estimate from few n-grams is too
high, by about (buckets - 1) / (2 n) nats: compare a choice with a random one of its size, never with zero.
"""

from dataclasses import dataclass
from math import exp, inf
from typing import Final, Self

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

KL_FLOOR: Final = 1e-10


def kl_divergence(p_counts_B: Counts, q_counts_B: Counts) -> float:
    """Return KL(p || q) in nats, of two int64[B] count arrays.

    Raises:
        ValueError: if the shapes differ or an array counts nothing.
    """
    if p_counts_B.shape != q_counts_B.shape:
        raise ValueError(f"counts of {p_counts_B.size:,} and {q_counts_B.size:,} buckets cannot be compared")
    p_total, q_total = int(p_counts_B.sum()), int(q_counts_B.sum())
    if not p_total or not q_total:
        raise ValueError(f"KL needs n-grams on both sides, got {p_total:,} and {q_total:,}")
    p_B, q_B = p_counts_B / p_total, q_counts_B / q_total
    return float(np.inner(p_B, np.log(p_B + KL_FLOOR) - np.log(q_B + KL_FLOOR)))


def kl_reduction(target_B: Counts, raw_B: Counts, chosen_B: Counts) -> float:
    """Return KL(target || raw) - KL(target || chosen): above 0 the choice is nearer to the target than the corpus."""
    return kl_divergence(target_B, raw_B) - kl_divergence(target_B, chosen_B)


def effective_sample_size(log_weights: Floats) -> float:
    """Return (sum w)^2 / sum w^2 of natural log weights of any size; 0 of none.

    >>> effective_sample_size(np.zeros(8)), effective_sample_size(np.array([1000.0, 0.0]))
    (8.0, 1.0)
    """
    sums = LogSums()
    sums.add(log_weights)
    return sums.effective_size


@dataclass(slots=True)
class LogSums:
    """Sums of weights and of their squares, as logarithms; grows batch by batch and over tasks.

    The last bits of the result depend on the cut into batches, as those of any sum of floats do.
    """

    num_weights: int = 0
    log_sum: float = -inf
    log_sum_squares: float = -inf

    def add(self, log_weights: Floats) -> None:
        """Add float64[N] natural log weights; -inf is a weight of 0.

        Raises:
            ValueError: if one is NaN or plus infinity.
        """
        if np.isnan(log_weights).any() or (log_weights == inf).any():
            raise ValueError("log weights must be numbers below infinity; leave excluded documents out")
        self.num_weights += len(log_weights)
        self.log_sum = float(np.logaddexp.reduce(log_weights, initial=self.log_sum))
        self.log_sum_squares = float(np.logaddexp.reduce(2 * log_weights, initial=self.log_sum_squares))

    def merge(self, other: Self) -> None:
        """Add the sums of other documents."""
        self.num_weights += other.num_weights
        self.log_sum = float(np.logaddexp(self.log_sum, other.log_sum))
        self.log_sum_squares = float(np.logaddexp(self.log_sum_squares, other.log_sum_squares))

    @property
    def effective_size(self) -> float:
        """(sum w)^2 / sum w^2: how many documents of equal weight would vary as much."""
        return 0.0 if self.log_sum == -inf else exp(2 * self.log_sum - self.log_sum_squares)


@dataclass(frozen=True, slots=True)
class Overlap:
    """How two choices of the same budget share documents; here the drawn one and the top of the list."""

    num_chosen: int = 0
    num_top: int = 0
    num_both: int = 0
    num_candidates: int = 0

    def plus(self, chosen: npt.NDArray[np.bool_], top: npt.NDArray[np.bool_]) -> "Overlap":
        """Return the counts with those of a batch; bool[N] each, of the same documents."""
        return Overlap(
            self.num_chosen + int(chosen.sum()),
            self.num_top + int(top.sum()),
            self.num_both + int((chosen & top).sum()),
            self.num_candidates + len(chosen),
        )

    def merge(self, other: "Overlap") -> "Overlap":
        """Return the sum of both."""
        return Overlap(
            self.num_chosen + other.num_chosen,
            self.num_top + other.num_top,
            self.num_both + other.num_both,
            self.num_candidates + other.num_candidates,
        )

    @property
    def share(self) -> float | None:
        """Documents of the top that were drawn as well, over all of the top; None where that is empty."""
        return self.num_both / self.num_top if self.num_top else None

    @property
    def share_by_chance(self) -> float | None:
        """What `share` would be if the draw ignored the weights."""
        return self.num_chosen / self.num_candidates if self.num_candidates else None
