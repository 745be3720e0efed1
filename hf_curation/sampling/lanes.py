"""The parts of a choice: lanes, one after another, with their limits in tokens or documents."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from hf_curation.sampling.budget import apportion, exact_share
from hf_curation.sampling.candidates import Candidates
from hf_curation.sampling.keys import gumbel_keys, mixed, sortable
from hf_curation.sampling.points import Points
from hf_curation.sampling.rules import ChoiceRules

GENERAL: Final = 0
GENERAL_NAME: Final = "general"

Order = Literal["random", "gumbel", "top_k"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One part of a choice: general data or a target, its order of documents, and how far it went."""

    number: int
    """0 for general data, 1 and up for targets."""
    name: str
    order: Order
    stream: str
    """Name of the noise; each lane has its own, so that lanes do not compete for the same lucky documents."""
    limit: int
    """Its part of the budget."""
    points: Points = field(default_factory=Points)

    def keys(self, candidates: Candidates, rules: ChoiceRules) -> NDArray[np.uint64]:
        """Return uint64[N], largest first in the order of this lane."""
        if self.order == "random":
            return mixed(candidates.hashes, rules.seed, self.stream)
        weights = candidates.weights_of(self.number - 1)
        if self.order == "top_k":
            return sortable(weights)
        keys = gumbel_keys(
            weights,
            candidates.hashes,
            rules.seed,
            temperature=rules.temperature,
            clip=rules.clip,
            stream=self.stream,
        )
        return sortable(keys)


def serve(lanes: Sequence[Lane], eligible: Candidates, rules: ChoiceRules) -> Iterator[tuple[Lane, NDArray[np.int16]]]:
    """Yield the lanes as they are served, each with int16[N], the copies that it takes of every document."""
    have = np.zeros(len(eligible), dtype=np.int16)
    sources = eligible.source_codes()
    for lane in lanes:
        if lane.points.take_any:
            upto = lane.points.copies(lane.keys(eligible, rules), eligible.hashes, sources)
            yield lane, np.maximum(upto - have, np.int16(0))
            have = np.maximum(have, upto)


def make_lanes(rules: ChoiceRules, target_names: Sequence[str], budget: int) -> tuple[Lane, ...]:
    """Return lane 0 (general data) and one lane a target, with their parts of the budget, in the order of serving."""
    order: Order = "top_k" if rules.top_k else "gumbel"
    general, *limits = apportion(budget, rules.lane_shares(target_names))
    return (
        Lane(number=GENERAL, name=GENERAL_NAME, order="random", stream="general", limit=general),
        *(
            Lane(number=number, name=name, order=order, stream=f"target:{number}", limit=limit)
            for number, (name, limit) in enumerate(zip(target_names, limits, strict=True), start=1)
        ),
    )


def quota_limits(rules: ChoiceRules, lane: Lane, source_names: Sequence[str]) -> tuple[dict[int, int], int]:
    """Return what a lane takes for the quota of each source, by code, and what it takes by key after that."""
    shares = {source_names.index(name): exact_share(share) for name, share in rules.source_quotas.items()}
    codes = sorted(shares)
    *limits, rest = apportion(lane.limit, [*(shares[code] for code in codes), 1 - sum(shares.values(), Fraction(0))])
    return dict(zip(codes, limits, strict=True)), rest


def cap_limits(rules: ChoiceRules, lane: Lane, source_names: Sequence[str]) -> dict[int, int]:
    """Return what a lane takes at most, quota and all, from each capped source that has no exact quota, by code."""
    return {
        source_names.index(name): ceil(exact_share(share) * lane.limit)
        for name, share in rules.source_caps.items()
        if name not in rules.exact_sources
    }
