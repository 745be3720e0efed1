"""Greedy decoding by `generate` of transformers, for models that `rows.suits` turns away.

Such are those with sliding windows or recurrent states. One batch, padded on the left, one token a row and pass, until
the last row has ended.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig

from hf_curation.refiners.base import Window
from hf_curation.refiners.causal_lm.constrain import GrammarMask

if TYPE_CHECKING:
    from hf_curation.refiners.causal_lm.decoder_parts import DecoderParts


def generate(
    decoder: "DecoderParts", prompts: Sequence[Sequence[int]], windows: Sequence[Window]
) -> list[tuple[list[int], bool]]:
    """Return what the model writes after each prompt, its end token left out, and whether it was cut off."""
    model, pad = decoder.model, decoder.eos_ids[0]
    longest = max(map(len, prompts))
    # Shapes: B = prompts, T = tokens of the longest prompt.
    ids_BT = torch.tensor([[pad] * (longest - len(ids)) + list(ids) for ids in prompts])
    mask_BT = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts])
    watch = _Watch(decoder, longest, len(prompts))
    output = model.generate(
        ids_BT.to(model.device),
        attention_mask=mask_BT.to(model.device),
        generation_config=GenerationConfig(
            do_sample=False,
            max_new_tokens=decoder.max_new_tokens,
            eos_token_id=list(decoder.eos_ids),
            pad_token_id=pad,
        ),
        logits_processor=[GrammarMask(decoder.grammars, windows)] if decoder.grammars else [],
        stopping_criteria=[watch],
    )
    rows = output[:, longest:].tolist()
    return [(ids[:length], length is None) for ids, length in zip(rows, watch.lengths, strict=True)]


class _Watch:
    """A stopping criterion of transformers, row by row; remembers how many tokens of each row count."""

    def __init__(self, decoder: "DecoderParts", prompt_length: int, num_rows: int) -> None:
        self.lengths: list[int | None] = [None] * num_rows
        """Tokens before the end of each row's program; None while it goes on."""
        self._decoder = decoder
        self._prompt_length = prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:  # noqa: ANN401
        step = input_ids.shape[1] - self._prompt_length
        for row, token in enumerate(input_ids[:, -1].tolist()):
            if self.lengths[row] is None:
                if token in self._decoder.eos_ids:
                    self.lengths[row] = step - 1
                elif self._decoder.has_ended(input_ids[row, self._prompt_length :].tolist()):
                    self.lengths[row] = step
        return torch.tensor([length is not None for length in self.lengths], device=input_ids.device)
