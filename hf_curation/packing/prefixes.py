"""The metadata prefix of every document of a store, as token ids, once: plans need the lengths, the data set the ids.

Documents are rendered and encoded span by span, each span a table of its own, so that what is held meanwhile does not
grow with the store: a host that comes up in several spans stands in each.
"""

from array import array
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hf_curation.metadata import PrefixCounts, PrefixEncoder
from hf_curation.packing.grouping import grouped
from hf_curation.packing.order import BLOCK_DOCUMENTS
from hf_curation.packing.prefix_table import PrefixTable
from hf_curation.packing.store import TokenStore


class Prefixes:
    """The prefixes of all documents of a store.

    Args:
        spans: Tables of consecutive documents, each of as many as the first, but the last, which may have fewer.
    """

    def __init__(self, spans: Sequence[PrefixTable]) -> None:
        self.spans = tuple(spans)
        self._span = len(self.spans[0].row_D)
        self.first_S1: list[int] = np.cumsum([0, *(len(table.row_D) for table in self.spans)]).tolist()
        """First document of each of S spans, then their end."""

    @property
    def counts(self) -> PrefixCounts:
        """Documents with a prefix, and why others have none."""
        counts = PrefixCounts()
        for table in self.spans:
            counts.merge(table.counts)
        return counts

    def ids(self, document: int) -> npt.NDArray[np.uint32]:
        """Return the prefix of a document; empty when it has none."""
        return self.spans[document // self._span].ids(document % self._span)

    def lengths(self, documents_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the tokens of the prefixes of some documents, in whatever order."""
        lengths_N = np.empty(len(documents_N), dtype=np.int64)
        for span, where, rows in grouped(documents_N, self.first_S1):
            lengths_N[where] = self.spans[span].lengths(rows)
        return lengths_N


def spans_of(num_documents: int, span_documents: int = BLOCK_DOCUMENTS) -> list[range]:
    """Return the documents of each span; one, without any, where there are none."""
    starts = range(0, max(num_documents, 1), span_documents)
    return [range(start, min(start + span_documents, num_documents)) for start in starts]


def prefix_table(store: TokenStore, encoder: PrefixEncoder, documents: range | None = None) -> PrefixTable:
    """Render and encode the prefixes of consecutive documents of a store; None: of all.

    Raises:
        ValueError: if the template names a column that the store does not hold.
    """
    documents = range(len(store)) if documents is None else documents
    columns = sorted({field.column for field in encoder.template.fields})
    missing = set(columns) - set(store.table.column_names)
    if missing and len(store):
        raise ValueError(
            f"the template {encoder.template.text!r} needs the column {sorted(missing)[0]!r}; the store holds "
            f"{', '.join(name for name in store.table.column_names if name != 'input_ids')}: tokenize again with it"
        )
    rows: dict[bytes, int] = {b"": 0}
    counts = PrefixCounts()
    row_D = np.zeros(len(documents), dtype=np.int32)
    if columns:
        for place, metadata in enumerate(store.rows(columns, documents)):
            encoded = encoder(metadata)
            counts.add(encoded.prefix)
            row_D[place] = rows.setdefault(array("I", encoded.ids).tobytes(), len(rows))
    elif documents:
        ids = encoder({}).ids
        row_D[:] = rows.setdefault(array("I", ids).tobytes(), len(rows))
        counts.num_documents, counts.num_prefixed = len(documents), len(documents) * bool(ids)
    ids_T = np.frombuffer(b"".join(rows), dtype=np.uint32)
    starts_R1 = np.cumsum([0, *(len(prefix) // ids_T.itemsize for prefix in rows)])
    return PrefixTable(ids_T, starts_R1, row_D, counts)
