"""Pack plans: which pieces of which documents form each training sequence.

A plan holds indices, never tokens: 32 bytes a piece over one tokenized copy of the data. Another metadata field,
another template, no metadata at all or another sequence length is another plan, made in seconds, not another copy.
Of many documents `phase_rows` plans a block at a time.

A piece of a document costs `head` tokens (BOS and metadata prefix), its own tokens, and `tail` tokens (EOS) where it
reaches the document's end. Three ways to pack:

- `truncate`, the MeCo paper's: documents follow one another, every sequence starts with a document, what overflows a
  sequence is cut off and lost.
- `best_fit`: nothing is cut but documents longer than a sequence; best-fit decreasing.
- `split`: long documents become several pieces, each with the prefix repeated, packed by best fit. Nothing is lost.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from hf_curation.packing.best_fit import best_fit_decreasing

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentLengths:
    """What each of D documents takes up, in tokens."""

    body_D: Int64Array
    """Tokens of the document itself, at least 1."""
    head_D: Int64Array
    """Tokens before every piece of it: BOS and metadata prefix."""
    tail_D: Int64Array
    """Tokens after its end: EOS."""

    @property
    def total_D(self) -> Int64Array:
        """Tokens of the whole document as one piece."""
        return self.head_D + self.body_D + self.tail_D


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPlan:
    """R sequences of at most `seq_len` tokens, made of P pieces.

    Pieces of sequence r are `rows_R1[r]:rows_R1[r + 1]`.
    """

    kind: str
    seq_len: int
    seed: int
    rows_R1: Int64Array
    """Shape (R + 1,): first piece of every sequence, then P."""
    document_P: Int64Array
    """Shape (P,): index of the document in the store."""
    start_P: Int64Array
    """Shape (P,): first body token of the piece."""
    length_P: Int64Array
    """Shape (P,): body tokens of the piece."""
    tail_P: Int64Array
    """Shape (P,): tail tokens of the piece; only where it reaches the document's end and the sequence has room."""

    @property
    def num_rows(self) -> int:
        """Number of sequences R."""
        return len(self.rows_R1) - 1


@dataclass(frozen=True, slots=True)
class PlanFigures:
    """What a plan makes of the tokens."""

    num_rows: int
    num_documents: int
    num_pieces: int
    fill: float
    """Share of `num_rows * seq_len` positions that hold a token."""
    lost_tokens: int
    """Body tokens that no sequence holds."""
    lost_share: float
    prefix_share: float
    """Share of placed tokens that are BOS or metadata."""
    truncated_documents: int


def make_plan(
    kind: str,
    lengths: DocumentLengths,
    *,
    seq_len: int,
    seed: int,
    block: int = 0,
    documents_D: Int64Array | None = None,
) -> PackPlan:
    """Lay the documents out in sequences.

    Documents (for `truncate`) and sequences (for the others) are shuffled by `seed`; equal arguments give equal plans.

    Args:
        kind: A key of `PLANS`.
        lengths: What each document takes up.
        seq_len: Tokens per sequence.
        seed: Of the shuffle.
        block: Which of several plans with one seed, each with a shuffle of its own.
        documents_D: Shape (D,): what plan and errors call the documents; None: 0 to D - 1.

    Raises:
        ValueError: for an unknown kind, an empty document, or a head that leaves no room for a document token.
    """
    if kind not in PLANS:
        raise ValueError(f"pack plan must be one of {', '.join(sorted(PLANS))}, got {kind!r}")
    _check(lengths, seq_len, documents_D)
    rng = np.random.Generator(np.random.PCG64(seed).jumped(block))
    rows_R1, document_P, start_P, length_P, tail_P = PLANS[kind](lengths, seq_len, rng)
    return PackPlan(
        kind=kind,
        seq_len=seq_len,
        seed=seed,
        rows_R1=rows_R1,
        document_P=document_P if documents_D is None else documents_D[document_P],
        start_P=start_P,
        length_P=length_P,
        tail_P=tail_P,
    )


def figures_of(plan: PackPlan, lengths: DocumentLengths) -> PlanFigures:
    """Return fill, losses and prefix share of a plan."""
    head = int(lengths.head_D[plan.document_P].sum())
    body = int(plan.length_P.sum())
    placed, all_body = head + body + int(plan.tail_P.sum()), int(lengths.body_D.sum())
    placed_D = np.bincount(plan.document_P, weights=plan.length_P, minlength=len(lengths.body_D)).astype(np.int64)
    return PlanFigures(
        num_rows=plan.num_rows,
        num_documents=len(np.unique(plan.document_P)),
        num_pieces=len(plan.document_P),
        fill=placed / (plan.num_rows * plan.seq_len) if plan.num_rows else 0.0,
        lost_tokens=all_body - body,
        lost_share=(all_body - body) / all_body if all_body else 0.0,
        prefix_share=head / placed if placed else 0.0,
        truncated_documents=int((placed_D < lengths.body_D).sum()),
    )


