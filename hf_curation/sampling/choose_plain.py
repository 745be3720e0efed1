"""The readable twin of `choose`: sorts every copy of every document in a list, and takes from the top.

Same lanes, limits and keys; neither passes nor points. For a few thousand documents, and as a proof in tests.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from hf_curation.sampling.candidates import Candidates
from hf_curation.sampling.choice import NOT_CHOSEN, Chosen
from hf_curation.sampling.corpus import sizes_in
from hf_curation.sampling.lanes import cap_limits, make_lanes, quota_limits
from hf_curation.sampling.rules import ChoiceRules


class _Copy(NamedTuple):
    number: int
    """1 for the first."""
    key: int
    """Negative, so that the largest comes first; the hash likewise."""
    hash: int
    row: int
    source: int
    size: int


def choose_plain(
    candidates: Candidates,
    rules: ChoiceRules,
    *,
    target_names: Sequence[str] = ("target",),
    source_names: Sequence[str] = (),
) -> Chosen:
    """Return what `choose` chooses, for rules that can be met and candidates without equal ids."""
    rows = np.flatnonzero(candidates.eligible(rules.min_tokens)).tolist()
    sizes = sizes_in(rules.budget.unit, candidates).tolist()
    budget = rules.budget.resolve(sum(sizes[row] for row in rows))
    exact = {source_names.index(name) for name in rules.exact_sources}
    taken: dict[tuple[int, int], int] = {}  # (row, number of the copy) -> lane
    for lane in make_lanes(rules, target_names, budget):
        keys, hashes = lane.keys(candidates, rules).tolist(), candidates.hashes.tolist()
        sources = candidates.source_codes().tolist()
        order = sorted(
            _Copy(number, -keys[row], -hashes[row], row, sources[row], sizes[row])
            for row in rows
            for number in range(1, rules.max_repeats + 1)
            if (row, number) not in taken
        )
        quotas, rest = quota_limits(rules, lane, source_names)
        within_cap = set(order)
        for source, limit in cap_limits(rules, lane, source_names).items():
            of_source = [copy for copy in order if copy.source == source]
            within_cap -= set(of_source) - set(_top(of_source, limit))
        chosen: set[_Copy] = set()
        for source, limit in quotas.items():
            chosen.update(_top((copy for copy in order if copy.source == source), limit))
        left = (copy for copy in order if copy in within_cap and copy not in chosen and copy.source not in exact)
        chosen.update(_top(left, rest))
        taken |= {(copy.row, copy.number): lane.number for copy in chosen}
    return _as_arrays(taken, len(candidates))


def _top(copies: Iterable[_Copy], limit: int) -> list[_Copy]:
    """Return copies from the first on, each while what was taken before it is less than the limit."""
    top: list[_Copy] = []
    size = 0
    for copy in copies:
        if size >= limit:
            break
        top.append(copy)
        size += copy.size
    return top


def _as_arrays(taken: dict[tuple[int, int], int], num_documents: int) -> Chosen:
    lane = np.full(num_documents, NOT_CHOSEN, dtype=np.int8)
    copies = np.zeros(num_documents, dtype=np.int16)
    for (row, number), lane_number in taken.items():
        copies[row] += 1
        if number == 1:
            lane[row] = lane_number
    return Chosen(lane, copies)
