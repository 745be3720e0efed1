"""Batches for MeCo: metadata in front of each document, out of the loss, in three layouts.

- `rows` (default): packed sequences of shape (B, T) whose `position_ids` restart at every document. That restart, with
  no `attention_mask` and no KV cache, is what transformers takes for packing under SDPA, flex and eager attention.
- `flattened`: one sequence of shape (1, T) with `cu_seq_lens_*` and `max_length_*` for FlashAttention 2 and 3.
- `padded`: one document a row with right padding and an `attention_mask`.

Never an `attention_mask` beside packed rows: with one, documents see each other, and nothing warns (largest change of
a logit 0.25, against 6e-8 without; `check_no_leakage` measures it on your model).

The collator holds no phase and no counter, so the copies in DataLoader workers cannot disagree: whether a document is
conditioned stands in the feature, set by `MeCoDataset` from the position in the data order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import torch

from hf_curation.metadata import DEFAULT_TEMPLATE, MissingPolicy, PrefixEncoder, PrefixTemplate, parse_template
from hf_curation.packing.segments import IGNORE_INDEX, LossOnMetadata, Segment, SegmentWriter, SpecialTokens

Layout = Literal["rows", "flattened", "padded"]
LAYOUTS: Final = ("rows", "flattened", "padded")
Batch = dict[str, Any]


@dataclass
class MeCoDataCollator:
    r"""Put `URL: <host>` in front of each document and keep it out of the loss.

    Takes rows of `MeCoDataset`, or simple features: `{"text": ..., "url": ...}` or `{"input_ids": ..., "url": ...}`
    (ids without special tokens), with `"conditioned": False` for a document that shall go without metadata.

    Args:
        tokenizer: A fast transformers tokenizer; BOS and EOS are written as it has them.
        template: A template such as `URL: {host}\n\n`, parsed or as text.
        on_missing: What a document without a value gets; used when `template` is text.
        layout: `rows`, `flattened` or `padded`; see the module's docstring.
        max_length: Tokens a row may have; longer documents lose their end. None: no limit.
        pad_to_max_length: Pad every row to `max_length` (fixed shapes for compilers) instead of the longest row.
        loss_on_metadata: `masked` (the paper), `trained`, or `appended`: behind the document, and predicted.

    A `tokenizer` with BOS 1, EOS 2 and one token a byte shows what comes out; the metadata's labels are -100:

    >>> collate = MeCoDataCollator(tokenizer, template="{host} ")
    >>> batch = collate([{"text": "hi", "url": "https://a.de/x"}])
    >>> batch["input_ids"]
    tensor([[  1, 100,  49, 103, 104,  35, 107, 108,   2]])
    >>> batch["labels"]
    tensor([[-100, -100, -100, -100, -100, -100,  107,  108,    2]])

    Without a URL, or in the cooldown, only BOS is masked:

    >>> collate([{"text": "hi"}])["labels"]
    tensor([[-100,  107,  108,    2]])
    >>> collate([{"text": "hi", "url": "https://a.de/x", "conditioned": False}])["input_ids"]
    tensor([[  1, 107, 108,   2]])

    Flattened, positions restart and the borders are listed:

    >>> flat = MeCoDataCollator(tokenizer, template="{host} ", layout="flattened")
    >>> batch = flat([{"text": "hi"}, {"text": "you"}])
    >>> batch["position_ids"], batch["cu_seq_lens_q"], batch["max_length_q"]
    (tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4]]), tensor([0, 4, 9], dtype=torch.int32), 5)
    """

    tokenizer: Any
    template: PrefixTemplate | str = DEFAULT_TEMPLATE
    on_missing: MissingPolicy | str = MissingPolicy.DROP_PREFIX
    layout: Layout = "rows"
    max_length: int | None = None
    pad_to_max_length: bool = False
    loss_on_metadata: LossOnMetadata | str = LossOnMetadata.MASKED
    special: SpecialTokens = field(init=False)
    encoder: PrefixEncoder = field(init=False)
    writer: SegmentWriter = field(init=False)

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {self.layout!r}")
        if self.pad_to_max_length and self.max_length is None:
            raise ValueError("pad_to_max_length=True needs max_length")
        self.loss_on_metadata = LossOnMetadata(self.loss_on_metadata)
        if isinstance(self.template, str):
            self.template = parse_template(self.template, on_missing=MissingPolicy(self.on_missing))
        self.special = SpecialTokens.of(self.tokenizer)
        padding = self.tokenizer.pad_token_id
        self._padding = padding if padding is not None else self.special.eos or 0
        self.writer = SegmentWriter(self.special, self.loss_on_metadata)
        self.encoder = PrefixEncoder(self.tokenizer, self.template)

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> Batch:
        """Build a batch: int64 tensors, `labels` -100 where nothing is learnt; the layout decides the other keys."""
        rows = [self._segments(feature) for feature in features]
        if self.layout == "flattened":
            return self._flattened([segment for row in rows for segment in row])
        if self.layout == "padded":
            return self._padded([[segment] for row in rows for segment in row])
        return self._rows(rows)

    def _segments(self, feature: Mapping[str, Any]) -> list[Segment]:
        """Return the documents of one feature, metadata encoded and cut to `max_length`."""
        if "segments" in feature:
            return [self._segment(part) for part in feature["segments"]]
        return [self._segment(feature)]

    def _segment(self, part: Mapping[str, Any]) -> Segment:
        if "input_ids" in part:
            body = part["input_ids"]
        elif "text" in part:
            # A page that spells `</s>` must not write the token.
            body = self.tokenizer.encode(part["text"], add_special_tokens=False, split_special_tokens=True)
        else:
            raise ValueError(
                f"a feature needs 'text' or 'input_ids', got {sorted(part)}; set remove_unused_columns=False"
            )
        metadata = part.get("metadata_ids")
        if metadata is None:
            metadata = self.encoder(part).ids if part.get("conditioned", True) else ()
        ends = part.get("ends", True)
        segment = self.writer.segment(body, metadata, ends=ends)
        if self.max_length is None or segment.num_tokens <= self.max_length:
            return segment
        room = self.max_length - self.special.num_bos - len(metadata)
        if room < 1:
            raise ValueError(f"metadata of {len(metadata)} tokens leaves no room in max_length={self.max_length}")
        # EOS stays only behind a whole document.
        return self.writer.segment(body[:room], metadata, ends=ends and len(body) < room)

    def _rows(self, rows: Sequence[Sequence[Segment]]) -> Batch:
        """Write packed rows; padding is a document of its own, at the end, whose labels are all -100."""
        longest = max(_num_tokens(row) for row in rows)
        width = self.max_length if self.pad_to_max_length and self.max_length is not None else longest
        if longest > width:
            raise ValueError(f"a row of {longest} tokens does not fit max_length={width}")
        batch = _empty_batch(len(rows), width)
        for row, ids_T, labels_T, positions_T in zip(rows, *batch.values(), strict=True):
            end = self.writer.write(row, ids_T, labels_T, positions_T)
            ids_T[end:] = self._padding
            labels_T[end:] = IGNORE_INDEX
            positions_T[end:] = np.arange(width - end)
        return _tensors(batch)

    def _padded(self, rows: Sequence[Sequence[Segment]]) -> Batch:
        batch = self._rows(rows)
        width = batch.pop("position_ids").shape[1]
        lengths_B = torch.tensor([_num_tokens(row) for row in rows])
        batch["attention_mask"] = (torch.arange(width) < lengths_B[:, None]).long()
        return batch

    def _flattened(self, row: Sequence[Segment]) -> Batch:
        lengths = [segment.num_tokens for segment in row]
        batch = _empty_batch(1, sum(lengths))
        self.writer.write(row, *(array[0] for array in batch.values()))
        borders = torch.from_numpy(np.cumsum([0, *lengths]).astype(np.int32))
        longest = max(lengths)
        return _tensors(batch) | {
            "cu_seq_lens_q": borders,
            "cu_seq_lens_k": borders,
            "max_length_q": longest,
            "max_length_k": longest,
        }


def _num_tokens(row: Sequence[Segment]) -> int:
    return sum([segment.num_tokens for segment in row])


def _empty_batch(num_rows: int, width: int) -> dict[str, np.ndarray[Any, np.dtype[np.int64]]]:
    return {name: np.empty((num_rows, width), dtype=np.int64) for name in ("input_ids", "labels", "position_ids")}


def _tensors(batch: Mapping[str, np.ndarray[Any, np.dtype[np.int64]]]) -> Batch:
    return {name: torch.from_numpy(array) for name, array in batch.items()}
