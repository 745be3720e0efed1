"""What was chosen, as data: a few points for each lane, which say of any candidate whether it is in.

A choice goes through JSON unchanged and needs no list of documents: whoever has the sidecar of weights can apply it,
in any process, to any part of the candidates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hf_curation.sampling.budget import Amount, Unit
from hf_curation.sampling.candidates import Candidates, Read
from hf_curation.sampling.keys import HASH_VERSION
from hf_curation.sampling.lanes import Lane, serve
from hf_curation.sampling.points import Point, Points
from hf_curation.sampling.rules import ChoiceRules

FORMAT_VERSION: Final = 1
NOT_CHOSEN: Final = -1


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of some candidates are in."""

    lane: NDArray[np.int8]
    """int8[N]: -1 not chosen, 0 general data, 1 and up targets; the first lane that took the document."""
    copies: NDArray[np.int16]
    """int16[N]: 0 where not chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A choice among candidates, and its account."""

    rules: ChoiceRules
    target_names: tuple[str, ...]
    source_names: tuple[str, ...]
    unit: Unit
    budget: int
    """The budget as an amount of `unit`."""
    lanes: tuple[Lane, ...]
    num_candidates: int
    eligible: Amount
    """Candidates that are neither excluded nor too short."""
    total: Amount
    """What was chosen; in documents it is the budget, in tokens it may exceed it by a document in each part."""
    by_lane: Mapping[str, Amount]
    by_source: Mapping[str, Amount]
    """Of named sources only."""

    def of(self, candidates: Candidates) -> Chosen:
        """Return which of these candidates are chosen; they may be any part of those that were chosen from."""
        lane = np.full(len(candidates), NOT_CHOSEN, dtype=np.int8)
        copies = np.zeros(len(candidates), dtype=np.int16)
        rows = np.flatnonzero(candidates.eligible(self.rules.min_tokens))
        for served, taken in serve(self.lanes, candidates.take(rows), self.rules):
            first = rows[(taken > 0) & (copies[rows] == 0)]
            lane[first] = served.number
            copies[rows] += taken
        return Chosen(lane, copies)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON, exact."""
        return {
            "version": FORMAT_VERSION,
            "hash": HASH_VERSION,
            "rules": self.rules.to_dict(),
            "targets": list(self.target_names),
            "sources": list(self.source_names),
            "unit": str(self.unit),
            "budget": self.budget,
            "lanes": [_lane_to_dict(lane, self.source_names) for lane in self.lanes],
            "num_candidates": self.num_candidates,
            "eligible": asdict(self.eligible),
            "total": asdict(self.total),
            "by_lane": {name: asdict(amount) for name, amount in self.by_lane.items()},
            "by_source": {name: asdict(amount) for name, amount in self.by_source.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Choice":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: if it was written by another version of the format or of the hash of ids.
        """
        for name, ours in (("version", FORMAT_VERSION), ("hash", HASH_VERSION)):
            if values.get(name) != ours:
                raise ValueError(
                    f"this choice was made with {name} {values.get(name)!r}, here it is {ours!r}; choose again"
                )
        sources = tuple(values["sources"])
        return cls(
            rules=ChoiceRules.from_dict(values["rules"]),
            target_names=tuple(values["targets"]),
            source_names=sources,
            unit=Unit(values["unit"]),
            budget=values["budget"],
            lanes=tuple(_lane_from_dict(lane, sources) for lane in values["lanes"]),
            num_candidates=values["num_candidates"],
            eligible=Amount(**values["eligible"]),
            total=Amount(**values["total"]),
            by_lane={name: Amount(**amount) for name, amount in values["by_lane"].items()},
            by_source={name: Amount(**amount) for name, amount in values["by_source"].items()},
        )


def in_both(read: Read, first: Choice, second: Choice) -> Amount:
    """Return what both choices hold, a document with the copies of the first: the overlap of Gumbel and top-k, say."""
    both = Amount()
    for candidates in read():
        copies = first.of(candidates).copies * (second.of(candidates).copies > 0)
        both += Amount(
            num_documents=int((copies > 0).sum()),
            num_copies=int(copies.sum()),
            num_tokens=int((copies * candidates.num_tokens).sum()),
        )
    return both


def _lane_to_dict(lane: Lane, source_names: Sequence[str]) -> dict[str, Any]:
    by_source = {source_names[code]: point.to_dict() for code, point in sorted(lane.points.by_source.items())}
    points = {"default": lane.points.default.to_dict(), "by_source": by_source}
    return {
        "number": lane.number,
        "name": lane.name,
        "order": lane.order,
        "stream": lane.stream,
        "limit": lane.limit,
        "points": points,
    }


def _lane_from_dict(values: Mapping[str, Any], source_names: Sequence[str]) -> Lane:
    points = values["points"]
    by_source = {source_names.index(name): Point.from_dict(point) for name, point in points["by_source"].items()}
    return Lane(**{**values, "points": Points(Point.from_dict(points["default"]), by_source)})
