"""Greedy decoding of one batch of prompts, each row stopped at the end of its program.

The programs are those that `generate` of transformers writes for one prompt after the other, with the model's own
sampling settings out of the way: a model that ships `repetition_penalty` would otherwise be pushed off the markers it
has to repeat. They are written in fewer and fuller passes (`writing`), or by `generate` itself (`generating`).
"""

from collections.abc import Sequence

from hf_curation.refiners.base import Window
from hf_curation.refiners.causal_lm.decoder_parts import Completion, DecoderParts


class Decoder(DecoderParts):
    """Writes programs, by the fastest way that suits its model."""

    __slots__ = ()

    def complete(self, prompts: Sequence[Sequence[int]], windows: Sequence[Window]) -> list[Completion]:
        """Return one completion per prompt of token ids; `windows` bound the grammars, one per prompt."""
        import torch  # noqa: PLC0415

        from hf_curation.refiners.causal_lm.generating import generate  # noqa: PLC0415
        from hf_curation.refiners.causal_lm.rows import suits  # noqa: PLC0415
        from hf_curation.refiners.causal_lm.writing import write  # noqa: PLC0415

        with torch.inference_mode():
            written = (write if suits(self.model) else generate)(self, prompts, windows)
        return [self.finish(ids, is_cut, window) for (ids, is_cut), window in zip(written, windows, strict=True)]
