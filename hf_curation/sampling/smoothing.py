"""Smoothing of bag-of-n-gram models: DSIR's floor, and back-off to the raw distribution.

A bucket that a small target never shows has p = 0. DSIR adds 1e-8 to both probabilities, so one such n-gram of a
bucket with q = 1e-4 costs ln(1e-4 / 1e-8) = 9.2 nats: absence from 15,000 n-grams of target is read as if it were
absence from a hundred million. Back-off says instead that the target is the raw distribution until the data say
otherwise, with lambda n-grams of prior: p = (c + lambda q) / (N + lambda). The cost of an absent n-gram is then at
most ln((N + lambda) / lambda), whatever q is, and grows only as the evidence N does.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Counts = np.ndarray[Any, np.dtype[np.int64]]
Probabilities = np.ndarray[Any, np.dtype[np.float64]]


class Smoothing(Protocol):
    """How counts become probabilities, and how two probabilities become a log ratio."""

    def raw(self, counts_B: Counts) -> Probabilities:
        """Return q, the distribution of the raw corpus."""
        ...

    def target(self, counts_B: Counts, raw_B: Probabilities) -> Probabilities:
        """Return p, the distribution of one target."""
        ...

    def log_ratio(self, target_B: Probabilities, raw_B: Probabilities) -> Probabilities:
        """Return ln p - ln q, finite in every bucket."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return the kind and its parameters as JSON."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """p = (c + lambda q) / (N + lambda), with q = (r + pseudo) / (R + pseudo B). Our default."""

    strength: float | None = None
    """lambda, in n-grams of prior. None: as many as there are buckets, one n-gram each on average."""
    raw_pseudo_count: float = 0.5
    """Added to every raw count, so that a bucket which the raw corpus never shows has a finite ratio."""

    def __post_init__(self) -> None:
        if self.strength is not None and not 0 < self.strength < np.inf:
            raise ValueError(f"strength must be above 0, got {self.strength}")
        if not 0 < self.raw_pseudo_count < np.inf:
            raise ValueError(f"raw_pseudo_count must be above 0, got {self.raw_pseudo_count}")

    def raw(self, counts_B: Counts) -> Probabilities:
        """Return q."""
        return np.asarray(
            (counts_B + self.raw_pseudo_count) / (counts_B.sum() + self.raw_pseudo_count * len(counts_B))
        )

    def target(self, counts_B: Counts, raw_B: Probabilities) -> Probabilities:
        """Return p."""
        strength = len(counts_B) if self.strength is None else self.strength
        return np.asarray((counts_B + strength * raw_B) / (counts_B.sum() + strength))

    def log_ratio(self, target_B: Probabilities, raw_B: Probabilities) -> Probabilities:
        """Return ln p - ln q; neither is 0."""
        return np.log(target_B) - np.log(raw_B)

    def describe(self) -> dict[str, Any]:
        """Return the kind and its parameters as JSON."""
        return {"kind": "back_off", "strength": self.strength, "raw_pseudo_count": self.raw_pseudo_count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """DSIR's: p = (c + laplace) / N', q = r / R, and 1e-8 added to both inside the logarithm."""

    epsilon: float = 1e-8
    target_laplace: float = 0.0
    """Added to every target count (`target_laplace_smoothing` of DSIR's repository; 0 in its released package)."""

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 1:
            raise ValueError(f"epsilon must be in (0, 1), got {self.epsilon}")
        if not 0 <= self.target_laplace < np.inf:
            raise ValueError(f"target_laplace must be 0 or more, got {self.target_laplace}")

    def raw(self, counts_B: Counts) -> Probabilities:
        """Return q."""
        return np.asarray(counts_B / counts_B.sum())

    def target(self, counts_B: Counts, raw_B: Probabilities) -> Probabilities:
        """Return p, which does not look at the raw corpus."""
        smoothed_B = counts_B + self.target_laplace
        return np.asarray(smoothed_B / smoothed_B.sum())

    def log_ratio(self, target_B: Probabilities, raw_B: Probabilities) -> Probabilities:
        """Return ln(p + epsilon) - ln(q + epsilon)."""
        return np.log(target_B + self.epsilon) - np.log(raw_B + self.epsilon)

    def describe(self) -> dict[str, Any]:
        """Return the kind and its parameters as JSON."""
        return {"kind": "floor", "epsilon": self.epsilon, "target_laplace": self.target_laplace}
