"""The network in torch, for training: the twin of `hf_curation/refiners/tagger/network.py`.

Pages of a batch are padded to the longest; padded rows are masked wherever rows meet (convolution, page context).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hf_curation.refiners.tagger.features import NUM_NUMBERS, PageFeatures

NUM_SPECIALS = 4


@dataclass(kw_only=True, slots=True, frozen=True)
class Shape:
    """The size of the network, and how much of it is switched off while it learns."""

    hidden: int = 64
    """Width of a line's vector."""
    embedding: int = 12
    """Width of a word's vector."""
    table_bits: int = 14
    """Words are hashed into 2 ** table_bits vectors."""
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 1)
    """One convolution over three lines per entry; the reach is their sum."""
    dropout: float = 0.2
    word_dropout: float = 0.5
    """Share of lines whose words (and of special tokens that) the network does not see: words are what overfits."""
    num_types: int = 7
    """Page types that an auxiliary head tells apart during training; it is not exported."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded pages. B = pages, L = lines of the longest."""

    numbers_BLF: Tensor
    mask_BL: Tensor
    num_words_BL: Tensor
    words: Tensor
    word_starts: Tensor
    specials_BLS: Tensor


def make_batch(pages: Sequence[PageFeatures], table_bits: int) -> Batch:
    """Pad and join pages; pages without rows are not allowed."""
    shift = np.uint32(32 - table_bits)
    size, longest = len(pages), max(len(page.rows) for page in pages)
    numbers = np.zeros((size, longest, NUM_NUMBERS), dtype=np.float32)
    mask = np.zeros((size, longest), dtype=bool)
    num_words = np.zeros((size, longest), dtype=np.float32)
    specials = np.zeros((size, longest, NUM_SPECIALS), dtype=np.int64)
    words, starts, at = [], [], 0
    for b, page in enumerate(pages):
        n = len(page.rows)
        numbers[b, :n], mask[b, :n], num_words[b, :n] = page.numbers, True, page.num_words
        specials[b, :n] = page.specials >> shift
        words.append((page.words >> shift).astype(np.int64))
        begin = np.full(longest, page.word_starts[-1])
        begin[:n] = page.word_starts[:-1]
        starts.append(begin + at)
        at += len(page.words)
    arrays = (numbers, mask, num_words, np.concatenate(words), np.concatenate(starts), specials)
    return Batch(*(torch.from_numpy(array) for array in arrays))


class Tagger(nn.Module):
    """Hashed words and numbers per line -> log odds per line (B, L); see the twin's docstring for the layers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        hidden, rows = shape.hidden, 1 << shape.table_bits
        self.register_buffer("mean", torch.zeros(NUM_NUMBERS))
        self.register_buffer("scale", torch.ones(NUM_NUMBERS))
        self.words = nn.EmbeddingBag(rows, shape.embedding, mode="mean")
        self.specials = nn.Embedding(rows, shape.embedding)
        for table in (self.words, self.specials):
            nn.init.normal_(table.weight, std=0.05)
        self.input = nn.Linear(NUM_NUMBERS + (1 + NUM_SPECIALS) * shape.embedding, hidden)
        self.context_in = nn.Linear(3 * hidden, hidden)
        self.blocks = nn.ModuleList(Block(hidden, dilation) for dilation in shape.dilations)
        self.context_out = nn.Linear(3 * hidden, hidden)
        self.norm_out = nn.LayerNorm(hidden)
        self.hidden = nn.Linear(hidden, hidden)
        self.output = nn.Linear(hidden, 1)
        self.page_type = nn.Linear(2 * hidden, shape.num_types)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the log odds of each line (B, L) and of each page type (B, T)."""
        mask = batch.mask_BL
        mass = batch.num_words_BL.log1p() * mask
        x = ((batch.numbers_BLF - self.mean) / self.scale).clamp(-4, 4)
        z = F.gelu(self.input(torch.cat([x, self._look_up(batch)], dim=-1)), approximate="tanh")
        z = self._context(self.dropout(z), mask, mass, self.context_in)
        for k, block in enumerate(self.blocks):
            z = block(z, mask)
            if k == len(self.blocks) // 2:
                z = self.dropout(z)
        z = self._context(z, mask, mass, self.context_out)
        top = z.masked_fill(~mask[..., None], -1e4).amax(1)
        page_type = self.page_type(torch.cat([_mean(z, mask.float()), top], dim=-1))
        z = self.dropout(F.gelu(self.hidden(self.norm_out(z)), approximate="tanh"))
        return self.output(z).squeeze(-1), page_type

    def _look_up(self, batch: Batch) -> Tensor:
        size, longest = batch.mask_BL.shape
        words = self.words(batch.words, batch.word_starts).view(size, longest, -1)
        specials = self.specials(batch.specials_BLS)
        if self.training:
            keep = 1 - self.shape.word_dropout
            words = words * (torch.rand(size, longest, 1) < keep)
            specials = specials * (torch.rand(size, longest, NUM_SPECIALS, 1) < keep)
        return torch.cat([words, specials.flatten(2)], dim=-1)

    def _context(self, z: Tensor, mask: Tensor, mass: Tensor, linear: nn.Linear) -> Tensor:
        top = z.masked_fill(~mask[..., None], -1e4).amax(1)
        summary = torch.cat([_mean(z, mask.float()), _mean(z, mass), top], dim=-1)
        return z + torch.tanh(linear(summary))[:, None]


class Block(nn.Module):
    """A gated convolution over a line and the two lines `dilation` away from it, with a residual."""

    def __init__(self, hidden: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.norm = nn.LayerNorm(hidden)
        # One matrix product over three shifted copies: four times as fast as `nn.Conv1d` on a CPU at this width.
        self.mix = nn.Linear(3 * hidden, 2 * hidden)
        nn.init.normal_(self.mix.weight, std=math.sqrt(1 / (3 * hidden)))

    def forward(self, z: Tensor, mask: Tensor) -> Tensor:
        """Return `z` (B, L, H) with each line's neighbours mixed in."""
        u = self.norm(z) * mask[..., None]
        length, reach = u.shape[1], self.dilation
        padded = F.pad(u, (0, 0, reach, reach))
        around = torch.cat([padded[:, :length], u, padded[:, 2 * reach :]], dim=-1)
        return z + F.glu(self.mix(around), dim=-1)


def _mean(z: Tensor, weight: Tensor) -> Tensor:
    return (z * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
