"""What a run says about itself: its manifests added up, and held against what is really in the folder.

Only names, versions, hashes and counts come out of here, never a path: a report is made to be passed on, and where it
was made is nobody's business.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Final

from hf_curation.files.accounts import StageAccount, add_stages
from hf_curation.files.left_out import left_out_in_words
from hf_curation.files.manifest import Manifest
from hf_curation.files.summary import bad_shards
from hf_curation.refiners.cost import NO_MODEL, ModelCost
from hf_curation.reports.statistics import RunStatistics

TOKENS: Final = ("prompt_tokens", "output_tokens")


@dataclass(slots=True)
class RunFacts:
    """Who ran what, in which versions, and how many documents it says it took in."""

    num_tasks: int = 0
    num_tasks_planned: int = 0
    refiners: dict[str, str] = field(default_factory=dict)
    """Stage -> name of its refiner."""
    versions: dict[str, str] = field(default_factory=dict)
    config_sha256: str | None = None
    input_fingerprint: str | None = None
    bad_shards: dict[str, str] = field(default_factory=dict)
    """Name -> reason of the files of the input that were left out."""
    num_in: int | None = None
    """Documents that came in; None without manifests."""
    chars_in: int | None = None
    """Characters that came to the first refining stage."""
    chars_out: int | None = None
    """Characters that were written."""
    tokens: Counter[str] = field(default_factory=Counter)
    """`prompt_tokens` and `output_tokens` of all refiners."""
    cost: ModelCost = NO_MODEL
    """Of all refiners that are language models."""

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as JSON-ready values."""
        return {
            "tasks": self.num_tasks,
            "refiners": self.refiners,
            "versions": self.versions,
            "config_sha256": self.config_sha256,
            "input_fingerprint": self.input_fingerprint,
            "bad_shards": self.bad_shards,
            "documents_in": self.num_in,
            "chars_in": self.chars_in,
            "chars_out": self.chars_out,
            **{name: self.tokens[name] for name in TOKENS},
            "model_flops": self.cost.flops or None,
        }

    def warnings(self, stats: RunStatistics) -> list[str]:
        """Return in words what a reader must know: files left out, and where the folder is not as manifests say."""
        found = left_out_in_words(self.bad_shards)
        if self.num_in is None:
            found.append("This folder has no manifests: the run is not finished, or its accounts were not copied.")
        elif self.num_tasks < self.num_tasks_planned:
            found.append(f"Only {self.num_tasks} of {self.num_tasks_planned} tasks of this run are finished.")
        elif self.num_in != stats.num_documents:
            found.append(
                f"The manifests say that {self.num_in:,} documents came in; the folder holds {stats.num_documents:,}."
            )
        if count := sum(stats.problems.values()):
            found.append(f"{count:,} of {stats.replayed:,} pages do not follow from their original and their program.")
        return found


def read_facts(folder: Path) -> RunFacts:
    """Add up the manifests of a run's folder; an empty `RunFacts` where it has none.

    Raises:
        ValueError: if a manifest cannot be read, or is of another run than its neighbours.
    """
    paths = sorted((folder / "manifests").glob("*.json"))
    facts = RunFacts(num_tasks=len(paths))
    ranks: list[dict[str, StageAccount]] = []
    plan: str | None = None
    for path in paths:
        manifest = Manifest.read(path)
        if plan not in (None, manifest.plan_sha256):
            raise ValueError(f"{path.name} in {path.parent} is of another run than the manifests before it")
        plan = manifest.plan_sha256
        ranks.append(manifest.stages)
        facts.bad_shards |= bad_shards([manifest])
        facts.num_tasks_planned = manifest.world_size
        facts.refiners.update({stage: name_only(name) for stage, name in manifest.refiners.items()})
        facts.versions, facts.config_sha256 = manifest.versions, manifest.config_sha256
        facts.input_fingerprint = manifest.input_fingerprint
    stages = list(add_stages(ranks).values())
    if stages:
        facts.num_in = stages[0].num_in
        facts.chars_in = next((stage.totals["chars_in"] for stage in stages if "chars_in" in stage.totals), None)
        facts.chars_out = stages[-1].totals.get("chars_out")
        facts.cost = ModelCost.of(stage.totals for stage in stages)
        for name in TOKENS:
            facts.tokens[name] = sum(stage.totals[name] for stage in stages)
    return facts


def name_only(name: str) -> str:
    """Return a refiner's name; of one that is a path on some machine, the last part.

    >>> name_only("gair-prox/web-chunk-refining-lm@1b2c"), name_only("/data/models/tagger")
    ('gair-prox/web-chunk-refining-lm@1b2c', 'tagger')
    """
    for flavour in (PurePosixPath, PureWindowsPath):
        path = flavour(name)
        if path.is_absolute() or name.startswith((".", "~")):
            return path.name
    return name
