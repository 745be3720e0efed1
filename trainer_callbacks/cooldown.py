"""The callback of a MeCo run: it checks, observes, logs, saves and stops. It switches nothing.

The phase stands in the data (`MeCoDataset`). A flag flipped by a callback would reach the batches late, or with
persistent DataLoader workers never; so nothing here changes a batch, and everything here follows from
`state.global_step`: the callback has no state that a resume could lose.

Conditioned phase and cooldown are one run with one learning-rate curve and one optimizer state. The paper's two runs
are the same run in two launches: `stop_after_conditioned=True` ends the first one at the switch with a checkpoint, the
second resumes from it. Up to the switch another cooldown store may be put behind the conditioned phase, so that one
trunk serves several cooldowns.
"""

import logging
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch.utils.data import DataLoader
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from hf_curation.packing.schedule import Phase
from trainer_callbacks.checkpoints import (
    Record,
    check_resume,
    is_complete,
    last_complete_checkpoint,
    mark_complete,
    remove_torn,
    torn_checkpoint,
    unmark,
)
from trainer_callbacks.dataset import MeCoDataset
from trainer_callbacks.geometry import check_run
from trainer_callbacks.leakage import check_no_leakage
from trainer_callbacks.watch import BatchWatch, NonFiniteError, Place, check_logged, check_weights

logger = logging.getLogger(__name__)


