"""Train one network, or an ensemble, on labelled pages, and write it as safetensors for the numpy forward pass."""

import copy
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from augment import Augmentation, changed_page, clean_page, whole_page
from model import Shape, Tagger, make_batch
from pages import Page, Sample
from safetensors.numpy import save_file
from torch import Tensor
from torch.nn import functional as F

from hf_curation.refiners.tagger.features import FEATURES_VERSION, NUM_NUMBERS


@dataclass(kw_only=True, slots=True, frozen=True)
class TrainConfig:
    """How the shipped tagger is trained."""

    epochs: int = 9
    batch_pages: int = 16
    learning_rate: float = 2e-3
    """Peak of a one-cycle schedule."""
    weight_decay: float = 0.02
    average: float = 0.99
    """Decay of the moving average of the weights, which is what is kept."""
    type_loss: float = 0.1
    """Weight of telling the page's type, which teaches the page context and is not exported."""
    word_power: float = 0.7
    """A line counts (its words) ** word_power in the loss of its page; every page counts the same."""
    seeds: tuple[int, ...] = (0,)
    """One network each; their log odds are averaged."""
    shape: Shape = field(default_factory=Shape)
    augmentation: Augmentation = field(default_factory=Augmentation)


def train(pages: Sequence[Page], config: TrainConfig, *, seed: int, types: Sequence[str]) -> Tagger:
    """Return a network trained on `pages`; equal seeds give equal weights on one machine."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Tagger(config.shape)
    _standardise(model, pages)
    average = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    step = 0
    for epoch in range(config.epochs):
        model.train()
        losses = []
        batches = _batches(_epoch(pages, types, config.augmentation, rng), config.batch_pages, rng)
        for k, batch in enumerate(batches):
            rate = config.learning_rate * one_cycle((epoch + k / len(batches)) / config.epochs)
            optimizer.param_groups[0]["lr"] = rate
            loss = _loss(model, batch, config)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            _follow(average, model, min(config.average, step / (step + 9)))
            losses.append(loss.item())
        print(f"  seed {seed} epoch {epoch + 1}/{config.epochs}: loss {np.mean(losses):.4f}", flush=True)
    return average.eval()


def one_cycle(progress: float, *, warmup: float = 0.15) -> float:
    """Return the share of the peak learning rate at `progress` in [0, 1]: a linear rise, then half a cosine."""
    if progress < warmup:
        return 0.04 + 0.96 * progress / warmup
    return 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def export(models: Sequence[Tagger], path: Path, facts: dict[str, object]) -> None:
    """Write an ensemble in half precision, with its configuration in the header, and that header as JSON beside it.

    Args:
        models: The members, all of one shape.
        path: The `.safetensors` file.
        facts: What else the header should say (version, measured figures).
    """
    shape = models[0].shape
    config = {
        "features_version": FEATURES_VERSION,
        "num_numbers": NUM_NUMBERS,
        "members": len(models),
        "hidden": shape.hidden,
        "embedding": shape.embedding,
        "table_bits": shape.table_bits,
        "dilations": list(shape.dilations),
        **facts,
    }
    tensors = {
        f"{k}.{name}": tensor.numpy().astype(np.float16 if tensor.ndim > 1 else np.float32)
        for k, model in enumerate(models)
        for name, tensor in model.state_dict().items()
        if not name.startswith("page_type")
    }
    save_file(
        {name: np.ascontiguousarray(array) for name, array in tensors.items()}, path, {"config": json.dumps(config)}
    )
    path.with_suffix(".json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


def _standardise(model: Tagger, pages: Sequence[Page]) -> None:
    numbers = np.concatenate([page.features.numbers for page in pages])
    model.mean.copy_(torch.from_numpy(numbers.mean(axis=0)))
    model.scale.copy_(torch.from_numpy(numbers.std(axis=0) + 1e-2))


def _epoch(pages: Sequence[Page], types: Sequence[str], how: Augmentation, rng: np.random.Generator) -> list[Sample]:
    """Return the samples of one epoch: every page once, as it is or changed, and some clean documents."""
    samples = []
    for page in pages:
        kind = types.index(page.page_type)
        if rng.random() < how.changed:
            donor = pages[int(rng.integers(len(pages)))]
            samples.append(changed_page(page, donor, kind, how, rng))
        else:
            samples.append(whole_page(page, kind))
        if rng.random() < how.clean and page.gold.strip() and (clean := clean_page(page, how, rng)):
            samples.append(clean)
    return [sample for sample in samples if len(sample.shares)]


def _batches(samples: Sequence[Sample], size: int, rng: np.random.Generator) -> list[list[Sample]]:
    """Group samples of like length, in random order, so that little is padding."""
    lengths = np.array([len(sample.shares) for sample in samples])
    order = np.argsort(lengths * np.exp(rng.normal(0, 0.1, len(samples))))
    starts = rng.permutation(np.arange(0, len(samples), size))
    return [[samples[i] for i in order[start : start + size]] for start in starts]


def _loss(model: Tagger, samples: Sequence[Sample], config: TrainConfig) -> Tensor:
    batch = make_batch([sample.page for sample in samples], config.shape.table_bits)
    shares = np.zeros(batch.mask_BL.shape, dtype=np.float32)
    for row, sample in zip(shares, samples, strict=True):
        row[: len(sample.shares)] = sample.shares
    logits, page_type = model(batch)
    weight = batch.num_words_BL**config.word_power * batch.mask_BL
    weight = weight / weight.sum(dim=1, keepdim=True)
    by_line = F.binary_cross_entropy_with_logits(logits, torch.from_numpy(shares), reduction="none")
    loss = (by_line * weight).sum(dim=1).mean()
    types = torch.tensor([sample.page_type for sample in samples])
    if (types >= 0).any():
        loss = loss + config.type_loss * F.cross_entropy(page_type, types)
    return loss


@torch.no_grad()
def _follow(average: Tagger, model: Tagger, decay: float) -> None:
    for slow, fast in zip(average.parameters(), model.parameters(), strict=True):
        slow.lerp_(fast, 1 - decay)
