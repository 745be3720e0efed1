"""Greedy decoding of one batch of prompts, each row stopped at the end of its program.

`generate` of transformers with the model's own sampling settings out of the way: a model that ships
`repetition_penalty` would otherwise be pushed off the markers it has to repeat. Rows are padded on the left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hf_curation.refiners.base import Stage, Window
from hf_curation.refiners.causal_lm.constrain import GrammarMask, Grammars
from hf_curation.refiners.causal_lm.ending import is_over

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_CHECK_EVERY = 16


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote after one prompt."""

    text: str
    num_tokens: int
    finish_reason: str
    """`stop` or `length`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoder:
    """A model, its tokenizer, and how its programs end."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    stage: Stage
    eos_ids: tuple[int, ...]
    max_new_tokens: int
    grammars: Grammars | None = None
    """None: free decoding."""

    def complete(self, prompts: Sequence[Sequence[int]], windows: Sequence[Window]) -> list[Completion]:
        """Return one completion per prompt of token ids; `windows` bound the grammars, one per prompt."""
        import torch  # noqa: PLC0415
        from transformers import GenerationConfig  # noqa: PLC0415

        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else self.eos_ids[0]
        longest = max(map(len, prompts))
        # Shapes: B = prompts, T = tokens of the longest prompt.
        ids_BT = torch.tensor([[pad] * (longest - len(ids)) + list(ids) for ids in prompts])
        mask_BT = torch.tensor([[0] * (longest - len(ids)) + [1] * len(ids) for ids in prompts])
        watch = _Watch(self, longest, len(prompts))
        with torch.inference_mode():
            output = self.model.generate(
                ids_BT.to(self.model.device),
                attention_mask=mask_BT.to(self.model.device),
                generation_config=GenerationConfig(
                    do_sample=False,
                    max_new_tokens=self.max_new_tokens,
                    eos_token_id=list(self.eos_ids),
                    pad_token_id=pad,
                ),
                logits_processor=[GrammarMask(self.grammars, windows)] if self.grammars else [],
                stopping_criteria=[watch],
            )
        rows = output[:, longest:].tolist()
        return [
            self._finish(ids if length is None else ids[:length], length is None, window)
            for ids, length, window in zip(rows, watch.lengths, windows, strict=True)
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids, control tokens left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _finish(self, ids: Sequence[int], is_cut: bool, window: Window) -> Completion:
        text = self.decode(ids)
        if is_cut and self.grammars is not None:
            whole = self.grammars.num_whole(window, ids)
            text = self.decode(ids[:whole]) if whole else self.grammars.keep_program
            text += "\n"  # tells the parser that the last call is not torn, whatever its quotes look like
        return Completion(text, len(ids), "length" if is_cut else "stop")


class _Watch:
    """A stopping criterion of transformers, row by row; remembers how many tokens of each row count."""

    def __init__(self, decoder: Decoder, prompt_length: int, num_rows: int) -> None:
        self.lengths: list[int | None] = [None] * num_rows
        """Tokens before the end of each row's program; None while it goes on."""
        self._decoder = decoder
        self._prompt_length = prompt_length

    def __call__(self, input_ids: "torch.Tensor", scores: Any, **_: Any) -> "torch.Tensor":  # noqa: ANN401
        import torch  # noqa: PLC0415

        step = input_ids.shape[1] - self._prompt_length
        for row, token in enumerate(input_ids[:, -1].tolist()):
            if self.lengths[row] is None:
                if token in self._decoder.eos_ids:
                    self.lengths[row] = step - 1
                elif self._has_ended(input_ids[row, self._prompt_length :], token, step):
                    self.lengths[row] = step
        return torch.tensor([length is not None for length in self.lengths], device=input_ids.device)

    def _has_ended(self, ids: "torch.Tensor", token: int, step: int) -> bool:
        if step % _CHECK_EVERY and "\n" not in self._decoder.tokenizer.decode([token]):
            return False
        return is_over(self._decoder.decode(ids.tolist()), self._decoder.stage)