def _check(lengths: DocumentLengths, seq_len: int, documents_D: Int64Array | None) -> None:
    if not len(lengths.body_D):
        return
    names_D = np.arange(len(lengths.body_D)) if documents_D is None else documents_D
    if lengths.body_D.min() < 1:
        raise ValueError(f"document {names_D[lengths.body_D.argmin()]} has no tokens; leave empty documents out")
    worst = lengths.head_D.argmax()
    if lengths.head_D[worst] >= seq_len:
        raise ValueError(
            f"the prefix of document {names_D[worst]} takes {lengths.head_D[worst]} of {seq_len} tokens and leaves no "
            "room for the document: raise seq_len or shorten the template"
        )


Layout = tuple[Int64Array, Int64Array, Int64Array, Int64Array, Int64Array]
"""rows_R1, document_P, start_P, length_P, tail_P."""


def _truncate(lengths: DocumentLengths, seq_len: int, rng: np.random.Generator) -> Layout:
    order_D = rng.permutation(len(lengths.body_D)).astype(np.int64)
    ends_D = np.cumsum(lengths.total_D[order_D])
    starts_D = ends_D - lengths.total_D[order_D]
    head_D = lengths.head_D[order_D]
    rows, row, num_docs = [0], 0, len(order_D)
    while row < num_docs:
        base = starts_D[row]
        row = int(np.searchsorted(ends_D, base + seq_len, side="right"))  # the first document that does not fit whole
        if row < num_docs:
            # It stays if one of its own tokens does; else it begins the next sequence, and nothing of it is lost.
            row += int(starts_D[row] - base + head_D[row] < seq_len)
        rows.append(row)
    rows_R1 = np.array(rows, dtype=np.int64)
    room_P = lengths.body_D[order_D] + lengths.tail_D[order_D]
    last_R = rows_R1[1:] - 1  # only the last document of a sequence can overflow it
    left_R = seq_len - (starts_D[last_R] - starts_D[rows_R1[:-1]]) - head_D[last_R]
    room_P[last_R] = np.minimum(room_P[last_R], left_R)
    length_P = np.minimum(lengths.body_D[order_D], room_P)
    return rows_R1, order_D, np.zeros_like(order_D), length_P, room_P - length_P


def _best_fit(lengths: DocumentLengths, seq_len: int, rng: np.random.Generator) -> Layout:
    document_P = np.arange(len(lengths.body_D), dtype=np.int64)
    return _pack(lengths, document_P, np.zeros_like(document_P), seq_len, rng)


def _split(lengths: DocumentLengths, seq_len: int, rng: np.random.Generator) -> Layout:
    room_D = seq_len - lengths.head_D
    pieces_D = -(-lengths.body_D // room_D)
    document_P = np.repeat(np.arange(len(room_D), dtype=np.int64), pieces_D)
    first_D = np.cumsum(pieces_D) - pieces_D
    start_P = (np.arange(len(document_P)) - first_D[document_P]) * room_D[document_P]
    return _pack(lengths, document_P, start_P, seq_len, rng)


def _pack(
    lengths: DocumentLengths, document_P: Int64Array, start_P: Int64Array, seq_len: int, rng: np.random.Generator
) -> Layout:
    """Pack pieces that begin at `start_P` and are as long as a sequence allows; sequences come in random order.

    Inside a sequence longer pieces come first.
    """
    room_P = seq_len - lengths.head_D[document_P]
    left_P = lengths.body_D[document_P] - start_P
    length_P = np.minimum(left_P, room_P)
    tail_P = np.where(left_P <= room_P, np.minimum(lengths.tail_D[document_P], room_P - length_P), 0)
    bins_P = best_fit_decreasing(lengths.head_D[document_P] + length_P + tail_P, seq_len)
    num_rows = int(bins_P.max()) + 1 if len(bins_P) else 0
    row_P = rng.permutation(num_rows)[bins_P] if num_rows else bins_P
    order_P = np.lexsort((-length_P, row_P))
    rows_R1 = np.concatenate([[0], np.cumsum(np.bincount(row_P, minlength=num_rows))]).astype(np.int64)
    return rows_R1, document_P[order_P], start_P[order_P], length_P[order_P], tail_P[order_P]


PLANS: Final[dict[str, Callable[[DocumentLengths, int, np.random.Generator], Layout]]] = {
    "truncate": _truncate,
    "best_fit": _best_fit,
    "split": _split,
}
"""Name -> how it lays documents out."""
