"""Examples as token ids: the prompt as the refiner will be shown it, then the program and the token that ends it.

The prompt comes from the `PromptEncoder` that feeds the model at inference, given the very window, so that the ids are
equal by construction. The program is encoded by itself, since decoding begins behind the prompt's last token, and no
token of a trained sequence may straddle that border.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from hf_curation.refiners.prompts import Preset, PromptEncoder
from hf_curation.refiners.training.examples import Example

_BATCH: Final = 256
"""Windows that are encoded together."""


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """One example in the ids of a tokenizer."""

    prompt: list[int]
    program: list[int]
    """Without the token that ends it."""

    @property
    def num_tokens(self) -> int:
        """Tokens in a row, the end of the program included."""
        return len(self.prompt) + len(self.program) + 1


@dataclass(slots=True)
class EncodedExamples:
    """Examples that fit, and how many did not."""

    examples: list[Example] = field(default_factory=list)
    encoded: list[EncodedExample] = field(default_factory=list)
    """In the order of `examples`."""
    too_long: Counter[str] = field(default_factory=Counter)
    """Examples left out, by stage."""

    def __len__(self) -> int:
        return len(self.examples)


def encode_examples(
    examples: Iterable[Example],
    tokenizer: Any,  # noqa: ANN401 - a transformers tokenizer
    *,
    max_tokens: int,
) -> EncodedExamples:
    """Return the examples of at most `max_tokens` tokens, encoded as at inference.

    Raises:
        ValueError: for a prompt format that the tokenizer cannot spell, or a tokenizer without an end token.
    """
    if tokenizer.eos_token_id is None:
        raise ValueError("this tokenizer has no end-of-text token (eos_token), which every program is followed by")
    found = EncodedExamples()
    for batch, preset in _of_one_format(examples):
        encoder = PromptEncoder(tokenizer, preset)
        prompts = encoder.encode([example.window for example in batch])
        programs = tokenizer([example.program for example in batch], add_special_tokens=False)["input_ids"]
        for example, prompt, program in zip(batch, prompts, programs, strict=True):
            one = EncodedExample(prompt, list(program))
            if one.num_tokens > max_tokens:
                found.too_long[example.stage] += 1
            else:
                found.examples.append(example)
                found.encoded.append(one)
    return found


def _of_one_format(examples: Iterable[Example]) -> Iterable[tuple[Sequence[Example], Preset]]:
    """Yield runs of examples of one prompt format."""
    batch: list[Example] = []
    for example in examples:
        if batch and (len(batch) == _BATCH or _format(example) != _format(batch[0])):
            yield batch, batch[0].prompt_format
            batch = []
        batch.append(example)
    if batch:
        yield batch, batch[0].prompt_format


def _format(example: Example) -> tuple[str, str | None]:
    return example.preset, example.system