class MeCoCooldownCallback(TrainerCallback):  # type: ignore[misc]
    """Guards a run on a `MeCoDataset`.

    - Before the first worker starts: the run must have the steps, rows per step and order that the data was laid
      out for, and a resumed one must be the run that wrote the checkpoint.
    - At the switch: a log entry, a checkpoint (unless `save_strategy="no"`), and an evaluation where there are any.
    - Throughout: every batch that reaches the model is compared with the rows due, every loss must be finite. Sets
      `logging_nan_inf_filter=False`, which would hide a NaN.
    - Logs `meco/phase` (0 conditioned, 1 cooldown), `meco/conditioned_share` (of documents) and
      `meco/prefix_token_share`, over all processes, since the last entry.
    - Beside each checkpoint: `meco_state.json`, written last. A checkpoint without it is torn: resuming from it is
      refused, and a new Trainer on its folder warns. `last_complete_checkpoint` passes it over.

    Args:
        dataset: The Trainer's `train_dataset`.
        stop_after_conditioned: End the run at the switch, with a checkpoint.
        allow_other_geometry: Resume with other numbers of processes, batch size and accumulation, of equal product.
        check_batches: Compare batches. Switch off for tensor, sequence or context parallelism, where
            processes share rows.
        check_leakage: Run `check_no_leakage` before the first step.

    >>> dataset = MeCoDataset(store, tokenizer, seq_len=64, samples_per_step=geometry_of(args), max_steps=10)
    >>> trainer = Trainer(
    ...     model=model,
    ...     args=args,
    ...     train_dataset=dataset,
    ...     data_collator=MeCoDataCollator(tokenizer),
    ...     callbacks=[MeCoCooldownCallback(dataset)],
    ... )
    >>> result = trainer.train(resume_from_checkpoint=last_complete_checkpoint(args.output_dir))
    >>> result.global_step, dataset.switch_step
    (10, 9)
    """

    def __init__(
        self,
        dataset: MeCoDataset,
        *,
        stop_after_conditioned: bool = False,
        allow_other_geometry: bool = False,
        check_batches: bool = True,
        check_leakage: bool = False,
    ) -> None:
        self.dataset = dataset
        self.stop_after_conditioned = stop_after_conditioned
        self.allow_other_geometry = allow_other_geometry
        self.check_batches = check_batches
        self.check_leakage = check_leakage
        self._watch: BatchWatch | None = None
        self._record: Record = {}
        self._logged_at = 0

    def lead(self, trainer: Any) -> None:  # noqa: ANN401 - transformers.Trainer
        """Move ahead of the reporters, so that Trackio, wandb and TensorBoard see the `meco/` figures too.

        The Trainer calls `callbacks=[...]` after its reporters; call this once, between building it and `train`.
        """
        callbacks = trainer.callback_handler.callbacks
        callbacks.remove(self)
        callbacks.insert(1, self)  # behind DefaultFlowCallback, which decides whether a step is logged and saved

    def on_init_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Warn of a torn checkpoint: the Trainer loads one, and fails without a word on why, before any other hook."""
        torn = torn_checkpoint(Path(args.output_dir)) if args.should_save else None
        if torn is not None:
            logger.warning(
                "%s was not written whole, and resume_from_checkpoint=True would take it: use "
                "resume_from_checkpoint=last_complete_checkpoint(args.output_dir), which is %s",
                torn,
                last_complete_checkpoint(args.output_dir),
            )

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: torch.nn.Module,
        train_dataloader: DataLoader[Any],
        **kwargs: object,
    ) -> None:
        """Check the run, then start to observe it.

        Raises:
            ValueError: if run and data do not fit together, or the checkpoint is of another run or torn.
            LeakageError: with `check_leakage`, if packed documents see each other.
        """
        self._stop_watching()
        check_run(args, state.max_steps, self.dataset, train_dataloader, model)
        collate: Any = train_dataloader.collate_fn
        self._record = _record(args, self.dataset, collate)
        if state.global_step:
            self._check_resume(args, state)
        self._check_stop(state.global_step)
        state.stateful_callbacks["meco"] = self._record
        args.logging_nan_inf_filter = False
        if self.check_leakage:
            difference = check_no_leakage(model, collate)
            logger.info("packed and separate logits differ by at most %.1e", difference)
        place = Place(
            rank=args.process_index,
            world_size=args.world_size,
            per_device_batch=args.train_batch_size,
            accumulation=args.gradient_accumulation_steps,
        )
        self._watch = BatchWatch(self.dataset, collate if self.check_batches else None, place)
        self._watch.attach(model)
        self._logged_at = state.global_step

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Tell the watch which rows are due."""
        if self._watch:
            self._watch.begin_step(state.global_step)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: torch.nn.Module,
        **kwargs: object,
    ) -> None:
        """Bring about what belongs to the switch; let nothing be logged or saved that was not checked."""
        if self._watch:
            self._watch.end_step()
        if args.should_save:
            unmark(_checkpoint(args, state))
        if state.global_step == self.dataset.switch_step and self.dataset.switch_step < state.max_steps:
            control.should_log = True
            control.should_evaluate = control.should_evaluate or args.do_eval
            control.should_save = control.should_save or args.save_strategy != "no" or self.stop_after_conditioned
            control.should_training_stop = control.should_training_stop or self.stop_after_conditioned
        self._verify(state, control, model)

    def on_epoch_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        *,
        model: torch.nn.Module,
        **kwargs: object,
    ) -> None:
        """Check once more, where checkpoints go by epochs."""
        self._verify(state, control, model)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object) -> None:
        """Mark the checkpoint as whole, once every process has written its part."""
        PartialState().wait_for_everyone()
        if args.should_save and not args.save_only_model:
            mark_complete(_checkpoint(args, state), self._record)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: object,
    ) -> None:
        """Add the `meco/` figures to an entry of the training loss.

        Raises:
            NonFiniteError: if loss or gradient norm is none.
        """
        if logs is None or "loss" not in logs:
            return
        try:
            check_logged(logs, state.global_step)
        except NonFiniteError:
            self._stop_watching()
            raise
        figures = self._figures(state.global_step)
        logs.update(figures)
        state.log_history[-1].update(figures)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Stop observing."""
        if self._watch:
            self._watch.settle()
        self._stop_watching()

    def _figures(self, step: int) -> dict[str, float]:
        """Return the figures of the steps since the last entry, the last of which ended at `step`."""
        first, self._logged_at = min(self._logged_at, step - 1), step
        rows_per_step = self.dataset.samples_per_step
        figures = self.dataset.figures(range(first * rows_per_step, step * rows_per_step))
        return {
            "meco/phase": float(self.dataset.phase_of(step * rows_per_step - 1) is Phase.COOLDOWN),
            "meco/conditioned_share": figures.num_conditioned / figures.num_documents,
            "meco/prefix_token_share": figures.num_prefix_tokens / figures.num_tokens,
        }

    def _check_resume(self, args: TrainingArguments, state: TrainerState) -> None:
        old = state.stateful_callbacks.get("meco")
        check_resume(old, self._record, state.global_step, allow_other_geometry=self.allow_other_geometry)
        path = _checkpoint(args, state)
        if path.is_dir() and not is_complete(path):
            raise ValueError(
                f"{path} was not written whole: use resume_from_checkpoint=last_complete_checkpoint(args.output_dir)"
            )
        if args.should_save:
            for name in remove_torn(Path(args.output_dir), state.global_step):
                logger.warning("removed %s, which a kill left torn", name)

    def _check_stop(self, step: int) -> None:
        if self.stop_after_conditioned and step >= self.dataset.switch_step:
            raise ValueError(
                f"the conditioned phase ended at step {self.dataset.switch_step} and this run stands at {step}: set "
                "stop_after_conditioned=False to train the cooldown"
            )
        if self.stop_after_conditioned and self.dataset.switch_step >= self.dataset.max_steps:
            raise ValueError(f"stop_after_conditioned: the schedule {self.dataset.schedule.kind} has no cooldown")

    def _verify(self, state: TrainerState, control: TrainerControl, model: torch.nn.Module) -> None:
        if self._watch and (control.should_log or control.should_evaluate or control.should_save):
            self._watch.settle()
        if control.should_save:
            check_weights(model, state.global_step)

    def _stop_watching(self) -> None:
        if self._watch:
            self._watch.detach()
        self._watch = None


def _record(args: TrainingArguments, dataset: MeCoDataset, collate: Any) -> Record:  # noqa: ANN401
    """Return what a resumed run must agree with."""
    return {
        "schema_version": 1,
        "switch_step": dataset.switch_step,
        "max_steps": dataset.max_steps,
        "samples_per_step": dataset.samples_per_step,
        "world_size": args.world_size,
        "per_device_batch": args.train_batch_size,
        "accumulation": args.gradient_accumulation_steps,
        "seed": dataset.seed,
        "block_documents": dataset.block_documents,
        "loss_on_metadata": str(getattr(collate, "loss_on_metadata", "")),
        "data": dataset.phase_fingerprints,
        "fingerprint": dataset.fingerprint,
    }


def _checkpoint(args: TrainingArguments, state: TrainerState) -> Path:
    return Path(args.output_dir) / f"checkpoint-{state.global_step}"
