r"""One document in a training sequence: BOS, metadata, body, EOS, and which of these tokens are trained.

    ids     <bos> URL : example .org \n\n   It rained all day . <eos>
    labels   -100 ....................-100   It rained all day . <eos>

The first token of a segment is never trained: in a packed sequence it would be predicted from the end of another
document. Prefix ids come ready-made and are joined as ids, never as text (`metadata.prefix` says why).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

IGNORE_INDEX: Final = -100
"""Label of a token that is not trained (the default of torch's cross-entropy)."""

Int64Array = npt.NDArray[np.int64]


class LossOnMetadata(StrEnum):
    """What the model learns of the metadata itself."""

    MASKED = "masked"
    """In front of the document, not trained: the paper."""
    TRAINED = "trained"
    """In front of the document, trained like text."""
    APPENDED = "appended"
    """Behind the document, trained: the model predicts the source from the text."""


class HasSpecialTokens(Protocol):
    """A tokenizer, as far as segments look at it."""

    bos_token_id: int | None
    eos_token_id: int | None


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """What stands around every document; None: the tokenizer has no such token, and nothing is written."""

    bos: int | None
    eos: int | None

    @classmethod
    def of(cls, tokenizer: HasSpecialTokens) -> "SpecialTokens":
        """Take BOS and EOS from a tokenizer, whether or not it adds them by itself.

        Bodies are encoded without special tokens, so a tokenizer that adds BOS does not add a second one. A tokenizer
        with one token for both (GPT-2) writes it at both ends.
        """
        return cls(tokenizer.bos_token_id, tokenizer.eos_token_id)

    @property
    def num_bos(self) -> int:
        """Tokens that BOS takes: 0 or 1."""
        return int(self.bos is not None)

    @property
    def num_eos(self) -> int:
        """Tokens that EOS takes: 0 or 1."""
        return int(self.eos is not None)


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of one document, ready to be written into a sequence."""

    body: Sequence[int] | npt.NDArray[np.integer]
    """Token ids of the piece, without special tokens."""
    metadata: Sequence[int] = ()
    """Metadata as token ids; empty when the document is not conditioned."""
    ends: bool = True
    """Whether the piece is followed by EOS."""

    def num_tokens(self, special: SpecialTokens) -> int:
        """Return the tokens it takes up."""
        return special.num_bos + len(self.metadata) + len(self.body) + (special.num_eos if self.ends else 0)


def write_segment(
    segment: Segment, special: SpecialTokens, loss: LossOnMetadata, ids_T: Int64Array, labels_T: Int64Array
) -> int:
    """Write a segment to the front of `ids_T` and `labels_T`; return how many tokens of it are not body or EOS.

    Args:
        segment: What to write.
        special: BOS and EOS.
        loss: Place of the metadata, and whether it is trained.
        ids_T: Written; exactly `segment.num_tokens(special)` long.
        labels_T: Written; as long.
    """
    num_metadata = len(segment.metadata)
    body_at = special.num_bos + (0 if loss == LossOnMetadata.APPENDED else num_metadata)
    body_end = body_at + len(segment.body)
    if special.bos is not None:
        ids_T[0] = special.bos
    ids_T[body_at:body_end] = segment.body
    if num_metadata:
        at = body_end if loss == LossOnMetadata.APPENDED else special.num_bos
        ids_T[at : at + num_metadata] = segment.metadata
    if segment.ends and special.eos is not None:
        ids_T[-1] = special.eos
    labels_T[:] = ids_T
    labels_T[: body_at if loss == LossOnMetadata.MASKED else 1] = IGNORE_INDEX
    if len(labels_T):
        labels_T[0] = IGNORE_INDEX
    return special.num_bos + num_metadata
