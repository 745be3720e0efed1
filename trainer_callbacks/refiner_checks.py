"""What a fine-tuning run checks as it goes: examples do not see each other, checkpoints that are resumed are whole."""

from pathlib import Path
from typing import Any

from accelerate import PartialState
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from trainer_callbacks.checkpoints import mark_complete
from trainer_callbacks.leakage import check_no_leakage
from trainer_callbacks.refiner_rows import RefinerCollator
from trainer_callbacks.watch import check_logged


class RefinerChecks(TrainerCallback):  # type: ignore[misc,unused-ignore]
    """Check packing before the first step, the loss at every log, and mark each checkpoint as whole.

    `last_complete_checkpoint(output_dir)` finds the newest that has the mark; a kill in the middle of writing leaves
    none.

    Args:
        collator: The one that makes the batches, or None: packing is not checked.
    """

    def __init__(self, collator: RefinerCollator | None) -> None:
        self.collator = collator

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        model: Any = None,  # noqa: ANN401
        **kwargs: object,
    ) -> None:
        """Compare packed examples with separate ones, by the model's own logits."""
        if self.collator is not None:
            check_no_leakage(model, self.collator.with_all_positions())

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Stop at a loss or gradient that is no number.

        Raises:
            NonFiniteError: with what to do.
        """
        check_logged(logs or {}, state.global_step)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Mark the checkpoint, once every process has written its part."""
        PartialState().wait_for_everyone()
        if args.should_save and not args.save_only_model:
            mark_complete(Path(args.output_dir) / f"checkpoint-{state.global_step}", {})
