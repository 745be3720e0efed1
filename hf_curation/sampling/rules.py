"""What to choose: budget, targets, general data, sources, repetition; and what these rules mean together.

Lanes are served one after another: lane 0, a random sample of the whole corpus (`general_share`); then one lane a
target, in the order of the targets. Each takes its part of the budget (`apportion`) from what earlier lanes left, so a
document is counted once, and an earlier target wins a shared one. Within a lane the quotas of sources come first, then
the rest by key. Caps and quotas are shares of every lane, and hence of the whole.

One rule of ending throughout: a copy is taken while what was taken before it is less than the limit. So the last
document may cross, a budget in tokens is exceeded by less than one document in each part (lane, or source with a quota
in a lane), and a budget in documents is met exactly.

Nested: with the same rules and candidates, the choice of a smaller budget lies inside that of a larger one. Proof: let
A be what the parts before this one took, and P the copies that precede x in this part's order. x is in if the size of
P without A is less than the part's limit. With a larger budget A grows (by induction) and so does the limit
(`apportion` is monotone): x stays in, unless an earlier part has taken it already. This holds with a general share,
several targets, quotas, exact quotas and repetition, for any two budgets. It does not hold with caps: when the caps of
two sources grow by a document each and the budget by one, another source has to give one up. With caps, budgets in
proportion are nested up to the documents at the borders of the caps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from math import isfinite
from typing import Any

from hf_curation.sampling.budget import Budget, exact_share
from hf_curation.sampling.keys import DEFAULT_TEMPERATURE

MAX_REPEATS_LIMIT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceRules:
    """The rules of a choice; see the module for how they go together."""

    budget: Budget
    """How much; text is parsed ("1%", "2e9 tokens", "5000 documents"). A share is of what is not excluded."""
    seed: int = 0
    """Of all noise."""
    temperature: float = DEFAULT_TEMPERATURE
    """Above 0, in nats of the log weight. Towards 0 the choice is the top of the list, far up it is random."""
    clip: float | None = None
    """Scaled log weights are held within plus and minus this; keeps a few odd documents from being certain."""
    top_k: bool = False
    """The largest log weights, without noise; temperature and clip have no effect."""
    proportions: Mapping[str, float] | None = None
    """Target -> part of what general data leaves, relative to each other; equal parts by default."""
    general_share: float = 0.0
    """Part of the budget, in [0, 1], that goes to a random sample of the corpus."""
    source_caps: Mapping[str, float] = field(default_factory=dict)
    """Source -> at most this share of the budget, rounded up to a document."""
    source_quotas: Mapping[str, float] = field(default_factory=dict)
    """Source -> at least this share of the budget; exactly this share where the cap is the same."""
    max_repeats: int = 1
    """Copies of a document at most. Second copies follow when all first ones (of a source, for a quota) are taken."""
    min_tokens: int = 0
    """Shorter documents are not candidates."""
    allow_equal_ids: bool = False
    """Take documents with equal ids, or equal hashes of ids, together instead of refusing them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "budget", Budget.parse(self.budget))
        for name in ("source_caps", "source_quotas"):
            object.__setattr__(self, name, dict(getattr(self, name)))
        if not (self.temperature > 0 and isfinite(self.temperature)):
            raise ValueError(f"temperature must be above 0, got {self.temperature}; for the top of the list set top_k")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"clip must be above 0 nats, got {self.clip}")
        if not 0 <= self.general_share <= 1:
            raise ValueError(f"general_share must be in [0, 1], got {self.general_share}")
        if not 1 <= self.max_repeats <= MAX_REPEATS_LIMIT:
            raise ValueError(f"max_repeats must be between 1 and {MAX_REPEATS_LIMIT}, got {self.max_repeats}")
        if self.min_tokens < 0:
            raise ValueError(f"min_tokens must be 0 or more, got {self.min_tokens}")
        if self.proportions is not None and not all(p > 0 and isfinite(p) for p in self.proportions.values()):
            raise ValueError(f"proportions must be above 0, got {dict(self.proportions)}")
        _check_sources(self.source_caps, self.source_quotas)

    @property
    def exact_sources(self) -> set[str]:
        """Return the sources that have the same cap and quota."""
        return {name for name, share in self.source_quotas.items() if self.source_caps.get(name) == share}

    def lane_shares(self, target_names: Sequence[str]) -> list[Fraction]:
        """Return the part of the budget of lane 0 (general data) and of every target; they add up to 1.

        Raises:
            ValueError: if `proportions` does not name these targets.
        """
        general = exact_share(self.general_share)
        if self.proportions is None:
            return [general] + [(1 - general) / len(target_names)] * len(target_names)
        if set(self.proportions) != set(target_names):
            raise ValueError(
                f"proportions are given for {sorted(self.proportions)}, but the targets are {sorted(target_names)}"
            )
        parts = [exact_share(self.proportions[name]) for name in target_names]
        return [general] + [(1 - general) * part / sum(parts) for part in parts]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON."""
        return asdict(self) | {"budget": str(self.budget)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "ChoiceRules":
        """Read what `to_dict` wrote.

        Raises:
            ValueError: for a name that is no rule.
        """
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"no such rule: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        return cls(**values)


def _check_sources(caps: Mapping[str, float], quotas: Mapping[str, float]) -> None:
    for kind, shares in (("cap", caps), ("quota", quotas)):
        for source, share in shares.items():
            if not 0 <= share <= 1:
                raise ValueError(f"the {kind} of source {source!r} must be in [0, 1], got {share}")
    if sum(map(exact_share, quotas.values())) > 1:
        raise ValueError(f"quotas of sources add up to more than the budget: {dict(quotas)}")
    for source in caps.keys() & quotas.keys():
        if caps[source] < quotas[source]:
            raise ValueError(f"source {source!r} has a cap of {caps[source]} below its quota of {quotas[source]}")
