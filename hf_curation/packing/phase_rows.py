"""The rows of one phase of training, planned a block of documents at a time.

Documents are shuffled over the whole store (`order`), cut into equal blocks of at most 131,072, and each block is
packed for itself. Best fit loses next to nothing by it: a million documents with log-normal lengths need 271,611 rows
of 2,048 tokens instead of 271,605, and 271,787 in blocks of 4,096. A block is a pure function of store, seed and its
number, so that no process keeps a plan: a survey at the start counts the rows of every block (0.6 us a document), and
rows are then read in order, so that every block is planned once more, in 0.1 s. Two blocks are held, 5 MB each, and
planning one takes 19 MB, however many documents there are. Rows read at random would plan a block for each.

One block is the plan that earlier releases made of everything, byte for byte.
"""

from bisect import bisect_right
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hf_curation.packing.order import DocumentOrder
from hf_curation.packing.plan import DocumentLengths, PackPlan, make_plan
from hf_curation.packing.prefixes import Prefixes
from hf_curation.packing.schedule import Phase, Schedule
from hf_curation.packing.segments import SpecialTokens
from hf_curation.packing.store import TokenStore

Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]

_MAX_HELD: Final = 2
"""Blocks; DataLoader workers and whoever checks their batches are never further apart than that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planning:
    """How the documents of a phase become rows."""

    kind: str
    """A key of `PLANS`."""
    seq_len: int
    seed: int
    """Of the order of rows."""
    phase: Phase
    schedule: Schedule
    special: SpecialTokens


@dataclass(frozen=True, slots=True)
class Block:
    """The rows of one block of documents, as many as it gives."""

    plan: PackPlan
    """Documents by their index in the store."""
    is_conditioned_P: BoolArray
    """Shape (P,): whether the document of a piece carries its prefix."""
    figures_R1: Int64Array
    """Shape (R + 1, 4): sums of the fields of `RowFigures` over the rows before each, then over all."""


class PhaseRows:
    """The rows of one phase.

    Args:
        store: Where its documents are.
        prefixes: Theirs.
        order: Of the store's documents.
        places: Which stretch of the order belongs to the phase.
        planning: How they are laid out.

    Raises:
        ValueError: if a document cannot be laid out; see `make_plan`.
    """

    def __init__(
        self, store: TokenStore, prefixes: Prefixes, order: DocumentOrder, places: range, planning: Planning
    ) -> None:
        self.store, self.prefixes, self.order, self.places, self.planning = store, prefixes, order, places, planning
        self.num_blocks = max(1, -(-len(places) // order.block_documents))
        self._held: dict[int, Block] = {}
        self._survey()

    @property
    def num_rows(self) -> int:
        """Rows that the documents give."""
        return self._first_B1[-1]

    def documents(self, row: int) -> list[int]:
        """Return the documents of one row, as indices in the store."""
        block, pieces = self._locate(row)
        documents: list[int] = block.plan.document_P[pieces].tolist()
        return documents

    def figures(self, first: int, count: int) -> list[int]:
        """Return the values of `RowFigures` for `count` rows from `first` on; behind the last row comes the first."""
        rounds, rest = divmod(first + count, self.num_rows)
        values: list[int] = (rounds * self._sums_B1[-1] + self._sums_before(rest) - self._sums_before(first)).tolist()
        return values

    def segments(self, row: int) -> list[dict[str, Any]]:
        """Return the documents of one row, as `MeCoDataCollator` takes them."""
        block, pieces = self._locate(row)
        plan = block.plan
        columns = (plan.document_P, plan.start_P, plan.length_P, plan.tail_P, block.is_conditioned_P)
        pieces_of_row = zip(*(column[pieces].tolist() for column in columns), strict=True)
        return [
            {
                "input_ids": self.store.tokens(document, start, length),
                "metadata_ids": self.prefixes.ids(document) if is_conditioned else (),
                "ends": tail > 0,
                "document": document,
            }
            for document, start, length, tail, is_conditioned in pieces_of_row
        ]

    def block(self, index: int) -> Block:
        """Return the rows of a block, planned where they are not held."""
        block = self._held.get(index)
        if block is None:
            for oldest in list(self._held)[: len(self._held) + 1 - _MAX_HELD]:
                self._held.pop(oldest, None)
            self._held[index] = block = self._plan(index)
        return block

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_held": {}}

    def _survey(self) -> None:
        """Plan every block once: where its rows begin, what they sum up to, what all of them are."""
        digest = sha256(self.store.fingerprint.encode())
        first_B1, sums_B1 = [0], [np.zeros(4, dtype=np.int64)]
        for index in range(self.num_blocks):
            block = self.block(index)
            plan = block.plan
            for column in (plan.rows_R1, plan.document_P, plan.start_P, plan.length_P, plan.tail_P):
                digest.update(column.tobytes())
            first_B1.append(first_B1[-1] + plan.num_rows)
            sums_B1.append(sums_B1[-1] + block.figures_R1[-1])
        for documents, table in zip(pairwise(self.prefixes.first_S1), self.prefixes.spans, strict=True):
            digest.update(self._is_conditioned(np.arange(*documents)).tobytes())
            digest.update(table.row_D.tobytes() + table.ids_T.tobytes() + table.starts_R1.tobytes())
        self._first_B1, self._sums_B1 = first_B1, np.array(sums_B1)
        self.fingerprint = digest.hexdigest()
        """sha256 of what these rows hold, token for token, and of their order."""

    def _locate(self, row: int) -> tuple[Block, slice]:
        """Return the block of a row, and its pieces there."""
        index = bisect_right(self._first_B1, row) - 1
        block, at = self.block(index), row - self._first_B1[index]
        return block, slice(*block.plan.rows_R1[at : at + 2].tolist())

    def _sums_before(self, row: int) -> Int64Array:
        index = bisect_right(self._first_B1, row) - 1
        rest = row - self._first_B1[index]
        sums: Int64Array = self._sums_B1[index] + (self.block(index).figures_R1[rest] if rest else 0)
        return sums

    def _plan(self, index: int) -> Block:
        """Pack the documents of a block."""
        num, num_blocks, how = len(self.places), self.num_blocks, self.planning
        cuts = (self.places.start + part * num // num_blocks for part in (index, index + 1))
        documents_D = np.sort(self.order.stretch(*cuts))
        is_conditioned_D = self._is_conditioned(documents_D)
        prefix_D = self.prefixes.lengths(documents_D) * is_conditioned_D
        lengths = DocumentLengths(
            body_D=self.store.lengths(documents_D),
            head_D=how.special.num_bos + prefix_D,
            tail_D=np.full(len(documents_D), how.special.num_eos),
        )
        plan = make_plan(how.kind, lengths, seq_len=how.seq_len, seed=how.seed, block=index, documents_D=documents_D)
        place_P = np.searchsorted(documents_D, plan.document_P)
        return Block(plan, is_conditioned_D[place_P], _sums(plan, prefix_D[place_P], how.special.num_bos))

    def _is_conditioned(self, documents_D: Int64Array) -> BoolArray:
        schedule, phase = self.planning.schedule, self.planning.phase
        if not schedule.is_mixed(phase):
            return np.full(len(documents_D), schedule.is_conditioned(phase, ""))
        ids = self.store.ids(documents_D)
        return np.fromiter((schedule.is_conditioned(phase, i) for i in ids), dtype=np.bool_, count=len(ids))


def place_of_share(store: TokenStore, order: DocumentOrder, share: float) -> int:
    """Return the place of an order up to which documents hold less than `share` of the store's tokens."""
    wanted, seen = share * store.num_tokens, 0
    for first in range(0, len(order), order.block_documents):
        seen_D = seen + np.cumsum(store.lengths(order.stretch(first, first + order.block_documents)))
        if seen_D[-1] >= wanted:
            return first + int(np.searchsorted(seen_D, wanted))
        seen = seen_D[-1]
    return len(order)


def _sums(plan: PackPlan, prefix_P: Int64Array, num_bos: int) -> Int64Array:
    """Return `Block.figures_R1`."""
    tokens_P = num_bos + prefix_P + plan.length_P + plan.tail_P
    columns = (np.ones_like(prefix_P), prefix_P > 0, tokens_P, prefix_P)
    return np.stack([np.append(0, np.cumsum(column_P))[plan.rows_R1] for column_P in columns], axis=1)
