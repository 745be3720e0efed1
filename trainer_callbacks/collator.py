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
from hf_curation.packing.segments import IGNORE_INDEX, LossOnMetadata, Segment, SpecialTokens, write_segment

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

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise ValueError(f"layout must be one of {', '.join(LAYOUTS)}, got {self.layout!r}")
        if self.pad_to_max_length and self.max_length is None:
            raise ValueError("pad_to_max_length=True needs max_length")
        self.loss_on_metadata = LossOnMetadata(self.loss_on_metadata)
        if isinstance(self.template, str):
            self.template = parse_template(self.template, on_missing=MissingPolicy(self.on_missing))
        self.special = SpecialTokens.of(self.tokenizer)
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
        segment = Segment(body, metadata, ends=part.get("ends", True))
        return segment if self.max_length is None else self._cut(segment, self.max_length)

    def _cut(self, segment: Segment, max_length: int) -> Segment:
        """Cut the end of a body that does not fit; EOS stays only behind a whole document."""
        if segment.num_tokens(self.special) <= max_length:
            return segment
        room = max_length - self.special.num_bos - len(segment.metadata)
        if room < 1:
            raise ValueError(f"metadata of {len(segment.metadata)} tokens leaves no room in max_length={max_length}")
        return Segment(segment.body[:room], segment.metadata, ends=segment.ends and len(segment.body) < room)

    def _rows(self, rows: Sequence[Sequence[Segment]]) -> Batch:
        """Write packed rows; padding is a document of its own, at the end, whose labels are all -100."""
        lengths = [sum(segment.num_tokens(self.special) for segment in row) for row in rows]
        arrays = self._empty(len(rows), lengths)
        for row, ids_T, labels_T, positions_T in zip(rows, *arrays, strict=True):
            self._write(row, ids_T, labels_T, positions_T)
        return _tensors(zip(("input_ids", "labels", "position_ids"), arrays, strict=True))

    def _padded(self, rows: Sequence[Sequence[Segment]]) -> Batch:
        batch = self._rows(rows)
        width = batch.pop("position_ids").shape[1]
        lengths_B = torch.tensor([segment.num_tokens(self.special) for (segment,) in rows])
        batch["attention_mask"] = (torch.arange(width) < lengths_B[:, None]).long()
        return batch

    def _flattened(self, row: Sequence[Segment]) -> Batch:
        lengths = np.array([segment.num_tokens(self.special) for segment in row], dtype=np.int64)
        ids_T, labels_T, positions_T = (np.empty(lengths.sum(), dtype=np.int64) for _ in range(3))
        self._write(row, ids_T, labels_T, positions_T)
        arrays = [("input_ids", ids_T[None]), ("labels", labels_T[None]), ("position_ids", positions_T[None])]
        borders = torch.from_numpy(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        longest = int(lengths.max())
        return _tensors(arrays) | {
            "cu_seq_lens_q": borders,
            "cu_seq_lens_k": borders,
            "max_length_q": longest,
            "max_length_k": longest,
        }

    def _empty(self, num_rows: int, lengths: Sequence[int]) -> list[np.ndarray[Any, np.dtype[np.int64]]]:
        width = self.max_length if self.pad_to_max_length and self.max_length is not None else max(lengths)
        if max(lengths) > width:
            raise ValueError(f"a row of {max(lengths)} tokens does not fit max_length={width}")
        padding = self.tokenizer.pad_token_id
        fills = (padding if padding is not None else self.special.eos or 0, IGNORE_INDEX, 0)
        return [np.full((num_rows, width), fill, dtype=np.int64) for fill in fills]

    def _write(self, row: Sequence[Segment], ids_T: Any, labels_T: Any, positions_T: Any) -> None:  # noqa: ANN401
        at, loss = 0, LossOnMetadata(self.loss_on_metadata)
        for segment in row:
            end = at + segment.num_tokens(self.special)
            write_segment(segment, self.special, loss, ids_T[at:end], labels_T[at:end])
            positions_T[at:end] = np.arange(end - at)
            at = end
        positions_T[at:] = np.arange(len(positions_T) - at)


def _tensors(arrays: Any) -> Batch:  # noqa: ANN401 - pairs of name and array
    return {name: torch.from_numpy(array) for name, array in arrays}
