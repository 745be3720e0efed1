"""Every setting of the fine-tuning; `hf_curation.config` reads them: default < YAML < command line."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from hf_curation.config import open_section, read_yaml


@dataclass(frozen=True, kw_only=True)
class Data:
    """What is trained on: a set that `hf-curation refiner make-data` made."""

    dataset: str
    """Its folder, or its name on the Hub (`you/data`, `you/data@revision`)."""
    revision: str | None = None
    """Branch, tag or commit on the Hub; the commit that it means at the first start is the one that is read."""
    stages: tuple[str, ...] = ()
    """`chunk`, `document`; empty: all that the set holds."""
    origins: dict[str, float] = field(default_factory=dict)
    """Share of each origin, such as `{pair: 0.6, noise: 0.4}`; others are left out. Empty: as they are."""
    kinds: dict[str, float] = field(default_factory=dict)
    """Share of `keep`, `edit` and `drop`, likewise."""
    max_examples: int | None = None
    """Of training; null: all."""
    max_tokens: int | None = None
    """Longest example, prompt and program; null: `seq_len`. Longer ones are counted and left out."""
    seq_len: int = 2048
    """Tokens of a row; as many examples are packed into one as fit."""

    def __post_init__(self) -> None:
        if self.seq_len < 32 or (self.max_tokens or self.seq_len) > self.seq_len:
            raise ValueError(f"data.max_tokens={self.max_tokens} must fit data.seq_len={self.seq_len} (32 or more)")


@dataclass(frozen=True, kw_only=True)
class Model:
    """What is fine-tuned."""

    base: str
    """Any causal LM of transformers: a name on the Hub, with `@revision` where wanted, or a folder."""
    revision: str | None = None
    """As that of the data."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Of the weights; `auto`: as they are stored. Full fine-tuning wants float32 with `training.bf16`."""
    attention: str = "sdpa"
    """Of transformers; `flash_attention_2` packs without masks."""


@dataclass(frozen=True, kw_only=True)
class Lora:
    """The adapter."""

    enabled: bool = True
    """false: all weights are trained."""
    r: int = 16
    alpha: int = 32
    dropout: float = 0.0
    target_modules: str | list[str] = "all-linear"
    """Names of modules, or `all-linear`."""
    top_layers: int | None = None
    """Train only so many of the last layers, which spares the way back through the others; null: all."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What the model is asked during training, about sites that it is not trained on."""

    windows: int = 128
    """Windows of the validation split for which it writes programs; 0: the loss alone."""
    loss_windows: int = 256
    """Windows of the validation split for the loss."""
    batch_size: int = 16
    max_new_tokens: int = 256
    """Where an answer is cut off."""
    pages: str | None = None
    """Pages with clean text, as `make-data` was given: at the end, those of the validation split are refined whole."""
    max_pages: int = 100

    def __post_init__(self) -> None:
        for name in ("loss_windows", "batch_size", "max_new_tokens", "max_pages"):
            if getattr(self, name) < 1:
                raise ValueError(f"evaluation.{name} must be at least 1, got {getattr(self, name)}")


def _argument_names() -> list[str]:
    from transformers import TrainingArguments

    return [one.name for one in fields(TrainingArguments)]


TRAINING: dict[str, Any] = {
    "output_dir": "runs/refiner",
    "num_train_epochs": 3,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 8,
    "learning_rate": 3e-4,
    "weight_decay": 0.0,
    "warmup_steps": 0.05,
    "lr_scheduler_type": "cosine_with_min_lr",
    "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
    "logging_steps": 10,
    "eval_strategy": "steps",
    "eval_steps": 100,
    "save_strategy": "steps",
    "save_steps": 100,
    "save_total_limit": 2,
    "load_best_model_at_end": True,
    "metric_for_best_model": "eval_word_f1",
    "report_to": "none",
    "remove_unused_columns": False,
    "prediction_loss_only": True,
}
"""What differs from transformers' own defaults."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A run."""

    data: Data
    model: Model
    lora: Lora = field(default_factory=Lora)
    evaluation: Evaluation = field(default_factory=Evaluation)
    training: dict[str, Any] = open_section(_argument_names, TRAINING)  # noqa: RUF009 - a dataclass field
    """Any argument of `transformers.TrainingArguments`."""
    push: str | None = None
    """`you/refiner`: upload the result there, in one commit."""
    private: bool = True
    """Of a repository that is made by the push."""
    license: str | None = None
    """For the card."""
    dry_run: bool = False
    """Say what a push would send, and send nothing."""

    def __post_init__(self) -> None:
        if self.dry_run and self.push is None:
            raise ValueError("--dry-run is about --push YOU/REFINER, which is not given")

    @property
    def output(self) -> Path:
        """Folder of everything that the run writes."""
        return Path(self.training["output_dir"])


_SAME: Final = ("data", "model", "lora")
_SAME_TRAINING: Final = (
    "max_steps",
    "num_train_epochs",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "learning_rate",
    "lr_scheduler_type",
    "seed",
)


def check_same_run(config: Config, path: Path) -> None:
    """Refuse to go on with a run that was begun with other settings: its data order and schedule would be another.

    Args:
        config: Of this start.
        path: The `config.yaml` that the earlier start wrote.

    Raises:
        ValueError: names the first setting that differs.
    """
    if not path.is_file():
        return
    old, new = read_yaml(path), asdict(config)
    for section in _SAME:
        for key, value in new[section].items():
            _compare(f"{section}.{key}", old.get(section, {}).get(key), value, path)
    for key in _SAME_TRAINING:
        _compare(f"training.{key}", old.get("training", {}).get(key), config.training.get(key), path)


def _compare(name: str, old: Any, new: Any, path: Path) -> None:  # noqa: ANN401
    new = list(new) if isinstance(new, tuple) else new
    if old != new:
        raise ValueError(
            f"{path.parent} holds a run with {name}={old!r}, and now it is {new!r}: set the old value to go on, or "
            "another training.output_dir to start afresh"
        )
