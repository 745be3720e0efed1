"""The metadata prefix of every document of a store, as token ids, once.

Few prefixes serve many documents (a host has hundreds of pages), so a table holds each distinct prefix once and, for
every document, its row: 4 bytes a document. Plans need the lengths, the data set the ids; neither encodes again.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hf_curation.metadata import PrefixCounts, PrefixEncoder
from hf_curation.packing.plan import DocumentLengths
from hf_curation.packing.segments import SpecialTokens
from hf_curation.packing.store import TokenStore


@dataclass(frozen=True, slots=True)
class PrefixTable:
    """Distinct prefixes end to end, and which document has which."""

    ids_T: npt.NDArray[np.uint32]
    """Shape (T,): token ids of all distinct prefixes; the first prefix is empty: none."""
    starts_R1: npt.NDArray[np.int64]
    """Shape (R + 1,): where each begins, then T."""
    row_D: npt.NDArray[np.int32]
    """Shape (D,): which prefix a document has, 0 for none."""
    counts: PrefixCounts
    """Documents with a prefix, and why others have none."""

    def ids(self, document: int) -> npt.NDArray[np.uint32]:
        """Return the prefix of a document; empty when it has none."""
        row = self.row_D[document]
        return self.ids_T[self.starts_R1[row] : self.starts_R1[row + 1]]

    @property
    def lengths_D(self) -> npt.NDArray[np.int64]:
        """Shape (D,): tokens of every document's prefix."""
        return np.diff(self.starts_R1)[self.row_D]


def prefix_table(store: TokenStore, encoder: PrefixEncoder) -> PrefixTable:
    """Render and encode the prefix of every document of a store.

    Raises:
        ValueError: if the template names a column that the store does not hold.
    """
    columns = sorted({field.column for field in encoder.template.fields})
    missing = set(columns) - set(store.table.column_names)
    if missing and len(store):
        raise ValueError(
            f"the template {encoder.template.text!r} needs the column {sorted(missing)[0]!r}; the store holds "
            f"{', '.join(name for name in store.table.column_names if name != 'input_ids')}: tokenize again with it"
        )
    rows: dict[tuple[int, ...], int] = {(): 0}
    counts = PrefixCounts()
    row_D = np.zeros(len(store), dtype=np.int32)
    if columns and len(store):
        batches = store.table.select(columns).to_batches()
        for document, metadata in enumerate(row for batch in batches for row in batch.to_pylist()):
            encoded = encoder(metadata)
            counts.add(encoded.prefix)
            row_D[document] = rows.setdefault(encoded.ids, len(rows))
    elif len(store):
        ids = encoder({}).ids
        row_D[:] = rows.setdefault(ids, len(rows))
        counts.num_documents, counts.num_prefixed = len(store), len(store) * bool(ids)
    ids_T = np.array([token for prefix in rows for token in prefix], dtype=np.uint32)
    starts_R1 = np.cumsum([0, *map(len, rows)])
    return PrefixTable(ids_T, starts_R1, row_D, counts)


def document_lengths(
    store: TokenStore, special: SpecialTokens, table: PrefixTable, is_conditioned_D: npt.NDArray[np.bool_]
) -> DocumentLengths:
    """Return what each document takes up in a sequence.

    Args:
        store: The documents.
        special: BOS and EOS.
        table: Their prefixes.
        is_conditioned_D: Shape (D,): whether the document carries its prefix.
    """
    return DocumentLengths(
        body_D=store.lengths_D.astype(np.int64),
        head_D=special.num_bos + table.lengths_D * is_conditioned_D,
        tail_D=np.full(len(store), special.num_eos, dtype=np.int64),
    )
