"""Examples of a refiner as packed rows, with the loss on programs only.

An example is a `Segment` whose metadata are the prompt: not trained, in front, joined as ids. So rows, masks and
positions that restart are those of MeCo, and `check_no_leakage` measures them. Nothing is cut: an example that does
not fit a row has been left out before (`encode_examples` counts them).

Some four tokens in a hundred are trained. `RefinerCollator(trained_positions_only=True)` therefore asks the model for
logits where there is a label only (`logits_to_keep`, which transformers' causal LMs know) and gives the labels already
shifted; the loss is the same, and the output layer, a fifth of the work of a small model, is saved.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from hf_curation.metadata import DEFAULT_TEMPLATE
from hf_curation.packing import DocumentLengths, make_plan
from hf_curation.packing.segments import IGNORE_INDEX, LossOnMetadata, SegmentWriter, SpecialTokens
from hf_curation.refiners.training.encode import EncodedExample
from trainer_callbacks.collator import Batch, Layout, MeCoDataCollator


class RefinerRows(Dataset[dict[str, Any]]):
    """Map-style rows of at most `seq_len` tokens, packed by best fit, in an order that `seed` decides."""

    def __init__(self, encoded: Sequence[EncodedExample], *, seq_len: int, seed: int = 0) -> None:
        if not encoded:
            raise ValueError("no example is left to train on")
        self.encoded = encoded
        lengths = DocumentLengths(
            body_D=np.array([len(one.program) for one in encoded], dtype=np.int64),
            head_D=np.array([len(one.prompt) for one in encoded], dtype=np.int64),
            tail_D=np.ones(len(encoded), dtype=np.int64),
        )
        self.plan = make_plan("best_fit", lengths, seq_len=seq_len, seed=seed)
        self.num_tokens = int(lengths.total_D.sum())
        self.num_trained = int((lengths.body_D + lengths.tail_D).sum())

    def __len__(self) -> int:
        return self.plan.num_rows

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return the examples of one row, as `RefinerCollator` takes them."""
        pieces = slice(*self.plan.rows_R1[row : row + 2].tolist())
        chosen = [self.encoded[index] for index in self.plan.document_P[pieces].tolist()]
        return {"segments": [{"metadata_ids": one.prompt, "input_ids": one.program} for one in chosen]}


class RefinerCollator(MeCoDataCollator):
    """Batches of `RefinerRows`: prompts are not trained, programs and the token behind them are.

    Args:
        tokenizer: A transformers tokenizer; its EOS ends a program.
        layout: `rows`, or `flattened` for FlashAttention.
        trained_positions_only: Compute logits where there is a label only; see the module's docstring.
    """

    def __init__(self, tokenizer: Any, *, layout: Layout = "rows", trained_positions_only: bool = False) -> None:  # noqa: ANN401
        super().__init__(tokenizer, template=DEFAULT_TEMPLATE, layout=layout)
        self.trained_positions_only = trained_positions_only
        self.special = SpecialTokens(None, tokenizer.eos_token_id)  # a prompt has its BOS already, or none
        self.writer = SegmentWriter(self.special, LossOnMetadata.MASKED)

    def with_all_positions(self) -> "RefinerCollator":
        """Return a collator of the same rows with all logits, such as `check_no_leakage` compares."""
        return RefinerCollator(self.tokenizer, layout=self.layout)

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> Batch:
        """Build a batch; with `trained_positions_only`, labels have shape (B, K) for the K positions that are kept."""
        batch = super().__call__(features)
        return _trained_only(batch) if self.trained_positions_only else batch


def _trained_only(batch: Batch) -> Batch:
    shifted_BT = torch.nn.functional.pad(batch["labels"], (0, 1), value=IGNORE_INDEX)[:, 1:]
    keep_K = (shifted_BT != IGNORE_INDEX).any(0).nonzero()[:, 0]
    labels_BK = shifted_BT[:, keep_K].contiguous()
    return batch | {"labels": labels_BK, "shift_labels": labels_BK, "logits_to_keep": keep_K}
