"""Keys and values of rows that are at different places of their programs.

A row begins with a copy of the head that all prompts share, gets its page in one pass, and from then on any number of
tokens at a time: one that the model chose, others that the grammar forced or a draft proposed. A row's entries lie at
its positions, without padding on the left, so that tokens which turn out wrong are simply written over, and a row that
has ended is replaced by the last one. `DynamicCache` can do none of this, and copies everything for each token.

Only for models in which every layer attends to all that was read (`suits`). Without `grouped_attention` a
pass of several tokens copies keys and values once for each query head of their group: 796 ms with these copies, 320
without, measured on SmolLM2-135M in float32 on one core, 12 rows of 400 tokens reading 4 tokens each.
"""

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface, Cache, DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ATTENTION = "hf_curation_rows"
_MAX_GROUPED_TOKENS = 32
"""Of longer passes the masks would cost more than the copies of keys and values."""


def suits(model: "PreTrainedModel") -> bool:
    """Say whether `Rows` can hold what `model` remembers: no sliding windows, no recurrent states, free positions.

    Its attention must take a mask of its own for every token, which flash attention does not.
    """
    if model.config._attn_implementation not in ("sdpa", "eager"):
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
        # Shapes: B = rows, T = tokens of the longest, S = positions of the longest row, V = vocabulary.
        model, longest = self._model, max(map(len, tokens))
        starts = self.lengths[first : first + len(tokens)]
        pads = [longest - len(ids) for ids in tokens]
        ids_BT = torch.tensor([[0] * pad + list(ids) for pad, ids in zip(pads, tokens, strict=True)])
        # The last tokens of all rows stand in one column, so that logits are computed for few; pads look at token 0.
        steps_BT = torch.arange(longest) - torch.tensor(pads)[:, None]
        is_pad_BT = steps_BT < 0
        positions_BT = (torch.tensor(starts)[:, None] + steps_BT).masked_fill(is_pad_BT, 0)
        stop = self._cache.open(first, positions_BT, is_pad_BT)
        positions_BT = positions_BT.to(model.device)
        is_hidden_BTS = torch.arange(stop, device=model.device) > positions_BT[:, :, None]
        mask_BTS = torch.zeros(is_hidden_BTS.shape, dtype=model.dtype, device=model.device)
        mask_BTS.masked_fill_(is_hidden_BTS, torch.finfo(model.dtype).min)
        most = max(num_wanted)
        logits_BTV: torch.Tensor = model(
            ids_BT.to(model.device),
            attention_mask=mask_BTS[:, None],
            position_ids=positions_BT,
            past_key_values=self._cache,
            use_cache=True,
            **({"logits_to_keep": most} if self._can_choose_logits else {}),
        ).logits[:, -most:]
        for row, ids in enumerate(tokens, first):
            self.lengths[row] += len(ids)
        return torch.cat([logits_TV[most - n :] for logits_TV, n in zip(logits_BTV, num_wanted, strict=True)])

    def forget(self, row: int, num_tokens: int) -> None:
        """Take back the last tokens that a row has read."""
        self.lengths[row] -= num_tokens

    def remove(self, row: int) -> None:
        """Take out a row; the last one is moved to its place."""
        last = self.lengths.pop()
        if row < len(self.lengths):
            self._cache.move(len(self.lengths), row, last)
            self.lengths[row] = last


@contextmanager
def grouped_attention(model: "PreTrainedModel") -> Iterator[None]:
    """Let a model with grouped queries read without a copy of its keys per query, while the context is open."""
    usual = model.config._attn_implementation
    if usual != "sdpa" or not model._can_set_attn_implementation():
        yield
        return
    AttentionInterface.register(_ATTENTION, _grouped_attention)
    AttentionMaskInterface.register(_ATTENTION, sdpa_mask)
    model.set_attn_implementation(_ATTENTION)
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


class _RowCache(Cache):  # type: ignore[misc]
    """A buffer of (rows, positions, heads, size) for the keys of each layer, and one for the values."""

    def __init__(self, num_rows: int, capacity: int) -> None:
        super().__init__(layers=[])
        self._stop = 0
        self._shape = (num_rows, capacity + 1)
        self._buffers: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._rows = slice(0)
        self._places: tuple[Any, Any] | None = None

    def open(self, first: int, positions_BT: torch.Tensor, is_pad_BT: torch.Tensor) -> int:
        """Say which rows the pass to come writes, and at which positions; returns where the positions end."""
        num_rows, capacity = self._shape
        self._rows = slice(first, first + len(positions_BT))
        self._stop = int(positions_BT.max()) + 1
        # The last place is never looked at.
        self._places = (torch.arange(num_rows)[self._rows, None], positions_BT.masked_fill(is_pad_BT, capacity - 1))
        return self._stop

    def update(self, keys: torch.Tensor, values: torch.Tensor, layer_idx: int, *_: Any, **__: Any) -> Any:  # noqa: ANN401
        """Write (rows, heads, tokens, size) to their places and return the rows' whole keys and values, as views."""
        if len(self._buffers) <= layer_idx:
            self._allocate(keys.transpose(1, 2), values.transpose(1, 2))
        for buffer, states in zip(self._buffers[layer_idx], (keys, values), strict=True):
            buffer[self._places] = states.transpose(1, 2)
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


def _grouped_attention(
    module: Any,  # noqa: ANN401
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,  # noqa: ANN401
) -> tuple[torch.Tensor, None]:
    """Attend as sdpa does; in short passes the queries of a group stand in a row before their one key."""
    # Shapes: B = rows, H = query heads, K = key heads, G = H / K, T = tokens, S = positions, D = size.
    B, H, T, D = query.shape
    K = key.shape[1]
    G = H // K
    if G == 1 or T > _MAX_GROUPED_TOKENS or attention_mask is None or attention_mask.shape[1] != 1:
        output: torch.Tensor = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **kwargs
        )[0]
        return output, None
    out = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(B, K, G * T, D), key, value, attn_mask=attention_mask.repeat(1, 1, G, 1), scale=scaling
    )
    out_BTHD: torch.Tensor = out.reshape(B, H, T, -1).transpose(1, 2).contiguous()
    return out_BTHD, None
