"""Keys and values of rows that are at different places of their programs.

A row begins with a copy of the head that all prompts share, gets its page in one pass, and from then on any number of
tokens at a time: one that the model chose, others that the grammar forced or a draft proposed. A row's entries lie at
its positions, without padding on the left, so that tokens which turn out wrong are simply written over, and a row that
has ended is replaced by the last one. `DynamicCache` can do none of this, and copies everything for each token.

Only for models in which every layer attends to all that was read (`suits`), and within `row_attention`.
"""

import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import Cache, DynamicCache
from transformers.cache_utils import DynamicLayer

from hf_curation.refiners.causal_lm.row_attention import Layout, laid_out

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def suits(model: "PreTrainedModel") -> bool:
    """Say whether `Rows` can hold what `model` remembers: no sliding windows, no recurrent states, free positions.

    Its attention must be exchangeable, and one that takes a mask of its own for every token.
    """
    if model.config._attn_implementation != "sdpa" or not model._can_set_attn_implementation():
        return False
    layers = DynamicCache(config=model.config).layers
    takes_positions = "position_ids" in inspect.signature(model.forward).parameters
    return takes_positions and all(type(layer) is DynamicLayer for layer in layers)


class Rows:
    """The rows of one batch; row `i` has read `lengths[i]` tokens.

    Args:
        model: a causal LM that `suits`.
        num_rows: how many rows there will be at most.
        capacity: the most tokens that a row will hold, those proposed in vain included.
    """

    def __init__(self, model: "PreTrainedModel", *, num_rows: int, capacity: int) -> None:
        self.lengths: list[int] = []
        self._model = model
        self._cache = _RowCache(num_rows, capacity)
        self._can_choose_logits = "logits_to_keep" in inspect.signature(model.forward).parameters

    def begin(self, num_rows: int, head: "Rows | None" = None) -> None:
        """Add rows that have read nothing, or what row 0 of `head` has read."""
        first = len(self.lengths)
        self.lengths += [head.lengths[0] if head else 0] * num_rows
        if head:
            self._cache.copy_from(head._cache, slice(first, first + num_rows), head.lengths[0])

    def read(self, first: int, tokens: Sequence[Sequence[int]], num_wanted: Sequence[int]) -> torch.Tensor:
        """Let rows `first`, `first + 1`, ... read on; their lengths grow by what they were given.

        Returns:
            the logits behind the last `num_wanted` tokens of each row, one row after the other: (wanted, vocabulary).
        """
        # Shapes: B = rows, T = tokens of the longest, S = positions of the longest row, N = tokens of all rows
        # together, W = those whose logits are wanted, V = vocabulary.
        model, longest = self._model, max(map(len, tokens))
        pads_B = torch.tensor([longest - len(ids) for ids in tokens])
        steps_BT = torch.arange(longest) - pads_B[:, None]
        is_token_BT = steps_BT >= 0
        is_wanted_BT = torch.arange(longest) >= longest - torch.tensor(num_wanted)[:, None]
        starts_B = torch.tensor(self.lengths[first : first + len(tokens)])
        # Padding looks at the first position: what comes of it is thrown away, but it must not be no number.
        positions_BT = (starts_B[:, None] + steps_BT).masked_fill(~is_token_BT, 0)
        rows_N, _ = is_token_BT.nonzero(as_tuple=True)
        positions_N = positions_BT[is_token_BT]
        stop = self._cache.open(first, len(tokens), rows_N, positions_N)
        is_hidden_BTS = torch.arange(stop) > positions_BT[:, :, None]
        mask_BTS = torch.zeros(is_hidden_BTS.shape, dtype=model.dtype)
        mask_BTS.masked_fill_(is_hidden_BTS, torch.finfo(model.dtype).min)
        wanted_W = is_wanted_BT[is_token_BT].nonzero()[:, 0].to(model.device)
        places_N = is_token_BT.flatten().nonzero()[:, 0].to(model.device)
        with laid_out(Layout((len(tokens), longest), places_N)):
            logits_WV: torch.Tensor = model(
                torch.tensor([[token for ids in tokens for token in ids]]).to(model.device),
                attention_mask=mask_BTS[:, None].to(model.device),
                position_ids=positions_N[None].to(model.device),
                past_key_values=self._cache,
                use_cache=True,
                **({"logits_to_keep": wanted_W} if self._can_choose_logits else {}),
            ).logits[0]
        for row, ids in enumerate(tokens, first):
            self.lengths[row] += len(ids)
        return logits_WV if self._can_choose_logits else logits_WV[wanted_W]

    def forget(self, row: int, num_tokens: int) -> None:
        """Take back the last tokens that a row has read."""
        self.lengths[row] -= num_tokens

    def remove(self, row: int) -> None:
        """Take out a row; the last one is moved to its place."""
        last = self.lengths.pop()
        if row < len(self.lengths):
            self._cache.move(len(self.lengths), row, last)
            self.lengths[row] = last


class _RowCache(Cache):  # type: ignore[misc]
    """A buffer of (rows, positions, heads, size) for the keys of each layer, and one for the values."""

    def __init__(self, num_rows: int, capacity: int) -> None:
        super().__init__(layers=[])
        self._stop = 0
        self._shape = (num_rows, capacity)
        self._buffers: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._rows = slice(0)
        self._places: tuple[Any, Any] | None = None

    def open(self, first: int, num_rows: int, rows_N: torch.Tensor, positions_N: torch.Tensor) -> int:
        """Say where the pass to come, of some rows from `first` on, writes each token; returns where positions end."""
        self._stop = int(positions_N.max()) + 1
        self._rows = slice(first, first + num_rows)
        self._places = (first + rows_N, positions_N)
        return self._stop

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_: Any, **__: Any) -> Any:  # noqa: ANN401
        """Write (1, heads, tokens, size) to their places and return the rows' whole keys and values, as views."""
        if len(self._buffers) <= layer_idx:
            self._allocate(keys.transpose(1, 2), values.transpose(1, 2))
        for buffer, states in zip(self._buffers[layer_idx], (keys, values), strict=True):
            buffer[self._places] = states[0].transpose(0, 1)
        return tuple(buffer[self._rows, : self._stop].transpose(1, 2) for buffer in self._buffers[layer_idx])

    def copy_from(self, other: "_RowCache", rows: slice, num_tokens: int) -> None:
        """Fill the first positions of `rows` with those of the other's row 0."""
        for layer, theirs in enumerate(other._buffers):
            if len(self._buffers) <= layer:
                self._allocate(*theirs)
            for target, source in zip(self._buffers[layer], theirs, strict=True):
                target[rows, :num_tokens] = source[0, :num_tokens]

    def _allocate(self, keys: torch.Tensor, values: torch.Tensor) -> None:
        """Add the buffers of the next layer, for entries (..., heads, size) like those given."""
        self._buffers.append(
            (keys.new_zeros(*self._shape, *keys.shape[2:]), values.new_zeros(*self._shape, *values.shape[2:]))
        )

    def move(self, source: int, target: int, num_tokens: int) -> None:
        """Copy a row over another one."""
        for buffers in self._buffers:
            for buffer in buffers:
                buffer[target, :num_tokens] = buffer[source, :num_tokens]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of positions that were filled before the pass under way."""
        return 0
