"""What a selection is asked for."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hf_curation.sampling.budget import Budget
from hf_curation.sampling.importance import Scoring
from hf_curation.sampling.leakage import DEFAULT_N
from hf_curation.sampling.rules import ChoiceRules
from hf_curation.sampling.smoothing import BackOff, Floor, Smoothing
from hf_curation.sampling.spec import WORDS, FeatureSpec, default_buckets

BENCHMARK_PREFIX = "benchmark:"


@dataclass(kw_only=True, slots=True, frozen=True)
class SelectConfig:
    """What `importance_sampling` and `hf-curation select` are asked for."""

    raw: str
    """What is chosen from: a file, a folder, a pattern, or `hf://datasets/NAME@REVISION/...`: JSONL and Parquet."""
    output: str
    """A local folder: new, empty, or begun by the same run."""
    targets: str | list[str] | dict[str, str]
    """Texts like which more is wanted: paths, or `benchmark:NAME` for its train questions; by name, or named by the
    last part of the path."""
    budget: str = "1%"
    """How much is chosen: `1%` (of the tokens), `1% documents`, `2e9 tokens`, `5000 documents`. The one dial."""
    target_shares: dict[str, float] | None = None
    """Target -> its part, relative to the others: of the mixture, or of the budget where targets are separate."""
    separate: bool = False
    """Weigh towards each target by itself, a lane each, instead of towards their mixture."""
    preset: Literal["default", "dsir"] = "default"
    """`dsir`: features, smoothing, length exponent and temperature of that paper, unless they are given."""
    features: str = WORDS
    """`words`, or a tokenizer: a folder, a tokenizer.json, or a name on the Hub, also as `you/name@revision`."""
    revision: str | None = None
    """Of a tokenizer on the Hub."""
    order: int = 2
    """N-grams of orders 1 to this."""
    buckets: int | None = None
    """Hash buckets of n-grams; None: 10,000 for words, as DSIR has it, and 2^20 for a tokenizer, see
    `hf_curation.sampling.spec`."""
    alpha: float | None = None
    """Exponent of length by which a document's sum is divided; None: 1, with the preset `dsir` 0."""
    temperature: float | None = None
    """Small: the best documents; large: a random sample. None: 0.03, with the preset `dsir` 1."""
    clip: float | None = None
    """Scaled log weights are held within plus and minus this."""
    chunk_tokens: int | None = None
    """Score pieces of so many tokens and average them; None: a document as one piece."""
    top_k: bool = False
    """Take the largest weights, without noise."""
    general_share: float = 0.0
    """Part of the budget that goes to a random sample."""
    source_key: str | None = None
    """Column or key of the source, for caps, quotas and evidence; None: `source` where the input has it."""
    source_caps: dict[str, float] = field(default_factory=dict)
    """Source -> at most this share of the budget."""
    source_quotas: dict[str, float] = field(default_factory=dict)
    """Source -> at least this share of the budget."""
    max_repeats: int = 1
    """Copies of a document at most; above 1 the column `repeats` says how many."""
    min_tokens: int = 0
    """Shorter documents are not chosen."""
    allow_equal_ids: bool = False
    """Take documents with equal ids together, instead of refusing them."""
    seed: int = 0
    """Of all noise."""
    held_out: tuple[str, ...] = ()
    """Test texts that no chosen document may hold a passage of: paths, or `benchmark:NAME` for its test splits. One
    string is one of them."""
    decontaminate: bool | None = None
    """None: where something is held out or a target is a benchmark, whose test splits are then held out."""
    leak_words: int = DEFAULT_N
    """Words in a row that make a passage."""
    benchmark_folder: str | None = None
    """Read benchmarks from here instead of from the Hub."""
    weights_of: str | None = None
    """The output folder of a run that weighed the same documents alike: choose by its weights, score nothing again."""
    tasks: int | None = None
    """Number of tasks over RAW, and of output files; None: by its size."""
    workers: int | None = None
    """How many tasks run at a time; None: one per processor, on Slurm no limit."""
    text_key: str = "text"
    """Column or key of the text of RAW."""
    target_text_key: str | None = None
    """The same of targets and held-out texts; None: `text_key`."""
    id_key: str | None = "id"
    """Column or key of the id; None: documents go by file and number."""
    limit: int | None = None
    """The most records of RAW to read in all."""
    allow_bad_shards: int = 0
    """How many files of RAW that cannot be decoded may be left out, see `hf_curation.files.bad_shards`; to
    find them each file is read through first. With more of them, or 0, their tasks fail."""
    overwrite: bool = False
    """Remove what a run has written to `output` before."""

    def __post_init__(self) -> None:
        for name in ("raw", "output", "features", "benchmark_folder", "weights_of"):
            if isinstance(value := getattr(self, name), os.PathLike):
                object.__setattr__(self, name, os.fspath(value))
        if isinstance(self.held_out, str | os.PathLike):
            object.__setattr__(self, "held_out", (os.fspath(self.held_out),))
        for name in ("tasks", "workers", "limit", "leak_words"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.allow_bad_shards < 0:
            raise ValueError(f"allow_bad_shards must be at least 0, got {self.allow_bad_shards}")
        if self.preset not in ("default", "dsir"):
            raise ValueError(f"preset must be 'default' or 'dsir', got {self.preset!r}")
        if "://" in self.output:
            raise ValueError(f"output {self.output!r} is no local folder; write locally, then push it in one commit")
        if self.decontaminate is False and self.held_out:
            raise ValueError("held_out names texts to decontaminate against, and decontaminate is False; give one")
        unknown = sorted(set(self.target_shares or ()) - set(self.named_targets))
        if unknown:
            raise ValueError(
                f"target_shares names {unknown[0]!r}, and the targets are {', '.join(self.named_targets)}"
            )
        self.spec, self.scoring, self.rules  # noqa: B018 - each checks its part

    @property
    def named_targets(self) -> dict[str, str]:
        """Target -> path, or `benchmark:NAME`.

        Raises:
            ValueError: if there is no target, or two of one name.
        """
        if isinstance(self.targets, dict):
            named = {name: os.fspath(path) for name, path in self.targets.items()}
        else:
            several = [self.targets] if isinstance(self.targets, str | os.PathLike) else self.targets
            paths = [os.fspath(path) for path in several]
            named = {_name_of(path): path for path in paths}
            if len(named) < len(paths):
                raise ValueError("two targets have the same name; name them: NAME=PATH")
        if not named:
            raise ValueError("no target; name texts like which more is wanted")
        return named

    @property
    def spec(self) -> FeatureSpec:
        """The sampler's features."""
        uses_words = self.features == WORDS
        return FeatureSpec(
            tokens=self.features,
            revision=self.revision,
            lower=uses_words,
            max_order=self.order,
            num_buckets=default_buckets(self.features) if self.buckets is None else self.buckets,
            hash="sha256" if self.preset == "dsir" and uses_words else "mix64",
        )

    @property
    def smoothing(self) -> Smoothing:
        """How counts become probabilities."""
        return Floor() if self.preset == "dsir" else BackOff()

    @property
    def scoring(self) -> Scoring:
        """How ratios become weights."""
        default = Scoring.dsir() if self.preset == "dsir" else Scoring()
        return Scoring(
            length_exponent=default.length_exponent if self.alpha is None else self.alpha,
            temperature=default.temperature if self.temperature is None else self.temperature,
            chunk_tokens=self.chunk_tokens,
            clip=self.clip,
        )

    @property
    def rules(self) -> ChoiceRules:
        """What is chosen by the weights."""
        names = list(self.named_targets)
        shares = {name: (self.target_shares or {}).get(name, 1.0) for name in names}
        return ChoiceRules(
            budget=Budget.parse(self.budget),
            seed=self.seed,
            temperature=self.scoring.temperature,
            clip=self.clip,
            top_k=self.top_k,
            proportions=shares if self.separate and self.target_shares else None,
            general_share=self.general_share,
            source_caps=self.source_caps,
            source_quotas=self.source_quotas,
            max_repeats=self.max_repeats,
            min_tokens=self.min_tokens,
            allow_equal_ids=self.allow_equal_ids,
        )

    @property
    def lane_names(self) -> tuple[str, ...]:
        """What weights are towards: the targets, or all of them as one."""
        names = tuple(self.named_targets)
        return names if self.separate else ("+".join(names),)

    @property
    def mixture(self) -> list[float] | None:
        """Shares of the mixture, in the order of the targets; None: n-grams as they are."""
        if self.separate or not self.target_shares:
            return None
        return [self.target_shares.get(name, 1.0) for name in self.named_targets]

    @property
    def held_out_sets(self) -> tuple[str, ...]:
        """What to decontaminate against: paths and `benchmark:NAME`s; empty for nothing."""
        if self.decontaminate is False:
            return ()
        benchmarks = [path for path in self.named_targets.values() if path.startswith(BENCHMARK_PREFIX)]
        found = tuple(dict.fromkeys([*benchmarks, *self.held_out]))
        if self.decontaminate and not found:
            raise ValueError("nothing to decontaminate against; name test texts with held_out")
        return found


def target_of(text: str) -> tuple[str, str, float | None]:
    """Read `[NAME=]PATH[:SHARE]` as the command line has it: name, path, share.

    >>> target_of("law=laws.jsonl:0.3"), target_of("benchmark:piqa")
    (('law', 'laws.jsonl', 0.3), ('piqa', 'benchmark:piqa', None))
    """
    name, equals, path = text.partition("=")
    if not equals or "/" in name:
        name, path = "", text
    head, colon, tail = path.rpartition(":")
    share = _share(tail) if colon and head != BENCHMARK_PREFIX[:-1] else None
    path = path if share is None else head
    return name or _name_of(path), path, share


def _share(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _name_of(path: str) -> str:
    if path.startswith(BENCHMARK_PREFIX):
        return path.removeprefix(BENCHMARK_PREFIX)
    name = Path(path.rstrip("/")).name
    return name.split(".")[0] or name


def describe_config(config: SelectConfig) -> dict[str, Any]:
    """Return the options that a person chose, as plain data."""
    scoring, rules = config.scoring, config.rules.to_dict()
    return {
        "preset": config.preset,
        "alpha": scoring.length_exponent,
        "chunk_tokens": scoring.chunk_tokens,
        "separate": config.separate,
        **{name: value for name, value in rules.items() if name != "proportions"},
        "target_shares": dict(config.target_shares or {}),
    }
