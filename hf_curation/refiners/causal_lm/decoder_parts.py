"""What every way of decoding needs: a model, its tokenizer, and how its programs end."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hf_curation.refiners.base import Stage, Window
from hf_curation.refiners.causal_lm.constrain import Grammars
from hf_curation.refiners.causal_lm.drafts import Drafts
from hf_curation.refiners.causal_lm.ending import is_over

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from hf_curation.refiners.causal_lm.rows import Rows

_CHECK_EVERY = 16


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model wrote after one prompt."""

    text: str
    num_tokens: int
    finish_reason: str
    """`stop` or `length`."""


@dataclass(slots=True, kw_only=True)
class DecoderParts:
    """A model, its tokenizer, and how its programs end. Weights must not change under it: it remembers the head."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerBase"
    stage: Stage
    eos_ids: tuple[int, ...]
    max_new_tokens: int
    grammars: Grammars | None = None
    """None: free decoding."""
    head: tuple[int, ...] = ()
    """Tokens that all prompts begin with; read once."""
    max_draft: int = 8
    """The most tokens that are guessed per row and pass in free decoding; 0: none."""
    drafts: Drafts = field(default_factory=Drafts)
    head_rows: "Rows | None" = None
    """The head as the model has read it; None: not yet."""

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids, control tokens left out."""
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def has_ended(self, ids: Sequence[int]) -> bool:
        """Say, after each token written, whether nothing worth waiting for can follow `ids`."""
        if len(ids) % _CHECK_EVERY and "\n" not in self.tokenizer.decode([ids[-1]]):
            return False
        return is_over(self.decode(ids), self.stage)

    def finish(self, ids: Sequence[int], is_cut: bool, window: Window) -> Completion:
        """Return what was written as a completion; under a grammar, a cut program back at its last whole call."""
        text = self.decode(ids)
        if is_cut and self.grammars is not None:
            whole = self.grammars.num_whole(window, ids)
            text = self.decode(ids[:whole]) if whole else self.grammars.keep_program
            # The line break tells the parser that the last call is not torn, whatever its quotes look like.
            text = text.removesuffix("\n") + "\n"
        return Completion(text, len(ids), "length" if is_cut else "stop")
