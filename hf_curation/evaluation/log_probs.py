"""Log-probabilities of given tokens behind given contexts, plain or guided by metadata.

Guidance is the rule of `transformers.generate(guidance_scale=...)`, `plain + g * (conditioned - plain)` on
log-probabilities, normalised again, since a likelihood must sum to one. At g = 1 it is the conditioned model, at 0 the
plain one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, slots=True)
class Stretch:
    """Tokens to score, and what stands before them."""

    context: Sequence[int]
    """At least one token."""
    target: Sequence[int]
    plain_context: Sequence[int] = ()
    """The context without metadata; needed for guidance only."""


@dataclass(frozen=True, slots=True)
class TokenScores:
    """The scores of one stretch."""

    log_probs_T: npt.NDArray[np.float64]
    """Shape (T,): natural log-probability of every target token."""
    is_greedy: bool
    """Whether every target token was the likeliest one."""


def score_tokens(
    model: Any,  # noqa: ANN401 - a causal language model of transformers
    stretches: Sequence[Stretch],
    *,
    batch_size: int = 8,
    guidance_scale: float = 1.0,
) -> list[TokenScores]:
    """Score the target tokens of every stretch, in evaluation mode; the model's mode stays as it was.

    Args:
        model: On any device.
        stretches: Longest first in memory, answered in their own order.
        batch_size: Stretches per forward pass.
        guidance_scale: 1: none.

    Raises:
        ValueError: if a stretch has no context, or guidance lacks the plain one.
    """
    for stretch in stretches:
        if not len(stretch.context) or (guidance_scale != 1 and not len(stretch.plain_context)):
            raise ValueError("a stretch needs at least one token of context, with guidance of plain context too")
    order = sorted(range(len(stretches)), key=lambda i: -len(stretches[i].context) - len(stretches[i].target))
    scores: list[TokenScores | None] = [None] * len(stretches)
    with evaluating(model):
        for first in range(0, len(order), batch_size):
            chosen = order[first : first + batch_size]
            batch = _score_batch(model, [stretches[i] for i in chosen], guidance_scale)
            for i, score in zip(chosen, batch, strict=True):
                scores[i] = score
    return [score for score in scores if score is not None]


@contextmanager
def evaluating(model: Any) -> Iterator[None]:  # noqa: ANN401
    """Switch dropout and gradients off for a while."""
    import torch  # noqa: PLC0415

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was_training)


def _score_batch(model: Any, batch: Sequence[Stretch], guidance_scale: float) -> Iterator[TokenScores]:  # noqa: ANN401
    conditioned = _log_probs(model, [(s.context, s.target) for s in batch])
    if guidance_scale != 1:
        plain = _log_probs(model, [(s.plain_context, s.target) for s in batch])
        conditioned = [
            (without + guidance_scale * (with_ - without)).log_softmax(-1)
            for with_, without in zip(conditioned, plain, strict=True)
        ]
    for stretch, log_probs_TV in zip(batch, conditioned, strict=True):
        target_T1 = log_probs_TV.new_tensor(list(stretch.target)).long()[:, None]
        own_T = log_probs_TV.gather(1, target_T1)[:, 0]
        is_greedy = bool((log_probs_TV.argmax(-1) == target_T1[:, 0]).all())
        yield TokenScores(own_T.double().cpu().numpy(), is_greedy)


def _log_probs(model: Any, rows: Sequence[tuple[Sequence[int], Sequence[int]]]) -> "list[torch.Tensor]":  # noqa: ANN401
    """Return for each (context, target) the log-probabilities at the target's places, shape (T, V)."""
    import torch  # noqa: PLC0415

    inputs = [[*context, *target][:-1] for context, target in rows]
    device = next(model.parameters()).device
    width = max(map(len, inputs))
    ids_BT = torch.tensor([ids + [0] * (width - len(ids)) for ids in inputs], device=device)
    lengths_B1 = torch.tensor([[len(ids)] for ids in inputs], device=device)
    mask_BT = (torch.arange(width, device=device) < lengths_B1).long()
    logits_BTV = model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False).logits
    return [
        logits_BTV[b, len(context) - 1 : len(context) - 1 + len(target)].float().log_softmax(-1)
        for b, (context, target) in enumerate(rows)
    ]
