"""Every setting of the pipeline; `hf_curation.config` reads them: default < YAML < command line.

A section is ours (a dataclass here), the meco recipe's (`model`, `conditioning`, `training`), or takes the fields of
the class that the stage is run with (`refine`, `select`, `tokenize`, `adapt`, `slurm`). What the pipeline itself
decides, inputs and outputs, is in none of them: a stage reads what the stage before it wrote.
"""

import sys
from dataclasses import dataclass, field, fields
from inspect import signature
from pathlib import Path
from typing import Any, Final, Literal

sys.path.insert(0, str(Path(__file__).parents[1] / "meco_pretrain"))

from meco_config import TRAINING, Conditioning, Model, _argument_names

from hf_curation.config import open_section

STAGES: Final = (
    *("read", "refine", "adapt", "select", "tokenize", "train", "evaluate"),
    *("compare", "report", "push"),
)
"""In the order in which they run. `adapt` comes before `select`, which may count n-grams of its tokens."""
DEBIAN_DOCS: Final = "debian_docs"
_RUN_BY_US: Final = {"input", "raw", "output", "overwrite", "tokenizer", "targets", "held_out"}


@dataclass(frozen=True, kw_only=True)
class Read:
    """Where documents come from."""

    documents: str = DEBIAN_DOCS
    """A file, folder, pattern or `hf://datasets/NAME/...` of JSONL or Parquet; `debian_docs`: fetched from Debian."""
    target: str | None = None
    """Texts like which more is wanted, likewise, or `benchmark:NAME`; of `debian_docs`: pages of `target_site`."""
    held_out: str | None = None
    """JSONL of clean texts that nothing is trained on, with their metadata: decontaminated against, and scored."""
    packages: Path = Path("runs/debian-docs")
    """Folder that packages are unpacked in, shared between runs."""
    sites: tuple[str, ...] = ("sqlite3-doc", "python3.11-doc", "postgresql-doc-15", "apache2-doc")
    """Documentation packages of Debian 12, of those in `recipes/benchmarks/debian_docs.py`."""
    target_site: str = "postgresql-doc-15"
    pages_per_site: int = 150
    """At most, chosen by their names."""


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """The vocabulary that is adapted, or used as it is when `adapt` is skipped."""

    base: str = "train:4096"
    """A repository or folder, or `train:N`: a byte-level BPE of N tokens, trained on the refined documents."""


