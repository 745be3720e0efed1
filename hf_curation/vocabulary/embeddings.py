"""Moving a model to another vocabulary: every token keeps its row, wherever its id went.

`resize_token_embeddings` is not that: shrinking keeps the first n rows, whatever tokens they now belong to (a pruned
vocabulary renumbers its ids), and its new rows are random. Here rows go by token string. A new token gets the mean of
the rows of its pieces, which are what the old tokenizer makes of its bytes: of all simple rules the one that starts
closest (FVT, https://huggingface.co/papers/2402.09977). Kept rows are copied bit for bit, so on a text that both
tokenizers cut alike the hidden states are equal, and so are the logits of kept tokens.

Rows of special tokens that were never trained (Llama 3 has 251) are in no mean: pieces are never special tokens.
Loss per token of the two models does not compare: use bits per byte.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.byte_level import text_of

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

Initialise = Literal["mean", "weighted"]

_DECAY: Final = 0.5
_ID_LISTS: Final = ("suppress_tokens", "begin_suppress_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingTransfer:
    """What became of the rows."""

    old_ids: np.ndarray
    """int64[new vocabulary]: the old row that each new id took over, -1 for a new token."""
    num_kept: int
    num_new: int
    """Tokens whose row was made from pieces."""
    num_without_pieces: int
    """New tokens, special ones mostly, that the old tokenizer cannot spell: they got the mean of all trained rows."""
    num_dropped: int
    """Rows of the old model, padding rows among them, that no token has any more."""
    is_tied: bool
    special_ids: Mapping[str, tuple[Any, Any]]
    """Fields of config and generation config that changed: name -> (old, new)."""


def transfer_embeddings(
    model: Any,  # noqa: ANN401 - transformers is imported by whoever has a model
    old_tokenizer: object,
    new_tokenizer: object,
    *,
    initialise: Initialise = "mean",
) -> EmbeddingTransfer:
    """Change `model`, where it lies, from the old tokenizer's ids to the new one's.

    Embedding, output layer (its own rows where it is not tied, its bias where it has one), vocabulary size, and every
    `*_token_id` of config and generation config.

    Args:
        model: A causal language model of transformers.
        old_tokenizer: The tokenizer that it was trained with; anything that `ByteLevelBPE.load` takes.
        new_tokenizer: Likewise.
        initialise: Of new tokens: `mean` of the rows of their pieces, or `weighted` as AdaptiVocab has it: in the
            embedding the last piece counts most, in an output layer of its own the first, each piece twice as much as
            the next one away from it. Tied rows take the embedding's weights.

    Raises:
        ValueError: if the old tokenizer is not the model's, or the model holds a table for the vocabulary that is
            neither embedding nor output layer. The model is then as it was.
    """
    import torch  # noqa: PLC0415

    if initialise not in ("mean", "weighted"):
        raise ValueError(f"initialise must be 'mean' or 'weighted', got {initialise!r}")
    old, new = _load(old_tokenizer), _load(new_tokenizer)
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    _check_fits(model, old, embedding, head)
    is_tied = head is not None and head.weight is embedding.weight
    plan = _Plan.make(old, new, embedding.weight.shape[0])
    with torch.no_grad():
        embedding_VH = plan.rows(embedding.weight, _weights(initialise, from_last=True))
        if head is not None:
            weights = _weights(initialise, from_last=False)
            if not is_tied:
                _set(head, "weight", plan.rows(head.weight, weights))
            if getattr(head, "bias", None) is not None:
                _set(head, "bias", plan.rows(head.bias[:, None], weights)[:, 0])
            head.out_features = len(plan.old_ids)
        _set(embedding, "weight", embedding_VH)
    _finish(model, embedding, plan)
    if is_tied:
        head.weight = embedding.weight
    model.tie_weights()
    return EmbeddingTransfer(
        old_ids=plan.old_ids,
        num_kept=int((plan.old_ids >= 0).sum()),
        num_new=len(plan.pieces),
        num_without_pieces=sum(not pieces for pieces in plan.pieces.values()),
        num_dropped=plan.num_old_rows - int((plan.old_ids >= 0).sum()),
        is_tied=is_tied,
        special_ids=_renumber_special_ids(model, plan),
    )


@dataclass(frozen=True, slots=True)
class _Plan:
    """Where the row of each new id comes from."""

    old_ids: np.ndarray
    pieces: Mapping[int, Sequence[int]]
    """New id of each new token -> old ids, none where the old tokenizer cannot spell it."""
    trained: np.ndarray
    """Old ids that are no special tokens."""
    new_id: Mapping[int, int]
    """Old id -> new id, of kept tokens."""
    num_old_rows: int

    @classmethod
    def make(cls, old: ByteLevelBPE, new: ByteLevelBPE, num_old_rows: int) -> "_Plan":
        id_of, new_ids = _vocabulary(old), _vocabulary(new)
        old_ids = np.full(max(new_ids.values()) + 1, -1, np.int64)
        pieces: dict[int, Sequence[int]] = {}
        special = {token["content"] for one in (old, new) for token in one.added_tokens if token["special"]}
        tokenizer = old.to_tokenizer()
        for token, number in new_ids.items():
            if token in id_of:
                old_ids[number] = id_of[token]
            else:
                pieces[number] = [] if token in special else _pieces(token, tokenizer)
        pieces |= {number: [] for number in set(range(len(old_ids))) - set(new_ids.values())}
        trained = np.array(sorted(number for token, number in id_of.items() if token not in special))
        new_id = {id_of[token]: number for token, number in new_ids.items() if token in id_of}
        return cls(old_ids, pieces, trained, new_id, num_old_rows)

    def rows(self, table_VH: "torch.Tensor", weights: "Callable[[int], list[float]]") -> "torch.Tensor":
        """Return the new table; sums are made in float32."""
        import torch  # noqa: PLC0415

        old_ids = torch.as_tensor(self.old_ids, device=table_VH.device)
        rows_VH = table_VH[old_ids.clamp(min=0)]
        average_H = table_VH[torch.as_tensor(self.trained, device=table_VH.device)].float().mean(0)
        for number, pieces in self.pieces.items():
            if pieces:
                share_P = torch.tensor(weights(len(pieces)), device=table_VH.device)
                rows_VH[number] = (share_P @ table_VH[list(pieces)].float()).to(table_VH.dtype)
            else:
                rows_VH[number] = average_H.to(table_VH.dtype)
        return rows_VH


def _pieces(token: str, tokenizer: "Tokenizer") -> list[int]:
    """Return what the old tokenizer makes of a token's bytes; of a fragment of a character, by its merges alone."""
    text = text_of(token)
    if text is not None:
        return list(tokenizer.encode(text, add_special_tokens=False).ids)
    return [piece.id for piece in tokenizer.model.tokenize(token)]


