"""Observe what reaches the model: every training batch against the rows that are due, every loss for being a number.

A hook on the model builds the rows of the step, micro-batch and process again from the data set and compares them with
what came through sampler, workers, collator and accelerate: whatever reordered, dropped or repeated rows, also of
another phase, is found. It costs one more collation per batch (above 50 million tokens a second).

On the CPU a wrong batch raises before the forward pass, a loss that is no number before the backward pass. On an
accelerator reading a result would make the host wait, so results stay on the device until `settle`, which the callback
calls before anything is logged or saved: no checkpoint is written after a batch that was not checked.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NoReturn, Protocol

import torch

from trainer_callbacks.dataset import MeCoDataset

_MAX_PENDING: Final = 256
_MAX_NAMED: Final = 20


class WrongBatchError(RuntimeError):
    """A batch that reached the model is not the one that the schedule has for its step."""


class NonFiniteError(RuntimeError):
    """A loss, a gradient or a weight is NaN or infinite; the last checkpoint is from before."""


class Collate(Protocol):
    """A data collator."""

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Build a batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Which batches this process trains."""

    rank: int
    world_size: int
    per_device_batch: int
    accumulation: int

    def rows(self, step: int, micro: int) -> range:
        """Return the rows of micro-batch `micro` of `step`, both from 0."""
        batch = (step * self.accumulation + micro) * self.world_size + self.rank
        return range(batch * self.per_device_batch, (batch + 1) * self.per_device_batch)


class BatchWatch:
    """Hooks on a model, for the time of one training run.

    Args:
        dataset: What is trained on.
        collate: The Trainer's collator; None: batches are not compared, only losses are looked at.
        place: Which batches this process gets.
    """

    def __init__(self, dataset: MeCoDataset, collate: Collate | None, place: Place) -> None:
        self.dataset, self.collate, self.place = dataset, collate, place
        self._handles: list[Any] = []
        self._step: int | None = None
        self._micro = 0
        self._pending: list[tuple[str, int, range, torch.Tensor]] = []

    def attach(self, model: torch.nn.Module) -> None:
        """Start to observe."""
        # Kept out of compiled graphs: a hook that reads files cannot be traced.
        disable: Any = torch.compiler.disable
        before, after = disable(self._before), disable(self._after)
        self._handles = [
            model.register_forward_pre_hook(before, with_kwargs=True),
            model.register_forward_hook(after),
        ]

    def detach(self) -> None:
        """Leave the model as it was."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._step, self._pending = [], None, []

    def begin_step(self, step: int) -> None:
        """Expect the micro-batches of `step`."""
        self._step, self._micro = step, 0

    def end_step(self) -> None:
        """Expect no training batch until the next step begins."""
        self._step = None
        if len(self._pending) >= _MAX_PENDING:
            self.settle()

    def settle(self) -> None:
        """Read what is still on the device.

        Raises:
            WrongBatchError: for the first batch that was not the one due.
            NonFiniteError: for the first loss that was no number.
        """
        pending, self._pending = self._pending, []
        if pending:
            is_good = torch.stack([flag for *_, flag in pending]).tolist()
            for (kind, step, rows, _), good in zip(pending, is_good, strict=True):
                if not good:
                    self._complain(kind, step, rows)

    def _before(self, module: torch.nn.Module, args: Any, kwargs: dict[str, Any]) -> None:  # noqa: ANN401
        if not module.training or self._step is None or self.collate is None:
            return
        rows = self.place.rows(self._step, self._micro)
        expected = self.collate([self.dataset[row] for row in rows])
        if kwargs.get("attention_mask") is not None and "attention_mask" not in expected:
            self._complain("batch", self._step, rows)  # documents would see each other
        for name, tensor in expected.items():
            # A loss function of the user's own takes the labels away before the model sees them.
            if isinstance(tensor, torch.Tensor) and not (name == "labels" and name not in kwargs):
                actual = kwargs.get(name)
                if actual is None or actual.shape != tensor.shape:
                    self._complain("batch", self._step, rows)
                same: Any = actual == tensor.to(actual.device, non_blocking=True)
                self._note("batch", rows, same.all())

    def _after(self, module: torch.nn.Module, args: Any, output: Any) -> None:  # noqa: ANN401
        if not module.training or self._step is None:
            return
        loss = output.get("loss") if isinstance(output, Mapping) else output[0]
        if isinstance(loss, torch.Tensor):
            rows = self.place.rows(self._step, self._micro)
            self._note("loss", rows, torch.isfinite(loss.detach()).all())
        self._micro += 1

    def _note(self, kind: str, rows: range, is_good: torch.Tensor) -> None:
        assert self._step is not None
        self._pending.append((kind, self._step, rows, is_good))
        if is_good.device.type == "cpu":
            self.settle()

    def _complain(self, kind: str, step: int, rows: range) -> NoReturn:
        self.detach()
        where = f"step {step}, rows {rows.start} to {rows.stop - 1} (process {self.place.rank})"
        if kind == "loss":
            names = self.dataset.document_ids(rows)
            more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
            raise NonFiniteError(
                f"the loss is not a finite number at {where}; documents in the batch: "
                f"{', '.join(names[:_MAX_NAMED])}{more}. Look at them, lower the learning rate, and go on from the "
                "last checkpoint"
            )
        phase = self.dataset.phase_of(rows.start)
        raise WrongBatchError(
            f"the batch at {where} is not the one that the {phase} phase has there: something reorders, drops or "
            "changes rows between MeCoDataset and the model; set check_batches=False only if that is meant"
        )


def check_logged(logs: Mapping[str, float], step: int) -> None:
    """Check the training loss and gradient norm of an entry of the log, where it has them.

    Raises:
        NonFiniteError: if one of them is NaN or infinite.
    """
    for name in ("loss", "grad_norm"):
        if not math.isfinite(logs.get(name, 0.0)):
            raise NonFiniteError(
                f"{name} is {logs[name]} at step {step}: lower the learning rate and go on from the last checkpoint"
            )


def check_weights(model: torch.nn.Module, step: int) -> None:
    """Refuse weights that are no numbers; called before a checkpoint is written.

    Raises:
        NonFiniteError: names the first such parameter.
    """
    named = [(name, p.to_local() if hasattr(p, "to_local") else p) for name, p in model.named_parameters()]
    flags = [(name, torch.isfinite(p.detach()).all()) for name, p in named if p.numel()]
    is_good = torch.stack([flag for _, flag in flags]).tolist() if flags else []
    for (name, _), good in zip(flags, is_good, strict=True):
        if not good:
            raise NonFiniteError(
                f"parameter {name} holds NaN or infinity after step {step}; nothing was saved: lower the learning "
                "rate and go on from the last checkpoint"
            )
