"""Do packed documents see each other? Ask the model instead of trusting its settings.

Packing rests on `position_ids` that restart at each document. An `attention_mask` beside them, a KV cache, missing
`position_ids`, or FlashAttention on more than one row switches the separation off, and nothing warns: a logit of a
two-layer Llama then moves by 0.25, against 6e-8 where it works. `check_no_leakage` packs a few documents with your
collator, runs them through your model, and compares with each document alone. Large logits round by more than that:
where SmolLM2-135M computes in float32 by 6e-4, in bfloat16 by 0.6. So a difference counts only if other neighbours
change it; shapes are the same then, and masked tokens add exactly nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import torch

_LENGTHS: Final = ((7, 12), (9, 5))
"""Tokens of the documents in each packed row; two rows, since a kernel may separate documents in single rows only."""


class LeakageError(RuntimeError):
    """Documents of a packed batch see each other."""


def check_no_leakage(
    model: Any,  # noqa: ANN401 - a causal language model of transformers
    collator: Any,  # noqa: ANN401 - a data collator
    *,
    features: Sequence[Mapping[str, Any]] | None = None,
    tolerance: float | None = None,
) -> float:
    """Return the largest difference of a logit between packed and separate documents.

    The model is called as training calls it, with everything that the collator returns but the labels, in evaluation
    mode; its mode and the random state stay as they were.

    Args:
        model: As it is trained.
        collator: Called with several features for the packed batch, and with each document alone.
        features: What to pack; rows of a `MeCoDataset`, or one feature a document. None: random tokens.
        tolerance: Difference that needs no second look, and that other neighbours may make; None: 1e-4, and in half
            precision 2 % of the largest logit.

    Raises:
        LeakageError: if the difference is larger, with what in the batch is known to cause it.
        ValueError: if a document cannot be found again in the packed batch.
    """
    features = features or _random_rows(model)
    documents = [document for feature in features for document in _documents(feature)]
    packed = collator(list(features))
    difference, largest = 0.0, 0.0
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            packed_logits = _logits(model, packed)
            places = list(_places(packed["input_ids"], (collator([doc])["input_ids"] for doc in documents)))
            for row, at, ids in places:
                alone = _logits(model, {"input_ids": ids[None]})[0]
                there = packed_logits[row, at : at + len(ids)]
                difference = max(difference, float((there - alone).abs().max()))
                largest = max(largest, float(alone.abs().max()))
            if tolerance is None:
                tolerance = 1e-4 if _dtype(model) in (torch.float32, torch.float64) else 0.02 * largest
            is_mixed = not difference <= tolerance and _neighbours_matter(
                model, packed, packed_logits, places, tolerance
            )
    finally:
        model.train(was_training)
    if is_mixed:
        raise LeakageError(
            f"packed documents see each other: logits differ by up to {difference:.2g} from those of the documents "
            f"alone (rounding: {tolerance:.1g}); {_cause(model, packed)}"
        )
    return difference


def _neighbours_matter(
    model: Any,  # noqa: ANN401
    packed: Mapping[str, Any],
    before: torch.Tensor,
    places: Sequence[tuple[int, int, torch.Tensor]],
    tolerance: float,
) -> bool:
    """Tell whether logits of every second document move when the others hold other tokens, and the other way round.

    `before` are the logits of `packed`.
    """
    vocabulary = int(model.config.vocab_size)
    for parity in (0, 1):
        changed = packed["input_ids"].clone()
        for row, at, ids in places[1 - parity :: 2]:
            changed[row, at : at + len(ids)] = (ids + 1) % vocabulary
        after = _logits(model, {**packed, "input_ids": changed})
        for row, at, ids in places[parity::2]:
            there = slice(at, at + len(ids))
            if not float((after[row, there] - before[row, there]).abs().max()) <= tolerance:
                return True
    return False


def _documents(feature: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return a feature's documents as features of their own."""
    return [{"segments": [part]} for part in feature["segments"]] if "segments" in feature else [feature]


def _random_rows(model: Any) -> list[dict[str, Any]]:  # noqa: ANN401
    generator = torch.Generator().manual_seed(0)
    vocabulary = int(model.config.vocab_size)
    low = min(8, vocabulary // 2)  # special tokens lie at the front of most vocabularies

    def document(length: int) -> dict[str, Any]:
        ids = torch.randint(low, vocabulary, (length,), generator=generator)
        return {"input_ids": ids.tolist(), "metadata_ids": ()}

    return [{"segments": [document(length) for length in row]} for row in _LENGTHS]


def _places(packed_BT: torch.Tensor, documents: Iterable[torch.Tensor]) -> Iterable[tuple[int, int, torch.Tensor]]:
    """Yield row and first position of each document in the packed batch, and its ids."""
    for number, ids_1T in enumerate(documents):
        ids = ids_1T[0]
        if packed_BT.shape[1] < len(ids):
            raise ValueError(f"document {number} is longer than the packed batch: the collator cuts it")
        hits = (packed_BT.unfold(1, len(ids), 1) == ids).all(-1).nonzero()
        if not len(hits):
            raise ValueError(
                f"document {number} is not whole in the packed batch: pass features that the collator keeps"
            )
        row, at = hits[0].tolist()
        yield row, at, ids


def _logits(model: Any, batch: Mapping[str, Any]) -> torch.Tensor:  # noqa: ANN401
    device = next(model.parameters()).device
    inputs = {
        name: value.to(device) if isinstance(value, torch.Tensor) else value
        for name, value in batch.items()
        if name != "labels"
    }
    logits: torch.Tensor = model(**inputs).logits
    return logits.float().cpu()


def _dtype(model: Any) -> torch.dtype:  # noqa: ANN401
    dtype: torch.dtype = next(model.parameters()).dtype
    return dtype


def _cause(model: Any, packed: Mapping[str, Any]) -> str:  # noqa: ANN401
    """Return what is known to switch the separation off."""
    attention = str(getattr(model.config, "_attn_implementation", ""))
    if packed.get("attention_mask") is not None:
        return "leave attention_mask out of packed batches"
    if "position_ids" not in packed:
        return "the collator gives no position_ids: they must restart at each document"
    if getattr(model.config, "use_cache", False):
        return "set model.config.use_cache=False, as the Trainer does"
    if "flash" in attention and "cu_seq_lens_q" not in packed:
        return "FlashAttention needs the borders: use MeCoDataCollator(layout='flattened')"
    return f"attention implementation {attention!r} does not separate documents by position_ids: choose another"
