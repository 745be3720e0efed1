"""Every setting of the recipe; `hf_curation.config` reads them: default < YAML < command line."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from hf_curation.config import open_section
from hf_curation.metadata import DEFAULT_TEMPLATE, MissingPolicy
from hf_curation.packing import PLANS
from hf_curation.packing.order import BLOCK_DOCUMENTS
from hf_curation.packing.schedule import Schedule, ScheduleKind
from hf_curation.packing.segments import LossOnMetadata

PACKAGE_DESCRIPTIONS = "package_descriptions"


@dataclass(frozen=True, kw_only=True)
class Data:
    """What is trained on."""

    documents: str
    """`package_descriptions` (of the packages installed here), a file, folder or pattern of JSONL or Parquet with the
    columns below, or the folder of a token store, which is how much data should come."""
    cooldown_documents: str | None = None
    """Documents of the cooldown, likewise; null: a part of `documents` that the conditioned phase does not see."""
    columns: tuple[str, ...] = ("url",)
    """Metadata columns that are kept beside the tokens; the template's must be among them."""
    held_out: int = 64
    """Documents that are not trained on but scored, with and without metadata; of a token store there are none, since
    it has no texts: give `held_out_documents`."""
    held_out_documents: str | None = None
    """JSONL or Parquet of texts with their metadata, of which the first `held_out` are scored; null: some of
    `documents`, which are then not trained on."""
    seq_len: int = 8192
    """Tokens of a row."""
    plan: str = "truncate"
    """How documents are packed: `truncate` (the paper), `best_fit` or `split`."""
    block_documents: int = BLOCK_DOCUMENTS
    """How many are packed together; memory grows with it, not with the documents."""
    allow_repeats: bool = False
    """Whether the data may be used again when the run needs more rows than there are."""

    def __post_init__(self) -> None:
        if self.plan not in PLANS:
            raise ValueError(f"data.plan must be one of {', '.join(sorted(PLANS))}, got {self.plan!r}")
        if self.seq_len < 2 or self.held_out < 0:
            raise ValueError(f"data.seq_len={self.seq_len} or data.held_out={self.held_out} is too small")


@dataclass(frozen=True, kw_only=True)
class Model:
    """A Llama, or an existing model to go on with."""

    pretrained: str | None = None
    """Weights to start from, a folder or `you/model@revision`; the shape below is then not used."""
    tokenizer: str = "train:4096"
    """A repository (`you/name@revision`) or folder, or `train:N`: a byte-level BPE of N tokens, trained on the
    documents."""
    hidden_size: int = 1024
    num_layers: int = 24
    num_heads: int = 16
    num_kv_heads: int = 16
    intermediate_size: int = 4096
    rope_theta: float = 500_000.0
    tie_embeddings: bool = False
    attention: str = "sdpa"
    """Of transformers; on GPUs `flash_attention_2`, with `conditioning.layout: flattened`."""


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """The metadata, and when they are there."""

    schedule: ScheduleKind = ScheduleKind.COOLDOWN
    cooldown_fraction: float = 0.1
    probability: float = 0.9
    """Of a document carrying its metadata, in the mixed schedules."""
    template: str = DEFAULT_TEMPLATE
    on_missing: MissingPolicy = MissingPolicy.DROP_PREFIX
    loss_on_metadata: LossOnMetadata = LossOnMetadata.MASKED
    layout: Literal["rows", "flattened"] = "rows"
    stop_after_conditioned: bool = False
    """End at the switch with a checkpoint; the same command without this goes on with the cooldown."""
    check_leakage: bool = True
    """Compare packed with separate documents before the first step."""

    def to_schedule(self, seed: int) -> Schedule:
        """Return the schedule as the data set takes it."""
        return Schedule(
            kind=self.schedule, cooldown_fraction=self.cooldown_fraction, probability=self.probability, seed=seed
        )


@dataclass(frozen=True, kw_only=True)
class Hub:
    """Where the model goes when it is finished."""

    repo_id: str | None = None
    """`you/model`; null: it stays in `training.output_dir`. The token comes from `HF_TOKEN` or `hf auth login`."""
    private: bool = True
    license: str | None = None


def _argument_names() -> list[str]:
    from transformers import TrainingArguments

    return [one.name for one in fields(TrainingArguments)]


TRAINING: dict[str, Any] = {
    "output_dir": "runs/meco",
    "learning_rate": 3e-3,
    "adam_beta1": 0.9,
    "adam_beta2": 0.95,
    "weight_decay": 0.033,
    "warmup_steps": 0.05,
    "lr_scheduler_type": "cosine_with_min_lr",
    "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
    "train_sampling_strategy": "sequential",
    "remove_unused_columns": False,
}
"""The paper's table 6, and what a position-based schedule needs."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A run."""

    data: Data
    model: Model = field(default_factory=Model)
    conditioning: Conditioning = field(default_factory=Conditioning)
    hub: Hub = field(default_factory=Hub)
    training: dict[str, Any] = open_section(_argument_names, TRAINING)  # noqa: RUF009 - a dataclass field
    """Any argument of `transformers.TrainingArguments`, `report_to` (trackio, wandb, ...) among them."""
    prepare_only: bool = False
    """Make tokenizer and token store, then stop."""

    @property
    def output(self) -> Path:
        """Folder of everything that the run writes."""
        return Path(self.training["output_dir"])
