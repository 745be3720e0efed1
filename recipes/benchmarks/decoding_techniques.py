"""The ways to decode that `decoding.py` compares: the plain loop, techniques alone, all together, reading alone."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from transformers import GenerationConfig

from hf_curation.refiners.base import Window
from hf_curation.refiners.causal_lm.constrain import GrammarMask
from hf_curation.refiners.causal_lm.decoding import Decoder
from hf_curation.refiners.causal_lm.drafts import Drafts
from hf_curation.refiners.causal_lm.generating import generate
from hf_curation.refiners.causal_lm.writing import write

PLAIN, ALL, READING = "the plain loop", "all together", "reading alone: the bound"

Written = list[tuple[list[int], bool]]
"""Of each prompt the tokens written, without the end, and whether they were cut off."""
Decode = Callable[[Decoder, Sequence[list[int]], Sequence[Window]], Written]


@dataclass
class Technique:
    """A way to decode, and what came of it."""

    decode: Decode
    decoder: Decoder
    batch_size: int = 1
    seconds: list[float] = field(default_factory=list)
    written: Written = field(default_factory=list)

    def run(self, prompts: Sequence[list[int]], windows: Sequence[Window]) -> None:
        """Decode the prompts of one round, batches sorted by length as the refiner's, and note the CPU time."""
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]), reverse=True)
        written: dict[int, tuple[list[int], bool]] = {}
        start = time.process_time()
        with torch.inference_mode():
            for at in range(0, len(order), self.batch_size):
                rows = order[at : at + self.batch_size]
                done = self.decode(self.decoder, [prompts[i] for i in rows], [windows[i] for i in rows])
                written |= zip(rows, done, strict=True)
        self.seconds.append(time.process_time() - start)
        self.written += [_cut(self.decoder, *written[i]) for i in range(len(prompts))]


def plain_loop(
    decoder: Decoder, prompts: Sequence[list[int]], windows: Sequence[Window], num_guessed: int | None = None
) -> Written:
    """Call `generate` with one prompt after the other."""
    config = GenerationConfig(
        do_sample=False,
        max_new_tokens=decoder.max_new_tokens,
        eos_token_id=list(decoder.eos_ids),
        pad_token_id=decoder.eos_ids[0],
        prompt_lookup_num_tokens=num_guessed,
    )
    written = []
    for prompt, window in zip(prompts, windows, strict=True):
        processors = [GrammarMask(decoder.grammars, [window])] if decoder.grammars else []
        ids = torch.tensor([prompt])
        mask = torch.ones_like(ids)
        output = decoder.model.generate(
            ids, attention_mask=mask, generation_config=config, logits_processor=processors
        )
        new = output[0, len(prompt) :].tolist()
        has_end = new[-1] in decoder.eos_ids
        written.append((new[:-1] if has_end else new, not has_end))
    return written


def prompt_lookup(decoder: Decoder, prompts: Sequence[list[int]], windows: Sequence[Window]) -> Written:
    """Let `generate` guess from repeated pairs of tokens in prompt and program."""
    return plain_loop(decoder, prompts, windows, num_guessed=4)


def _cut(decoder: Decoder, ids: list[int], is_cut: bool) -> tuple[list[int], bool]:
    """Cut the output of a loop that does not notice when a program is over."""
    over = next((n for n in range(1, len(ids) + 1) if decoder.has_ended(ids[:n])), None)
    return (ids, is_cut) if over is None else (ids[:over], False)


def techniques(decoder: Decoder, batch_size: int, *, is_quick: bool) -> dict[str, Technique]:
    """Return every technique by itself and all together; none has seen what another one wrote."""

    def with_only(head: tuple[int, ...] = (), max_draft: int = 0) -> Decoder:
        return replace(decoder, drafts=Drafts(), head_rows=None, head=head, max_draft=max_draft)

    is_free = decoder.grammars is None
    own = {"prompt lookup of transformers": Technique(prompt_lookup, with_only())} if is_free else {}
    sure = "guesses from earlier programs" if is_free else "forced tokens in one pass"
    everything = with_only(decoder.head, decoder.max_draft)
    ends = {
        PLAIN: Technique(plain_loop, with_only()),
        ALL: Technique(write, everything, batch_size),
        READING: Technique(write, replace(everything, drafts=Drafts(), max_new_tokens=1), batch_size),
    }
    if is_quick:
        return ends
    return {
        PLAIN: ends[PLAIN],
        "the common head read once": Technique(write, with_only(decoder.head)),
        **own,
        sure: Technique(write, with_only(max_draft=decoder.max_draft)),
        "padded batches by length": Technique(generate, with_only(), batch_size),
        "batches that ended rows leave": Technique(write, with_only(), batch_size),
        ALL: ends[ALL],
        READING: ends[READING],
    }
