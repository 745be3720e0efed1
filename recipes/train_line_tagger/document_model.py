"""The torch twin of `hf_curation.refiners.tagger.document.DocumentHead`: training and export."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from document_cases import WEIGHTS, Case
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn

from hf_curation.refiners.tagger.document import LENGTHS, DocumentHead, word_gate
from hf_curation.refiners.tagger.document_statistics import STATISTICS

_CLIP = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a head is fitted."""

    hidden: int = 24
    table_bits: int = 12
    gate_words: float = 60.0
    """Words of content that halve the part of the vocabulary."""
    sure_words: float = 400.0
    """Words in lines that are probably content with which a page is always kept."""
    epochs: int = 20
    batch: int = 256
    learning_rate: float = 8e-3
    weight_decay: float = 1e-2
    word_penalty: float = 2e-4
    """Weight of the squared word weights in the loss."""


def fit(cases: Sequence[Case], settings: Settings | None = None) -> DocumentHead:
    """Fit a head; equal cases give an equal head.

    Word weights start at zero and are penalised, so that a word counts only where texts say so.
    """
    how = settings or Settings()
    torch.manual_seed(0)
    cases = [case for case in cases if WEIGHTS[case.source.kind] > 0]
    raw = np.stack([case.evidence.statistics for case in cases])
    mean, scale = raw.mean(axis=0), raw.std(axis=0) + 1e-6
    x = torch.tensor(np.clip((raw - mean) / scale, -_CLIP, _CLIP))
    net = _Net(how)
    _train(net, cases, x, how)
    arrays = {
        "mean": mean,
        "scale": scale,
        "hidden.weight": net.hidden.weight.detach().numpy(),
        "hidden.bias": net.hidden.bias.detach().numpy(),
        "output.weight": net.output.weight.detach().numpy()[0],
        "output.bias": net.output.bias.detach().numpy(),
        "words": net.words.weight.detach().numpy()[:, 0],
    }
    return DocumentHead({name: array.astype(np.float32) for name, array in arrays.items()}, asdict(how))


def scores(head: DocumentHead, cases: Sequence[Case]) -> NDArray[np.float64]:
    """Return the junk scores of cases."""
    return np.array([head.junk_score(case.evidence) for case in cases])


def export(head: DocumentHead, path: Path, thresholds: Sequence[float], facts: dict[str, object]) -> None:
    """Write a head with its thresholds, and its header as JSON beside it."""
    config = {
        "statistics": list(STATISTICS),
        "lengths": list(LENGTHS),
        "thresholds": list(thresholds),
        **head.config,
        **facts,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in head.arrays.items()}
    save_file(arrays, path, {"config": json.dumps(config)})
    path.with_suffix(".json").write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")


class _Net(nn.Module):
    def __init__(self, how: Settings) -> None:
        super().__init__()
        self.hidden = nn.Linear(len(STATISTICS), how.hidden)
        self.output = nn.Linear(how.hidden, 1)
        self.words = nn.EmbeddingBag(1 << how.table_bits, 1, mode="sum")
        nn.init.zeros_(self.words.weight)

    def forward(self, x: Tensor, words: Tensor, offsets: Tensor, gates: Tensor) -> Tensor:
        logits: Tensor = self.output(torch.tanh(self.hidden(x)))[:, 0] + self.words(words, offsets)[:, 0] * gates
        return logits


def _train(net: _Net, cases: Sequence[Case], x: Tensor, how: Settings) -> None:
    words = [np.unique(case.evidence.words >> np.uint32(32 - how.table_bits)).astype(np.int64) for case in cases]
    pairs = zip(cases, words, strict=True)
    gates = torch.tensor([word_gate(c.evidence.statistics, max(len(w), 1), how.gate_words) for c, w in pairs])
    y, weight = _labels(cases)
    dense = [*net.hidden.parameters(), *net.output.parameters()]
    optimizer = torch.optim.AdamW(
        [{"params": dense, "weight_decay": how.weight_decay}, {"params": net.words.parameters(), "weight_decay": 0.0}]
    )
    num_batches = len(cases) // how.batch + 1
    rates = [how.learning_rate, 4 * how.learning_rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=how.epochs * num_batches)
    rng = np.random.default_rng(0)
    for _ in range(how.epochs):
        for rows in np.array_split(rng.permutation(len(cases)), num_batches):
            at = torch.tensor(rows)
            logits = net(x[at], *_pack(words, rows), gates[at])
            losses = nn.functional.binary_cross_entropy_with_logits(logits, y[at], reduction="none")
            loss = (losses * weight[at]).mean() + how.word_penalty * net.words.weight.square().sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


def _labels(cases: Sequence[Case]) -> tuple[Tensor, Tensor]:
    kinds = np.array([case.source.kind for case in cases])
    weight = np.array([WEIGHTS[kind] / (kinds == kind).sum() for kind in kinds])
    y = torch.tensor([float(case.is_junk) for case in cases])
    return y, torch.tensor(weight * len(cases) / weight.sum(), dtype=torch.float32)


def _pack(words: Sequence[NDArray[np.int64]], rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    chosen = [words[row] for row in rows]
    offsets = np.cumsum([0, *(len(w) for w in chosen[:-1])])
    return torch.tensor(np.concatenate(chosen)), torch.tensor(offsets)
