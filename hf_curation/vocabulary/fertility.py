"""How many tokens a text takes before and after: on the target, and on sentences of many languages beside it.

A vocabulary that gains on its target may lose elsewhere. One sentence a language is no benchmark; it shows at a glance
which scripts fell apart.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hf_curation.vocabulary.plain_encoding import BulkEncoder


@dataclass(frozen=True, slots=True)
class Fertility:
    """Tokens of one sample."""

    sample: str
    num_bytes: int
    num_words: int
    """Between spaces; tells little in languages that write none."""
    tokens_before: int
    tokens_after: int

    @property
    def change(self) -> float:
        """Of the number of tokens: -0.07 is 7 % fewer."""
        return self.tokens_after / self.tokens_before - 1

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def measure_fertility(
    before: BulkEncoder, after: BulkEncoder, samples: Mapping[str, Sequence[str]]
) -> list[Fertility]:
    """Count the tokens of each sample under two tokenizers; samples without a token are left out."""
    found = []
    for name, texts in samples.items():
        num_bytes = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
        num_words = sum(len(text.split()) for text in texts)
        counts = [len(encoder.encode(texts)[0]) for encoder in (before, after)]
        if min(counts):
            found.append(Fertility(name, num_bytes, num_words, *counts))
    return found