def _weights(initialise: Initialise, *, from_last: bool) -> "Callable[[int], list[float]]":
    def shares(num_pieces: int) -> list[float]:
        if initialise == "mean":
            return [1 / num_pieces] * num_pieces
        falling = [_DECAY**i for i in range(num_pieces)]
        ordered = falling[::-1] if from_last else falling
        return [one / sum(falling) for one in ordered]

    return shares


def _load(tokenizer: object) -> ByteLevelBPE:
    return tokenizer if isinstance(tokenizer, ByteLevelBPE) else ByteLevelBPE.load(tokenizer)


def _vocabulary(tokenizer: ByteLevelBPE) -> dict[str, int]:
    """Return the id of every token; an added token has the id that the file gives it."""
    return tokenizer.vocab | {token["content"]: token["id"] for token in tokenizer.added_tokens}


def _check_fits(model: Any, old: ByteLevelBPE, embedding: Any, head: Any) -> None:  # noqa: ANN401
    num_rows, largest = embedding.weight.shape[0], max(_vocabulary(old).values())
    if largest >= num_rows:
        raise ValueError(
            f"{old.name} has ids up to {largest} and the model {num_rows} rows; "
            "the old tokenizer must be the one that the model was trained with"
        )
    if head is not None and head.weight.shape[0] != num_rows:
        raise ValueError(f"the embedding has {num_rows} rows and the output layer {head.weight.shape[0]}")
    if list(model.config.get_text_config().to_dict().values()).count(num_rows) > 1:
        return  # a toy, whose vocabulary is as large as its layers are wide
    known = {id(tensor) for layer in (embedding, head) if layer is not None for tensor in layer.parameters()}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if num_rows in tensor.shape and id(tensor) not in known:
            raise ValueError(f"{name} has {num_rows} entries like the vocabulary; such a model cannot be transferred")


def _set(layer: Any, name: str, value: "torch.Tensor") -> None:  # noqa: ANN401
    from torch.nn import Parameter  # noqa: PLC0415

    setattr(layer, name, Parameter(value, requires_grad=getattr(layer, name).requires_grad))


def _finish(model: Any, embedding: Any, plan: _Plan) -> None:  # noqa: ANN401
    """Tell the number of tokens to all who keep it."""
    num_tokens = len(plan.old_ids)
    embedding.num_embeddings = num_tokens
    if embedding.padding_idx is not None:
        embedding.padding_idx = plan.new_id.get(embedding.padding_idx)
    model.config.get_text_config().vocab_size = num_tokens
    for owner in (model, model.base_model):
        if hasattr(owner, "vocab_size"):
            owner.vocab_size = num_tokens
        if hasattr(owner, "padding_idx"):
            owner.padding_idx = embedding.padding_idx


def _renumber_special_ids(model: Any, plan: _Plan) -> dict[str, tuple[Any, Any]]:  # noqa: ANN401
    """Renumber in place; an id whose token is gone becomes None, or leaves its list."""
    changes: dict[str, tuple[Any, Any]] = {}
    for where, config in _configs(model):
        for name, value in list(vars(config).items()):
            if not name.endswith("_token_id") and name not in _ID_LISTS:
                continue
            if isinstance(value, list):
                ids: Any = [plan.new_id[one] for one in value if one in plan.new_id] or None
            else:
                ids = plan.new_id.get(value)
            if ids != value:
                setattr(config, name, ids)
                changes[f"{where}.{name}"] = (value, ids)
    return changes


def _configs(model: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401
    yield "config", model.config
    if model.config.get_text_config() is not model.config:
        yield "text_config", model.config.get_text_config()
    if getattr(model, "generation_config", None) is not None:
        yield "generation_config", model.generation_config
