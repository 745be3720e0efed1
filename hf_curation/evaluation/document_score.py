"""Bits per byte: the loss of a language model on text, in a unit that does not depend on its tokenizer.

Both sums are over the document alone. Metadata in front is context: its tokens add no bits, its characters no bytes.
So figures with the right prefix, a wrong one and none are about the same bytes, in the same tokens. Adding the prefix
to either sum would reward it for being easy to predict, or punish it for not being.

Means are over bytes, not over documents: bits of all documents by bytes of all documents.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DocumentScore:
    """What a model makes of one document."""

    log_likelihood: float
    """Natural log, summed over the document's own tokens."""
    num_tokens: int
    """Tokens that were scored."""
    num_bytes: int
    """UTF-8 bytes that these tokens spell."""
    num_prefix_tokens: int = 0
    """Metadata tokens in front; in neither sum."""

    @property
    def bits_per_byte(self) -> float:
        """Bits per byte of this document."""
        return bits_per_byte([self])


def bits_per_byte(scores: Iterable[DocumentScore]) -> float:
    """Return the bits per byte over all documents.

    Raises:
        ValueError: if there are no bytes, or a log-likelihood is above 0 or no number.
    """
    nats = num_bytes = 0.0
    for score in scores:
        if not score.log_likelihood <= 0 or math.isinf(score.log_likelihood):
            raise ValueError(f"a log-likelihood must be a finite number of at most 0, got {score.log_likelihood}")
        nats -= score.log_likelihood
        num_bytes += score.num_bytes
    if not num_bytes:
        raise ValueError("bits per byte of no text: there are no documents, or all are empty")
    return nats / math.log(2) / num_bytes


def score_of(log_probs: Sequence[float], text: str, *, num_prefix_tokens: int = 0) -> DocumentScore:
    """Sum the log-probabilities of a document that some model has scored token by token.

    Args:
        log_probs: Natural log-probability of every token in order: the prefix first, where it was scored at all.
        text: The document without its prefix.
        num_prefix_tokens: How many of `log_probs` belong to the prefix.

    Raises:
        ValueError: if `log_probs` has fewer entries than the prefix, or none for a text that is not empty.
    """
    if not 0 <= num_prefix_tokens <= len(log_probs):
        raise ValueError(f"{num_prefix_tokens} prefix tokens in {len(log_probs)} log-probabilities")
    own = log_probs[num_prefix_tokens:]
    if text and not len(own):
        raise ValueError(f"no log-probability for a text of {len(text)} characters")
    return DocumentScore(math.fsum(own), len(own), len(text.encode("utf-8", "surrogatepass")), num_prefix_tokens)
