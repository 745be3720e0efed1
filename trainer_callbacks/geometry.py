"""What a run must look like for the phase to follow from the position; checked before the first worker starts.

`MeCoDataset` lays rows out for so many steps of so many rows. Anything in TrainingArguments that reorders rows, skips
some or changes how many make a step would move the switch or mix the phases, and none of it would raise by itself.
"""

from collections.abc import Iterator
from typing import Any

from trainer_callbacks.collator import MeCoDataCollator
from trainer_callbacks.dataset import MeCoDataset


def geometry_of(args: Any) -> int:  # noqa: ANN401 - transformers.TrainingArguments
    """Return the rows per optimizer step of a run: processes x per-device batch x gradient accumulation."""
    return int(args.world_size * args.train_batch_size * args.gradient_accumulation_steps)


def check_run(args: Any, max_steps: int, dataset: MeCoDataset, dataloader: Any, model: Any) -> None:  # noqa: ANN401
    """Compare a run with the data laid out for it.

    Args:
        args: The TrainingArguments.
        max_steps: Steps of the run, as the Trainer resolved them from steps or epochs.
        dataset: What the callback was given.
        dataloader: The Trainer's, as accelerate prepared it.
        model: What is trained.

    Raises:
        ValueError: for the first thing that does not fit; it says what to set.
    """
    for problem in _problems(args, max_steps, dataset, dataloader, model):
        raise ValueError(problem)


def _problems(args: Any, max_steps: int, dataset: MeCoDataset, dataloader: Any, model: Any) -> Iterator[str]:  # noqa: ANN401
    if getattr(dataloader, "dataset", None) is not dataset:
        yield "the Trainer trains on other data than the callback was given: pass this MeCoDataset as train_dataset"
    yield from _settings(args)
    rows = dataloader.total_batch_size * args.gradient_accumulation_steps
    if rows != dataset.samples_per_step:
        yield (
            f"a step of this run has {rows} rows ({args.world_size} processes x batch {args.train_batch_size} x "
            f"accumulation {args.gradient_accumulation_steps}), the data was laid out for {dataset.samples_per_step}: "
            f"build MeCoDataset with samples_per_step=geometry_of(args), or set batch and accumulation to match"
        )
    if max_steps != dataset.max_steps:
        yield (
            f"the run has {max_steps} steps, the data was laid out for {dataset.max_steps}: set max_steps="
            f"{dataset.max_steps} or num_train_epochs=1, or build MeCoDataset with max_steps={max_steps}"
        )
    yield from _collation(args, dataset, dataloader.collate_fn, model)


def _settings(args: Any) -> Iterator[str]:  # noqa: ANN401
    """Yield what is wrong with the arguments by themselves."""
    config = args.accelerator_config
    wrong = {
        "train_sampling_strategy": (args.train_sampling_strategy, "sequential", "the rows are shuffled already"),
        "remove_unused_columns": (args.remove_unused_columns, False, "the collator needs every column"),
        "ignore_data_skip": (args.ignore_data_skip, False, "a resumed run would begin with row 0"),
        "auto_find_batch_size": (args.auto_find_batch_size, False, "another batch size moves the switch"),
        "dataloader_in_order": (args.dataloader_in_order, True, "batches would overtake each other"),
        "accelerator_config.split_batches": (config.split_batches, False, "a batch is per process here"),
        "accelerator_config.dispatch_batches": (bool(config.dispatch_batches), False, "each process reads its own"),
    }
    for name, (value, needed, why) in wrong.items():
        if value != needed:
            yield f"set {name}={needed!r} (it is {value!r}): {why}"
    if args.n_gpu > 1:
        yield f"one process sees {args.n_gpu} GPUs and would use DataParallel: start with `accelerate launch`"
    if str(getattr(args.save_strategy, "value", args.save_strategy)) == "best":
        yield "save_strategy='best' can leave out the checkpoint at the switch: set save_strategy='steps'"


def _collation(args: Any, dataset: MeCoDataset, collate: Any, model: Any) -> Iterator[str]:  # noqa: ANN401
    if not isinstance(collate, MeCoDataCollator):
        return
    if collate.special != dataset.special:
        yield f"the collator writes {collate.special}, the data set counts {dataset.special}: give both one tokenizer"
    attention = str(getattr(model.config, "_attn_implementation", ""))
    if "flash" in attention and collate.layout == "rows" and args.train_batch_size > 1:
        yield f"{attention} sees packed rows only in batches of one: use MeCoDataCollator(layout='flattened')"
