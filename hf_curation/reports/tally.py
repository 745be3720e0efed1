"""Counters whose memory does not grow with the run: fixed bins, and a table of hosts with a ceiling."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

OTHER = "other"
MAX_KEYS = 200_000
MAX_WORDS = 200
MAX_WORD_CHARS = 80


@dataclass(slots=True)
class Histogram:
    """Counts between fixed edges: bin i holds `edges[i] <= value < edges[i + 1]`; the last bin includes its end."""

    edges: tuple[float, ...]
    counts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.edges) - 1)

    def add(self, value: float) -> None:
        """Count `value`; what lies outside goes to the first or the last bin."""
        index = bisect_right(self.edges, value) - 1
        self.counts[min(max(index, 0), len(self.counts) - 1)] += 1

    @property
    def total(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    def bins(self) -> Iterator[tuple[float, float, int]]:
        """Yield (low, high, count)."""
        yield from zip(self.edges[:-1], self.edges[1:], self.counts, strict=True)


def share_edges(num_bins: int = 20) -> tuple[float, ...]:
    """Return equal bins over [0, 1]."""
    return tuple(i / num_bins for i in range(num_bins + 1))


def length_edges(decades: int = 8) -> tuple[float, ...]:
    """Return 0, 1, 2, 5, 10, 20, 50, ... up to `10 ** decades` characters: even steps on a log axis, round labels."""
    return (0, *(m * 10**d for d in range(decades) for m in (1, 2, 5)), 10**decades)


@dataclass(slots=True)
class TopTally:
    """Sums by key, for the few largest of them.

    Exact up to `max_keys` keys (all hosts of a usual run; about 30 MB). Past that the smaller half moves to `other`,
    so the head stays right to within what moved, and `is_exact` says that it happened.
    """

    max_keys: int = MAX_KEYS
    sums: dict[str, list[int]] = field(default_factory=dict)
    """Key -> [characters removed, characters before, pages]."""
    other: list[int] = field(default_factory=lambda: [0, 0, 0])
    is_exact: bool = True

    def add(self, key: str, removed: int, before: int) -> None:
        """Count one page of `key`."""
        entry = self.sums.setdefault(key, [0, 0, 0])
        entry[0] += removed
        entry[1] += before
        entry[2] += 1
        if len(self.sums) > self.max_keys:
            self._shrink()

    def top(self, count: int) -> tuple[list[tuple[str, list[int]]], list[int], int]:
        """Return the `count` keys with the largest first sum, the sums of all others, and the number of those keys."""
        ranked = sorted(self.sums.items(), key=lambda item: (-item[1][0], -item[1][1], item[0]))
        rest = ranked[count:]
        others = [self.other[i] + sum(entry[i] for _, entry in rest) for i in range(3)]
        return ranked[:count], others, len(rest)

    def _shrink(self) -> None:
        ranked, _, _ = self.top(self.max_keys // 2)
        kept = dict(ranked)
        for key, entry in self.sums.items():
            if key not in kept:
                self.other = [a + b for a, b in zip(self.other, entry, strict=True)]
        self.sums, self.is_exact = kept, False


@dataclass(slots=True)
class Mean:
    """A running mean, exact in the sum (`math.fsum` would keep every value; a compensated sum keeps one)."""

    count: int = 0
    total: float = 0.0
    lost: float = 0.0

    def add(self, value: float) -> None:
        """Count `value` (Neumaier's compensated summation, so that the mean does not depend on the order of pages)."""
        total = self.total + value
        small, large = sorted((self.total, value), key=abs)
        self.lost += (large - total) + small
        self.total = total
        self.count += 1

    @property
    def value(self) -> float | None:
        """The mean; None of nothing."""
        return (self.total + self.lost) / self.count if self.count else None


def count_words(counter: Counter[str], words: Iterable[str], times: int = 1) -> None:
    """Count reasons; past `MAX_WORDS` different ones (a foreign column, not our closed sets) they count as other."""
    for word in words:
        key = word[:MAX_WORD_CHARS]
        counter[key if key in counter or len(counter) < MAX_WORDS else OTHER] += times
