"""Choose documents by rules from candidates that need not fit into memory.

`choose` reads the candidates several times and keeps thresholds, not documents: a survey, then for every lane a search
(`search`; one more for quotas, one more for caps), then the account. Up to `max_held` documents (2^20: about 200 MB)
are read once and held. The result does not depend on the order of documents, on chunks, tasks or machines.

`choose_plain` is the readable twin, which sorts lists.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hf_curation.sampling.budget import Amount
from hf_curation.sampling.candidates import Candidates, Read
from hf_curation.sampling.choice import Choice
from hf_curation.sampling.corpus import Corpus, add_by_source, sizes_in, survey
from hf_curation.sampling.lanes import GENERAL, GENERAL_NAME, Lane, cap_limits, make_lanes, quota_limits, serve
from hf_curation.sampling.points import NOTHING, Point, Points, everything, further, nearer
from hf_curation.sampling.rules import ChoiceRules
from hf_curation.sampling.search import Copies, search

MAX_HELD: Final = 1 << 20
_ALL: Final = -1  # in place of the code of a source


def choose(
    read: Read,
    rules: ChoiceRules,
    *,
    target_names: Sequence[str] = ("target",),
    source_names: Sequence[str] = (),
    max_held: int = MAX_HELD,
    check_ids: bool = True,
) -> Choice:
    """Return the choice that the rules make among the candidates.

    Args:
        read: yields all candidates, the same ones with every call.
        rules: budget, seed, shares.
        target_names: of the columns of the log weights.
        source_names: of the codes of sources.
        max_held: documents held in memory at a time.
        check_ids: refuse equal ids; False where these candidates were checked before (a corpus of many times
            `max_held` needs several passes for it).

    Raises:
        ValueError: if the budget asks for more than there is or than caps leave, a quota for more than its source
            has, rules name unknown targets or sources, or candidates are faulty (weights that are not finite); the
            message has the numbers and the way out.
        EqualIdsError: if two documents have one id.
    """
    _check_names(rules, target_names, source_names)
    corpus = survey(
        read,
        rules,
        num_targets=len(target_names),
        num_sources=len(source_names),
        max_held=max_held,
        check_ids=check_ids,
    )
    budget = _checked_budget(corpus, rules)
    lanes = make_lanes(rules, target_names, budget)
    _check_quotas(corpus, rules, lanes, source_names)
    return _Chooser(corpus, rules, tuple(target_names), tuple(source_names), max_held).choice(budget, lanes)


def random_choice(
    read: Read,
    rules: ChoiceRules,
    *,
    source_names: Sequence[str] = (),
    max_held: int = MAX_HELD,
    check_ids: bool = True,
) -> Choice:
    """Return a uniform draw of the same budget, for comparison: no weights, caps or quotas; a stream of its own."""
    rules = replace(rules, general_share=1.0, proportions=None, source_caps={}, source_quotas={})
    corpus = survey(
        read, rules, num_targets=None, num_sources=len(source_names), max_held=max_held, check_ids=check_ids
    )
    budget = _checked_budget(corpus, rules)
    lane = Lane(number=GENERAL, name=GENERAL_NAME, order="random", stream="random", limit=budget)
    return _Chooser(corpus, rules, (), tuple(source_names), max_held).choice(budget, (lane,))


@dataclass(frozen=True, slots=True)
class _Chooser:
    corpus: Corpus
    rules: ChoiceRules
    target_names: tuple[str, ...]
    source_names: tuple[str, ...]
    max_held: int

    def choice(self, budget: int, lanes: Sequence[Lane]) -> Choice:
        """Serve the lanes, then add up."""
        served: list[Lane] = []
        for lane in lanes:
            served.append(replace(lane, points=self._points(served, lane)))
        by_lane, by_source = self._account(served)
        total = sum(by_lane.values(), Amount())
        unit = self.rules.budget.unit
        if total.of(unit) < budget:
            raise ValueError(
                f"caps and exact quotas of sources leave {total.of(unit)} of the {budget} {unit} of the budget; "
                "raise a cap, lower the budget, or raise max_repeats"
            )
        return Choice(
            rules=self.rules,
            target_names=self.target_names,
            source_names=self.source_names,
            unit=unit,
            budget=budget,
            lanes=tuple(served),
            num_candidates=self.corpus.num_candidates,
            eligible=self.corpus.amount,
            total=total,
            by_lane=by_lane,
            by_source=by_source,
        )

    def _points(self, served: Sequence[Lane], lane: Lane) -> Points:
        """Return how far a lane goes: quotas of sources first, then all sources by key, none past its cap."""
        end = everything(self.rules.max_repeats)
        quotas, rest = quota_limits(self.rules, lane, self.source_names)
        caps = cap_limits(self.rules, lane, self.source_names)
        quota_at = self._search(served, lane, quotas, Points(end))
        cap_at = self._search(served, lane, caps, Points(end))
        exact = {self.source_names.index(name) for name in self.rules.exact_sources}
        bounds = {code: quota_at[code] if code in exact else cap_at[code] for code in exact | caps.keys()}
        begun = [*served, replace(lane, points=Points(NOTHING, quota_at))]
        (fill,) = self._search(begun, lane, {_ALL: rest}, Points(end, bounds)).values()
        return Points(
            fill,
            {
                code: further(quota_at.get(code, NOTHING), nearer(fill, bounds.get(code, end)))
                for code in quota_at.keys() | bounds.keys()
            },
        )

    def _search(
        self, served: Sequence[Lane], lane: Lane, limits: Mapping[int, int], bounds: Points
    ) -> dict[int, Point]:
        """Return where the order of a lane reaches each limit: within a source, or in all sources under `_ALL`.

        Copies that were served before or lie past the bounds do not count.
        """
        if not limits:
            return {}
        codes = list(limits)

        def read() -> Iterator[Copies]:
            for candidates in self.corpus.read():
                yield self._copies(candidates, served, lane, codes, bounds)

        points = search(
            read,
            list(limits.values()),
            max_repeats=self.rules.max_repeats,
            max_held=self.max_held,
            num_documents=self.corpus.num_documents,
        )
        return dict(zip(codes, points, strict=True))

    def _copies(
        self,
        candidates: Candidates,
        served: Sequence[Lane],
        lane: Lane,
        codes: Sequence[int],
        bounds: Points,
    ) -> Copies:
        pools = np.zeros(len(candidates), dtype=np.int32)
        if codes != [_ALL]:
            table = np.full(len(self.source_names) + 1, -1, dtype=np.int32)  # the last row is of no source
            table[np.asarray(codes)] = np.arange(len(codes))
            pools = table[candidates.source_codes()]
            candidates, pools = candidates.take(pools >= 0), pools[pools >= 0]
        keys = lane.keys(candidates, self.rules)
        have = np.zeros(len(candidates), dtype=np.int16)
        for _, taken in serve(served, candidates, self.rules):
            have += taken
        copies = Copies(
            pools=pools,
            keys=keys,
            hashes=candidates.hashes,
            sizes=sizes_in(self.rules.budget.unit, candidates),
            have=have,
            allow=bounds.copies(keys, candidates.hashes, candidates.source_codes()),
        )
        return copies.take(copies.have < copies.allow)

    def _account(self, lanes: Sequence[Lane]) -> tuple[dict[str, Amount], dict[str, Amount]]:
        """Count what the lanes take, by lane and by source."""
        by_lane = {lane.name: Amount() for lane in lanes}
        by_source = np.zeros((3, len(self.source_names)), dtype=np.int64)
        for candidates in self.corpus.read():
            have = np.zeros(len(candidates), dtype=np.int64)
            for lane, taken in serve(lanes, candidates, self.rules):
                is_first = (taken > 0) & (have == 0)
                by_lane[lane.name] += Amount(
                    num_documents=int(is_first.sum()),
                    num_copies=int(taken.sum()),
                    num_tokens=int((taken * candidates.num_tokens).sum()),
                )
                have += taken
            for totals, sizes in zip(by_source, (have > 0, have, have * candidates.num_tokens), strict=True):
                add_by_source(totals, candidates, sizes.astype(np.int64))
        amounts = (
            Amount(num_documents=documents, num_copies=copies, num_tokens=tokens)
            for documents, copies, tokens in by_source.T.tolist()
        )
        return by_lane, dict(zip(self.source_names, amounts, strict=True))


def _check_names(rules: ChoiceRules, target_names: Sequence[str], source_names: Sequence[str]) -> None:
    if not target_names or GENERAL_NAME in target_names or len(set(target_names)) != len(target_names):
        raise ValueError(f"targets need different names, and none is {GENERAL_NAME!r}; got {list(target_names)}")
    if len(target_names) > np.iinfo(np.int8).max:
        raise ValueError(f"at most {np.iinfo(np.int8).max} separate targets, got {len(target_names)}; mix them")
    if len(set(source_names)) != len(source_names):
        raise ValueError(f"sources need different names, got {list(source_names)}")
    if unknown := sorted((rules.source_caps.keys() | rules.source_quotas.keys()) - set(source_names)):
        raise ValueError(
            f"caps or quotas name {', '.join(map(repr, unknown))}, but the candidates' sources are "
            f"{', '.join(map(repr, source_names)) or 'unknown'}"
        )


def _checked_budget(corpus: Corpus, rules: ChoiceRules) -> int:
    unit = rules.budget.unit
    available = corpus.sizes[unit]
    budget = rules.budget.resolve(available)
    if budget > available * rules.max_repeats:
        raise ValueError(
            f"the budget ({rules.budget}) asks for {budget} {unit}, but the {corpus.num_documents} documents that may "
            f"be chosen have {available}; lower the budget{_or_repeat(budget, available)}"
        )
    return budget


def _check_quotas(corpus: Corpus, rules: ChoiceRules, lanes: Sequence[Lane], source_names: Sequence[str]) -> None:
    unit = rules.budget.unit
    for name, share in rules.source_quotas.items():
        code = source_names.index(name)
        asked = sum(quota_limits(rules, lane, source_names)[0][code] for lane in lanes)
        available = int(corpus.sizes_of_source[unit][code])
        if asked > available * rules.max_repeats:
            raise ValueError(
                f"the quota of source {name!r} ({share:.6g} of the budget) asks for {asked} {unit}, but its documents "
                f"have {available}; lower the quota or the budget{_or_repeat(asked, available)}"
            )


def _or_repeat(asked: int, available: int) -> str:
    return f", or set max_repeats={-(-asked // available)} to take documents more than once" if available else ""
