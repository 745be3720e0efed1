r"""One document in a training sequence: BOS, metadata, body, EOS, and which of these tokens are trained.

    ids     <bos> URL : example .org \n\n   It rained all day . <eos>
    labels   -100 ....................-100   It rained all day . <eos>

The first token of a segment is never trained: in a packed sequence it would be predicted from the end of another
document. Prefix ids come ready-made and are joined as ids, never as text (`metadata.prefix` says why).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

IGNORE_INDEX: Final = -100
"""Label of a token that is not trained (the default of torch's cross-entropy)."""

Int64Array = npt.NDArray[np.int64]
TokenIds = Sequence[int] | npt.NDArray[np.integer]


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


class Segment(NamedTuple):
    """A piece of one document, ready to be written into a sequence."""

    parts: tuple[TokenIds, ...]
    """Arrays or lists of token ids, in order, none empty."""
    num_tokens: int
    num_masked: int
    """Tokens at the front that are not trained, at least 1."""


class SegmentWriter:
    """Puts documents together from their parts, and sequences from documents.

    All rows of a batch go through here, so it copies each id once and touches Python a few times a document: a
    document costs about 4 microseconds, whatever its length, and a thousand ids another 2.

    Args:
        special: BOS and EOS.
        loss: Place of the metadata, and whether it is trained.
    """

    def __init__(self, special: SpecialTokens, loss: LossOnMetadata) -> None:
        self._bos = () if special.bos is None else (np.array([special.bos]),)
        self._eos = () if special.eos is None else (np.array([special.eos]),)
        self._num_bos, self._num_eos = special.num_bos, special.num_eos
        self._is_appended = loss == LossOnMetadata.APPENDED
        self._is_masked = loss == LossOnMetadata.MASKED
        self._positions = np.arange(1 << 12)

    def segment(self, body: TokenIds, metadata: TokenIds = (), *, ends: bool = True) -> Segment:
        """Return the segment of a piece of a document.

        Args:
            body: Token ids of the piece, without special tokens.
            metadata: Token ids of the metadata; empty when the document is not conditioned.
            ends: Whether the piece is followed by EOS.
        """
        num_body, num_metadata = len(body), len(metadata)
        bodies = (body,) if num_body else ()
        around = (metadata,) if num_metadata else ()
        middle = (*bodies, *around) if self._is_appended else (*around, *bodies)
        num_head = self._num_bos + (0 if self._is_appended else num_metadata)
        num_tokens = self._num_bos + num_metadata + num_body + (self._num_eos if ends else 0)
        parts = (*self._bos, *middle, *(self._eos if ends else ()))
        return Segment(parts, num_tokens, (num_head or 1) if self._is_masked else 1)

    def write(self, row: Sequence[Segment], ids_T: Int64Array, labels_T: Int64Array, positions_T: Int64Array) -> int:
        """Write the segments of one sequence to the front of three arrays; return how many tokens that were."""
        end = sum([segment.num_tokens for segment in row])
        if end > len(self._positions):
            self._positions = np.arange(2 * end)
        if end:
            np.concatenate([part for segment in row for part in segment.parts], out=ids_T[:end], casting="same_kind")
        labels_T[:end] = ids_T[:end]
        at = 0
        for _, num_tokens, num_masked in row:
            labels_T[at : at + min(num_masked, num_tokens)] = IGNORE_INDEX
            positions_T[at : at + num_tokens] = self._positions[:num_tokens]
            at += num_tokens
        return end
