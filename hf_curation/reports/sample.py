"""Which pages a report shows: a few of every outcome, chosen by their ids alone.

Each stratum keeps the pages with the smallest keyed hash of (seed, id). So the choice depends on neither the order of
files nor the number of tasks that wrote them, the pages of a small sample are among those of a larger one, and holding
it costs the sample and nothing else: of n pages in a stratum only about k ln(n / k) are ever looked at twice.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, Generic, TypeVar

T = TypeVar("T")

SHARES: Final[dict[str, float]] = {"problem": 0.1, "edited": 0.5, "fallback": 0.14, "dropped": 0.14, "kept": 0.12}
"""Stratum -> its share of the sample, in the order of the report; what one cannot fill, the next ones take."""


def page_key(seed: int, page_id: str, text: str) -> tuple[int, int]:
    """Return where a page stands in the order of its stratum: BLAKE2b of (seed, id); equal ids are told apart by text.

    Any run, machine and Python gives the same two 64-bit numbers.
    """
    return _hash64(f"{seed}\0{page_id}"), _hash64(text)


def _hash64(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


@dataclass(slots=True)
class StratifiedSample(Generic[T]):
    """Bottom-k of every stratum, in one pass."""

    size: int
    seed: int = 0
    _heaps: dict[str, list[tuple[int, int, int, T]]] = field(default_factory=dict)
    _num_offered: int = 0

    def offer(self, stratum: str, page_id: str, text: str, make: Callable[[], T]) -> None:
        """Take part in the draw; `make` is called only if the page is, so far, among the chosen."""
        if self.size == 0:
            return
        first, second = page_key(self.seed, page_id, text)
        heap = self._heaps.setdefault(stratum, [])
        self._num_offered += 1  # keeps equal keys from comparing the values
        if len(heap) == self.size and (-first, -second) <= heap[0][:2]:
            return
        entry = (-first, -second, self._num_offered, make())
        if len(heap) < self.size:
            heapq.heappush(heap, entry)
        else:
            heapq.heapreplace(heap, entry)

    def chosen(self) -> list[T]:
        """Return at most `size` pages: strata in the order of `SHARES`, pages in the order of their keys."""
        counts = allocate({stratum: len(heap) for stratum, heap in self._heaps.items()}, self.size)
        pages: list[T] = []
        for stratum, count in counts.items():
            ranked = sorted(self._heaps[stratum], key=lambda entry: (-entry[0], -entry[1], entry[2]))
            pages += [entry[3] for entry in ranked[:count]]
        return pages


def allocate(available: dict[str, int], size: int) -> dict[str, int]:
    """Share `size` places among strata: one each while places last, then by `SHARES`, none past what there is.

    Places go out one by one to the stratum that is furthest behind its share (Sainte-Laguë), so a larger sample never
    takes a place away from a stratum.

    >>> allocate({"edited": 100, "dropped": 1, "kept": 50}, 10)
    {'edited': 7, 'dropped': 1, 'kept': 2}
    """
    counts = {name: 0 for name in SHARES if available.get(name)}
    for _ in range(min(size, sum(available.values()))):
        places = [name for name, count in counts.items() if count < available[name]]
        counts[max(places, key=lambda name: (counts[name] == 0, SHARES[name] / (2 * counts[name] + 1)))] += 1
    return counts
