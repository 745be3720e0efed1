"""The evidence of a selection: what was asked, how near the choice came, and what it looks like.

Written as JSON beside the data, read by the report. It answers four questions that a list of chosen documents leaves
open. Is the choice nearer to the target than the corpus and than a random draw of the same size, also in features that
the sampler did not see (`Divergence`)? Was it a draw at all, or the top of the list (`effective_size`, `Overlap`)?
What did it do to lengths and sources (`GroupSummary`)? Which words did it follow (`Shifts`, sample documents)?
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Final, Self, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
import orjson

from hf_curation.files.atomic import write_json
from hf_curation.sampling.groups import GroupCounts, merged
from hf_curation.sampling.leakage import LeakExample, LeakIndex
from hf_curation.sampling.leakage_build import LeakSet
from hf_curation.sampling.measures import LogSums, Overlap, kl_divergence
from hf_curation.sampling.samples import DocumentSample, SampleDocument
from hf_curation.sampling.shifts import Shifts

SCHEMA_VERSION: Final = 1
RAW, CHOSEN, RANDOM, TOP_K = "raw", "chosen", "random", "top_k"
COMPARED: Final = (RAW, RANDOM, TOP_K, CHOSEN)
"""Groups that the target is compared with, where a run has them."""
ALL_TARGETS: Final = "all targets"
MAX_SOURCES: Final = 500
OTHER_SOURCES: Final = "other sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the run was asked to do."""

    targets: tuple[str, ...]
    budget: str
    raw: str = ""
    """Name of the corpus; a name, no path."""
    features: dict[str, Any] = field(default_factory=dict)
    """`FeatureSpec.describe()`."""
    scoring: dict[str, Any] = field(default_factory=dict)
    """Fields of `Scoring`."""
    rules: dict[str, Any] = field(default_factory=dict)
    """`ChoiceRules.to_dict()`."""
    smoothing: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSummary:
    """What is shown of a group besides its distances."""

    num_documents: int
    num_tokens: int
    lengths: tuple[int, ...]
    """Documents by length in tokens; bins of `groups.LENGTH_BINS`."""
    sources: dict[str, tuple[int, int]]
    """Source -> (documents, tokens); past `MAX_SOURCES`, by tokens of the corpus, as `OTHER_SOURCES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """KL(target || group) of one target on one kind of features."""

    target: str
    features: str
    """`sampler`, or `probe`: character 5-grams, which no sampler chooses by."""
    num_target_ngrams: int
    nats: dict[str, float]
    """Group -> nats; groups without n-grams are left out."""

    def reduction(self, group: str) -> float | None:
        """Return KL(target || raw) - KL(target || group); None where either is not known."""
        return self.nats[RAW] - self.nats[group] if {RAW, group} <= self.nats.keys() else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakReport:
    """What decontamination found."""

    n: int
    min_words: int
    sets: tuple[LeakSet, ...]
    num_documents: tuple[int, ...]
    """Documents of the corpus that hold a passage, by set; they could not be chosen."""
    examples: tuple[LeakExample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything that the report of a selection shows; `write` and `read` keep it exactly."""

    asked: Asked
    groups: dict[str, GroupSummary]
    divergences: tuple[Divergence, ...]
    effective_size: float | None = None
    """Of the weights that keys are drawn with, over all eligible documents."""
    num_weights: int = 0
    """Documents in `effective_size`."""
    overlap: Overlap | None = None
    """Of the draw with the top of the list."""
    excluded: dict[str, int] = field(default_factory=dict)
    """Reason -> documents of the corpus that could not be chosen."""
    quarantined: dict[str, int] = field(default_factory=dict)
    """Reason -> records that are no documents: broken, or without a text. They are not in the group `raw`."""
    shifts: dict[str, Shifts] = field(default_factory=dict)
    """By target."""
    documents: dict[str, tuple[SampleDocument, ...]] = field(default_factory=dict)
    """By stratum of `samples.STRATA`."""
    leakage: LeakReport | None = None
    """None: the run did not look for leaks."""
    schema_version: int = SCHEMA_VERSION

    def divergence(self, features: str, target: str | None = None) -> Divergence | None:
        """Return the distances on `sampler` or `probe` features; of all targets together if None is named."""
        names = (target,) if target is not None else (ALL_TARGETS, *self.asked.targets)
        found = {one.target: one for one in self.divergences if one.features == features}
        return next((found[name] for name in names if name in found), None)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; every float comes back the same."""
        reductions = [{group: one.reduction(group) for group in one.nats if group != RAW} for one in self.divergences]
        values = asdict(self)
        for entry, reduction in zip(values["divergences"], reductions, strict=True):
            entry["reduction"] = reduction  # for people and scripts; read back it follows from the nats
        return values

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises:
            ValueError: if it is of another version, or lacks something.
        """
        if values.get("schema_version") != SCHEMA_VERSION:
            raise ValueError("this evidence was written by another version of hf-curation; select again")
        try:
            return _build(cls, values)  # type: ignore[no-any-return]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"this is no evidence of a selection: {error!r}") from error

    def write(self, path: Path) -> None:
        """Write the evidence as JSON."""
        write_json(path, self.to_json(), keep_order=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what `write` wrote.

        Raises:
            ValueError: if it is no evidence, or of another version.
        """
        try:
            values = orjson.loads(path.read_bytes())
        except orjson.JSONDecodeError as error:
            raise ValueError(f"{path} is not JSON ({error}); select again") from error
        if not isinstance(values, dict):
            raise ValueError(f"{path} is no evidence of a selection")
        return cls.from_json(values)


def assemble(
    *,
    asked: Asked,
    targets: Mapping[str, GroupCounts],
    groups: Mapping[str, GroupCounts],
    log_sums: LogSums | None = None,
    overlap: Overlap | None = None,
    excluded: Mapping[str, int] | None = None,
    quarantined: Mapping[str, int] | None = None,
    shifts: Mapping[str, Shifts] | None = None,
    sample: DocumentSample | None = None,
    leakage: LeakReport | None = None,
) -> Evidence:
    """Put the evidence of a run together.

    Args:
        asked: what the run was asked to do.
        targets: counts of every target, by name.
        groups: counts of `raw` and `chosen`, and of `random` and `top_k` where they were counted.
        log_sums: sums of the weights that keys are drawn with: clip(s / temperature).
        overlap: of the draw with the top of the list.
        excluded: reason -> documents that could not be chosen.
        quarantined: reason -> records that are no documents.
        shifts: of `find_shifts`, by target.
        sample: documents to look at.
        leakage: of `leak_report`.

    Raises:
        ValueError: if there is no target, no corpus or no choice, or a group has a name that is not in `COMPARED`.
    """
    if not targets:
        raise ValueError("evidence needs the counts of at least one target")
    if missing := sorted({RAW, CHOSEN} - set(groups)):
        raise ValueError(f"evidence needs the counts of {' and '.join(missing)}")
    if unknown := sorted(set(groups) - set(COMPARED)):
        raise ValueError(f"groups are {', '.join(COMPARED)}, got {', '.join(unknown)}")
    together = {ALL_TARGETS: merged(targets.values())} if len(targets) > 1 else {}
    corpus = groups[RAW].sources
    named = sorted(corpus, key=lambda name: (-corpus[name][1], name))[:MAX_SOURCES]
    return Evidence(
        asked=asked,
        groups={
            **{name: _summary(groups[name], named) for name in COMPARED if name in groups},
            **{f"target:{name}": _summary(group, list(group.sources)) for name, group in targets.items()},
        },
        divergences=tuple(
            _divergence(name, features, target, groups)
            for name, target in {**together, **targets}.items()
            for features in ("sampler", "probe")
            if _counts(target, features).any()
        ),
        # Nine digits: the last ones depend on the cut into batches, and equal runs shall have equal evidence.
        effective_size=float(f"{log_sums.effective_size:.9g}") if log_sums is not None else None,
        num_weights=log_sums.num_weights if log_sums is not None else 0,
        overlap=overlap,
        excluded=dict(sorted((excluded or {}).items())),
        quarantined=dict(sorted((quarantined or {}).items())),
        shifts=dict(shifts or {}),
        documents=sample.documents() if sample is not None else {},
        leakage=leakage,
    )


def leak_report(index: LeakIndex, counts: npt.NDArray[np.int64], examples: Sequence[LeakExample] = ()) -> LeakReport:
    """Return what decontamination found.

    Args:
        index: what was searched for.
        counts: int64[sets], leaked documents by set (`LeakMatches.counts`, added up).
        examples: passages to show.
    """
    return LeakReport(
        n=index.n,
        min_words=index.min_words,
        sets=index.sets,
        num_documents=tuple(int(count) for count in counts),
        examples=tuple(examples),
    )


def _counts(group: GroupCounts, features: str) -> npt.NDArray[np.int64]:
    return group.features_B if features == "sampler" else group.probes_P


def _divergence(name: str, features: str, target: GroupCounts, groups: Mapping[str, GroupCounts]) -> Divergence:
    p_B = _counts(target, features)
    found = {group: _counts(groups[group], features) for group in COMPARED if group in groups}
    nats = {group: kl_divergence(p_B, q_B) for group, q_B in found.items() if q_B.any()}
    return Divergence(target=name, features=features, num_target_ngrams=int(p_B.sum()), nats=nats)


def _summary(group: GroupCounts, named: Sequence[str]) -> GroupSummary:
    sources = {name: (group.sources[name][0], group.sources[name][1]) for name in named if name in group.sources}
    rest = [entry for name, entry in group.sources.items() if name not in sources]
    if rest:
        sources[OTHER_SOURCES] = (sum(entry[0] for entry in rest), sum(entry[1] for entry in rest))
    return GroupSummary(
        num_documents=group.num_documents,
        num_tokens=group.num_tokens,
        lengths=tuple(group.lengths.tolist()),
        sources=sources,
    )


def _build(kind: Any, value: Any) -> Any:  # noqa: ANN401 - JSON into any of the types above
    """Return JSON as `kind`: a dataclass, tuple, dict or plain value."""
    arguments = get_args(kind)
    if get_origin(kind) is UnionType or type(None) in arguments:
        inner = next(one for one in arguments if one is not type(None))
        return None if value is None else _build(inner, value)
    if get_origin(kind) is tuple:
        inner = arguments[0]
        return tuple(_build(inner, one) for one in value)
    if get_origin(kind) is dict:
        return {key: _build(arguments[1], one) for key, one in value.items()}
    if hasattr(kind, "__dataclass_fields__"):
        hints = get_type_hints(kind)
        return kind(**{name: _build(hint, value[name]) for name, hint in hints.items()})
    return value
