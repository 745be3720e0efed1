"""What so many tokens would cost, by measured rates: arithmetic, and nothing else.

Rates are per document, since that is what every stage counts; one figure, tokens a document, turns tokens into
documents. Costs are proportional to documents, which `recipes/benchmarks/scaling.py` shows to hold up to a million;
what a process takes to start is in the rates of runs, and overstates small ones. Formulas stand in `FORMULAS` in
words, and the page shows them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Final

BILLION: Final = 1_000_000_000
TRILLION: Final = 1_000 * BILLION
FORMULAS: Final[dict[str, str]] = {
    "documents": "tokens / tokens a document",
    "core-hours": "documents x core-seconds a document / 3600",
    "hours": "core-hours / workers; of a stage of one process, core-hours",
    "disk": "documents x bytes written a document",
    "refiner FLOPs": "2 x parameters x documents x (prompt tokens + output tokens a document)",
    "training FLOPs": "6 x parameters x tokens x (1 + share of metadata tokens)",
    "GPU-hours": "FLOPs / (peak FLOP/s x utilisation) / 3600",
    "days": "GPU-hours / GPUs / 24",
    "files": "bytes / bytes a file, rounded up",
    "commits": "files / files a commit, rounded up",
    "folders": "files / files a folder, rounded up",
    "hours of commits": "commits / commits an hour",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a stage was measured to take."""

    stage: str
    documents: int
    """That were measured."""
    core_seconds: float
    """Of all of them together."""
    num_bytes: Mapping[str, int] = field(default_factory=dict)
    """Artifact -> bytes that were written of them."""
    is_one_process: bool = False
    """Whether one process looks at all documents: more workers do not help."""

    def __post_init__(self) -> None:
        if self.documents < 1:
            raise ValueError(f"{self.stage}: no document was measured, so there is no rate")


def merge_rates(rates: Iterable[Rate]) -> list[Rate]:
    """Return one rate for each stage: all that was measured of it, together."""
    found: dict[str, Rate] = {}
    for rate in rates:
        before = found.get(rate.stage)
        if before is not None:
            rate = replace(
                rate,
                documents=before.documents + rate.documents,
                core_seconds=before.core_seconds + rate.core_seconds,
                num_bytes=Counter(before.num_bytes) + Counter(rate.num_bytes),
            )
        found[rate.stage] = rate
    return list(found.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Everything that is not measured, and may be set."""

    tokens_per_document: float
    workers: int = 64
    """Cores at work."""
    gpus: int = 8
    gpu_flops: float = 989e12
    """Peak FLOP/s of one GPU: an H100's dense bfloat16."""
    utilization: float = 0.4
    """Share of the peak that is reached."""
    refiner_parameters: float = 0.35e9
    """Of a causal LM that writes programs; the released ProX models have so many."""
    prompt_tokens: float | None = None
    """A document; None: its own tokens, a quarter more for line numbers, and 200 of instructions."""
    output_tokens: float = 60.0
    """A document."""
    model_parameters: float = 1.6e9
    """Of the model that is trained."""
    metadata_share: float = 0.02
    """Tokens of metadata for each token of text."""
    file_bytes: float = 5e9
    """Of a file on the Hub, which asks for less than 20 GB."""
    files_per_commit: int = 100
    """The Hub's advice."""
    files_per_folder: int = 10_000
    """The Hub's limit."""
    commits_per_hour: int = 128
    """The Hub's limit for one repository."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value, may_be_0 = getattr(self, name), name in {"metadata_share", "output_tokens"}
            if value is not None and not (value > 0 or (may_be_0 and value == 0)):
                raise ValueError(f"{name} must be {'at least' if may_be_0 else 'above'} 0, got {value}")
        if self.utilization > 1:
            raise ValueError(f"utilization is a share of the peak, at most 1, got {self.utilization}")

    @property
    def prompt_tokens_per_document(self) -> float:
        """Tokens that a refiner reads of a document."""
        return self.tokens_per_document * 1.25 + 200 if self.prompt_tokens is None else self.prompt_tokens


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage takes for so many tokens."""

    stage: str
    core_hours: float
    hours: float
    """On all workers, where they help."""
    disk: dict[str, float]
    """Artifact -> bytes."""


@dataclass(frozen=True, slots=True)
class GpuCost:
    """What a model takes for so many tokens."""

    what: str
    flops: float
    gpu_hours: float
    days: float
    """On all GPUs."""


@dataclass(frozen=True, slots=True)
class HubCost:
    """What it is to push one artifact."""

    artifact: str
    num_bytes: float
    files: int
    folders: int
    commits: int
    hours: float
    """That commits alone take at the Hub's limit."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What so many tokens cost."""

    tokens: float
    documents: float
    stages: list[StageCost]
    gpus: list[GpuCost]
    hub: list[HubCost]

    @property
    def core_hours(self) -> float:
        """Of all stages."""
        return sum(stage.core_hours for stage in self.stages)

    @property
    def hours(self) -> float:
        """Of all stages, one after the other, on all workers."""
        return sum(stage.hours for stage in self.stages)

    @property
    def disk(self) -> float:
        """Bytes of all artifacts."""
        return sum(cost.num_bytes for cost in self.hub)


def make_plan(tokens: float, rates: list[Rate], given: Assumptions) -> Plan:
    """Return what it costs to take so many tokens through the stages that were measured.

    Every stage is priced as if all tokens came to it.
    """
    if not tokens > 0:
        raise ValueError(f"tokens must be above 0, got {tokens}")
    documents = tokens / given.tokens_per_document
    stages = [cost_of_stage(rate, documents, given) for rate in rates]
    prompt = given.prompt_tokens_per_document + given.output_tokens
    gpus = [
        cost_of_flops("a causal LM refines", 2 * given.refiner_parameters * documents * prompt, given),
        cost_of_flops("MeCo pre-training", 6 * given.model_parameters * tokens * (1 + given.metadata_share), given),
    ]
    artifacts = [(name, size) for stage in stages for name, size in stage.disk.items()]
    return Plan(tokens, documents, stages, gpus, [cost_of_push(name, size, given) for name, size in artifacts])


def cost_of_stage(rate: Rate, documents: float, given: Assumptions) -> StageCost:
    """Return what a stage takes for so many documents."""
    share = documents / rate.documents
    core_hours = rate.core_seconds * share / 3600
    disk = {name: size * share for name, size in rate.num_bytes.items()}
    hours = core_hours / (1 if rate.is_one_process else given.workers)
    return StageCost(rate.stage, core_hours, hours, disk)


def cost_of_flops(what: str, flops: float, given: Assumptions) -> GpuCost:
    """Return what so much arithmetic takes."""
    gpu_hours = flops / (given.gpu_flops * given.utilization) / 3600
    return GpuCost(what, flops, gpu_hours, gpu_hours / given.gpus / 24)


def cost_of_push(artifact: str, num_bytes: float, given: Assumptions) -> HubCost:
    """Return how many files, folders and commits so many bytes are on the Hub."""
    files = ceil(num_bytes / given.file_bytes)
    commits = ceil(files / given.files_per_commit)
    folders = ceil(files / given.files_per_folder)
    return HubCost(artifact, num_bytes, files, folders, commits, commits / given.commits_per_hour)
