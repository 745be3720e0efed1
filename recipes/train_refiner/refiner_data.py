"""A training set, from a folder or the Hub, to encoded examples; and the commits that names on the Hub mean."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from refiner_config import Config, Data

from hf_curation.files.atomic import write_json
from hf_curation.files.pins import Pins, split_revision
from hf_curation.refiners.base import Draft
from hf_curation.refiners.training import Example, read_training_set
from hf_curation.refiners.training.encode import EncodedExamples, encode_examples
from hf_curation.refiners.training.mixing import mix_examples
from hf_curation.refiners.training.scoring import score_windows


@dataclass(frozen=True, slots=True)
class RefinerData:
    """What the run trains on and is judged by."""

    train: EncodedExamples
    asked: EncodedExamples
    """Windows of the validation split for which the model writes programs."""
    held_out: EncodedExamples
    """Those for the loss."""
    commit: str | None
    """On the Hub; None for a folder."""
    settings: dict[str, Any]
    """What the set was made with, as its report says."""


PINS: Final = "pins.json"
"""What names on the Hub meant when the run began."""


def pinned(config: Config) -> Config:
    """Return the configuration with the commits that its names on the Hub mean, those of the first start if known.

    Raises:
        ValueError: if there is no such model or set, or the Hub does not answer.
    """
    path = config.output / PINS
    pins = Pins(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None)
    model, data = config.model, config.data
    try:
        base, revision = pins.model(model.base, model.revision)
        name, of_data = split_revision(data.dataset.removeprefix("hf://datasets/"), data.revision)
        if not Path(name).is_dir():
            if name.count("/") != 1:
                raise ValueError(f"data.dataset={name!r} is no folder, and no name on the Hub such as you/data")
            of_data = pins.url(f"hf://datasets/{name}@{of_data or 'main'}").rpartition("@")[2]
    except OSError as error:
        raise ValueError(str(error)) from error
    if pins.used:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, pins.used)
    return replace(
        config, model=replace(model, base=base, revision=revision), data=replace(data, dataset=name, revision=of_data)
    )


def load_data(config: Config, tokenizer: Any) -> RefinerData:  # noqa: ANN401 - a transformers tokenizer
    """Read and encode what the configuration names.

    Raises:
        ValueError: if there is no such set, or nothing of it is left to train on.
    """
    data = config.data
    commit = None if Path(data.dataset).is_dir() else data.revision
    max_tokens = data.max_tokens or data.seq_len
    chosen = mix_examples(
        _read(data, commit, "train"), origins=data.origins, kinds=data.kinds, max_examples=data.max_examples
    )
    train = encode_examples(chosen, tokenizer, max_tokens=max_tokens)
    if not train.examples:
        raise ValueError(f"{data.dataset}: no example of at most {max_tokens} tokens is there to train on")
    held_out = _read(data, commit, "validation")
    asked, rows = (evenly(held_out, n) for n in (config.evaluation.windows, config.evaluation.loss_windows))
    return RefinerData(
        train=train,
        asked=encode_examples(asked, tokenizer, max_tokens=max_tokens),
        held_out=encode_examples(rows, tokenizer, max_tokens=max_tokens),
        commit=commit,
        settings=_report(data, commit).get("settings", {}),
    )


def check_metric(config: Config, data: RefinerData) -> None:
    """Check that the figure by which the best checkpoint is chosen will be there, before hours of training.

    Raises:
        ValueError: with the figures that there are.
    """
    if not config.training.get("load_best_model_at_end"):
        return
    examples = data.asked.examples
    found = score_windows(examples, [Draft(example.program) for example in examples]).metrics() if examples else {}
    # A precision is missing while the model removes nothing.
    known = ["loss"] * bool(len(data.held_out)) + [name for name in found if not name.endswith("precision")]
    metric = str(config.training.get("metric_for_best_model"))
    if metric.removeprefix("eval_") not in known:
        there = ", ".join(f"eval_{name}" for name in known) or "nothing, as the set has no validation split"
        raise ValueError(f"training.metric_for_best_model={metric}: the evaluation gives {there}")


def evenly(examples: Sequence[Example], number: int) -> list[Example]:
    """Return the first `number` examples, as evenly over the stages as they allow."""
    by_stage: dict[str, list[Example]] = {}
    for example in examples:
        by_stage.setdefault(example.stage, []).append(example)
    chosen: list[Example] = []
    smallest_first = sorted(by_stage.values(), key=len)
    for left, of_stage in zip(range(len(by_stage), 0, -1), smallest_first, strict=True):
        chosen += of_stage[: (number - len(chosen)) // left]
    return chosen


def _read(data: Data, commit: str | None, split: str) -> list[Example]:
    return [example for example in _split(data, commit, split) if not data.stages or example.stage in data.stages]


def _split(data: Data, commit: str | None, split: str) -> Iterable[Example]:
    if commit is None:
        return read_training_set(Path(data.dataset), split)
    from datasets import get_dataset_split_names, load_dataset

    name = data.dataset
    if split not in get_dataset_split_names(name, revision=commit):
        return []
    return (Example(**row) for row in load_dataset(name, revision=commit, split=split))


def _report(data: Data, commit: str | None) -> dict[str, Any]:
    if commit is None:
        path = Path(data.dataset) / "report.json"
    else:
        from huggingface_hub import hf_hub_download

        path = Path(hf_hub_download(data.dataset, "report.json", repo_type="dataset", revision=commit))
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
