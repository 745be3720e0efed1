"""Where a choice ends: one place in the order of copies for each lane and source.

A lane sorts the copies of documents: all first copies by key, then all second copies by key, and so on, so that
nothing is repeated before everything was taken once. What it takes is a beginning of that order, within every source,
and so is told by the last copy that is in. A choice is a few such points, whatever the number of documents.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Point(NamedTuple):
    """The last copy that is taken: those of a lower level are too, and those of this level with this key or above."""

    level: int
    """1 for first copies; 0 for none at all."""
    key: int = 0
    """`sortable` key, 64 bits."""
    hash: int = 0
    """Of the id, 64 bits, among equal keys."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON; 64-bit integers in hexadecimal, since JSON readers may take numbers for doubles."""
        return {"level": self.level, "key": f"{self.key:016x}", "hash": f"{self.hash:016x}"}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Point":
        """Read what `to_dict` wrote."""
        return cls(int(fields["level"]), int(fields["key"], 16), int(fields["hash"], 16))


NOTHING: Final = Point(0)


def everything(max_repeats: int) -> Point:
    """Return the point behind all copies."""
    return Point(max_repeats)


def further(a: Point, b: Point) -> Point:
    """Return the point that takes more."""
    return max(a, b, key=_place)


def nearer(a: Point, b: Point) -> Point:
    """Return the point that takes less."""
    return min(a, b, key=_place)


def _place(point: Point) -> tuple[int, int, int]:
    return point.level, -point.key, -point.hash


@dataclass(frozen=True, slots=True)
class Points:
    """How far a lane goes, in every source."""

    default: Point = NOTHING
    by_source: Mapping[int, Point] = field(default_factory=dict)
    """Source code -> point, where it is not the default."""

    @property
    def take_any(self) -> bool:
        """Return whether any document can be taken."""
        return any(point.level for point in (self.default, *self.by_source.values()))

    def copies(
        self, keys: NDArray[np.uint64], hashes: NDArray[np.uint64], sources: NDArray[np.int32]
    ) -> NDArray[np.int16]:
        """Return int16[N], the copies of every document up to its point, those of earlier lanes among them."""
        if not self.by_source:
            return _copies(self.default.level, self.default.key, self.default.hash, keys, hashes)
        # The last row is the default's; sources beyond the table and -1 go there.
        size = max(self.by_source) + 1
        table = np.array([self.by_source.get(code, self.default) for code in range(size)] + [self.default], np.uint64)
        rows = table[np.where((sources >= 0) & (sources < size), sources, size)]
        return _copies(rows[:, 0].astype(np.int16), rows[:, 1], rows[:, 2], keys, hashes)


def _copies(
    level: int | NDArray[np.int16],
    key: int | NDArray[np.uint64],
    hash_: int | NDArray[np.uint64],
    keys: NDArray[np.uint64],
    hashes: NDArray[np.uint64],
) -> NDArray[np.int16]:
    key, hash_ = np.asarray(key, np.uint64), np.asarray(hash_, np.uint64)
    is_in = (keys > key) | ((keys == key) & (hashes >= hash_))
    copies: NDArray[np.int16] = np.maximum(level - np.int16(1) + is_in.astype(np.int16), np.int16(0)).astype(np.int16)
    return copies