@dataclass(frozen=True, kw_only=True)
class Train:
    """How the meco recipe is started."""

    seq_len: int = 256
    """Tokens of a row."""
    plan: str = "split"
    """How documents are packed: `truncate` (the paper), `best_fit` or `split`."""
    allow_repeats: bool = False
    """Whether the data may be used again when the run needs more rows than there are."""
    accelerate_config: Path | None = None
    """Of `accelerate launch`; null: `cpu.yaml`, and on Slurm the one that the batch script names."""
    batch_script: Path = Path(__file__).parents[1] / "meco_pretrain" / "train.sbatch"
    """Submitted on Slurm, with the configuration as its argument."""


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Small models on equal bytes of raw, refined, and refined and selected documents."""

    megabytes: float = 0.3
    """Of text for each model; less where one of the three has less."""
    seeds: int = 3
    vocabulary: int = 2048
    hidden: int = 128
    layers: int = 4

    def __post_init__(self) -> None:
        if self.megabytes <= 0 or self.seeds < 2:
            raise ValueError(f"compare needs megabytes above 0 and 2 seeds, got {self.megabytes} and {self.seeds}")


@dataclass(frozen=True, kw_only=True)
class Push:
    """Where results go; nothing is sent unless `namespace` is given."""

    namespace: str | None = None
    """Your name or organization; repositories are `NAMESPACE/NAME-refined`, `-selected`, `-tokenizer` and `-model`."""
    name: str = "full-pipeline"
    private: bool = True
    dry_run: bool = False
    """Say what would be sent."""


def _names(path: str) -> Any:  # noqa: ANN401
    """Return a function that gives the fields of a class by its path; nothing is imported before."""

    def names() -> list[str]:
        from importlib import import_module

        module, _, name = path.rpartition(".")
        return [one.name for one in fields(getattr(import_module(module), name)) if one.name not in _RUN_BY_US]

    return names


def _slurm_names() -> list[str]:
    from datatrove.executor.slurm import SlurmPipelineExecutor

    ours = {"self", "pipeline", "tasks", "workers", "logging_dir", "depends", "job_name"}
    return [name for name in signature(SlurmPipelineExecutor).parameters if name not in ours]


_SBATCH: Final = (
    *("account", "constraint", "cpus-per-task", "gpus-per-node", "gres", "mem", "mem-per-cpu", "nodes"),
    *("ntasks-per-node", "partition", "qos", "reservation", "time", "output", "job-name"),
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """A run of the pipeline."""

    output: Path = Path("runs/full-pipeline")
    """Folder of everything that is written."""
    only: str | tuple[str, ...] = ()
    """Stages to run, whose inputs must be there; none: all of them. `--only select,tokenize`."""
    skip: str | tuple[str, ...] = ()
    """Stages to leave out; the next one reads what came before them."""
    overwrite: bool = False
    """Run a stage afresh that was run with other settings, instead of refusing."""
    executor: Literal["local", "slurm"] = "local"
    """Where `refine`, `select`, `tokenize` and `train` run. The other stages run in this process."""
    slurm: dict[str, Any] = open_section(_slurm_names)  # noqa: RUF009
    """Arguments of datatrove's `SlurmPipelineExecutor`: `time` and `partition` at least."""
    read: Read = field(default_factory=Read)
    refine: dict[str, Any] = open_section(_names("datatrove_steps.refine_plan.RefineConfig"))  # noqa: RUF009
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    adapt: dict[str, Any] = open_section(_names("hf_curation.vocabulary.settings.AdaptSettings"))  # noqa: RUF009
    select: dict[str, Any] = open_section(_names("datatrove_steps.importance.config.SelectConfig"))  # noqa: RUF009
    """`features: adapted` counts n-grams of the adapted vocabulary."""
    tokenize: dict[str, Any] = open_section(_names("datatrove_steps.tokenize_pipeline.TokenizeConfig"))  # noqa: RUF009
    train: Train = field(default_factory=Train)
    sbatch: dict[str, Any] = open_section(lambda: _SBATCH)  # noqa: RUF009
    """Options of the submission of `train` on Slurm, over those in the batch script."""
    model: Model = field(default_factory=Model)
    conditioning: Conditioning = field(default_factory=Conditioning)
    training: dict[str, Any] = open_section(_argument_names, TRAINING)  # noqa: RUF009
    compare: Compare = field(default_factory=Compare)
    push: Push = field(default_factory=Push)

    def __post_init__(self) -> None:
        for name in (*self.stages("only"), *self.stages("skip")):
            if name not in STAGES:
                raise ValueError(f"there is no stage {name!r}; there are {', '.join(STAGES)}")
        if both := set(self.stages("only")) & set(self.stages("skip")):
            raise ValueError(f"{min(both)} is both in only and in skip; say one")
        if self.executor == "slurm" and (missing := {"time", "partition"} - self.slurm.keys()):
            raise ValueError(f"executor: slurm needs slurm.{' and slurm.'.join(sorted(missing))}")
        for section in ("slurm", "sbatch"):
            if not isinstance(time := getattr(self, section).get("time", ""), str):
                raise ValueError(f'{section}.time must be text, got {time}: in a file "4:00:00" with quotes')
        if self.model.tokenizer != Model().tokenizer:
            raise ValueError("model.tokenizer is what the stages before it made; set tokenizer.base")
        if self.training["output_dir"] != TRAINING["output_dir"]:
            raise ValueError("training.output_dir is OUTPUT/model; set output")
        if self.read.documents != DEBIAN_DOCS and self.is_in("select") and self.read.target is None:
            raise ValueError("select needs read.target, texts like which more is wanted; or --skip select")
        if self.select.get("features") == "adapted" and not self.is_in("adapt"):
            raise ValueError("select.features is 'adapted', and adapt is skipped; set it to words or to a tokenizer")

    def stages(self, which: Literal["only", "skip"]) -> tuple[str, ...]:
        """Return the stages that `only` or `skip` names."""
        value = getattr(self, which)
        return tuple(name.strip() for name in value.split(",")) if isinstance(value, str) else value

    def is_in(self, stage: str) -> bool:
        """Tell whether a stage is part of the pipeline, whether or not it is run now."""
        return stage not in self.stages("skip")
