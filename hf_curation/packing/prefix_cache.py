"""The prefix tables of a store, kept beside it: 100,000 documents are read in 8 ms, encoded in 1.3 s.

    STORE/prefixes/<digest>.safetensors               of a store of one span
    STORE/prefixes/<digest>-0-131072.safetensors      and so on: of one with more

The name is the sha256 of everything that a table depends on (`metadata.identity`, and the store's own fingerprint),
so that it is never stale: another template, tokenizer, store or release is another file. Files are written beside
their name and renamed, so processes that start together may all write; each one that finds no table makes its own.
A table that is not whole, or does not fit its documents, is made again. A folder that cannot be written to costs time
and memory, not the run.
"""

import logging
from hashlib import sha256
from pathlib import Path
from typing import Final

import numpy as np

from hf_curation.files.atomic import canonical_json, write_whole
from hf_curation.metadata import PrefixEncoder
from hf_curation.metadata.identity import encoder_digest
from hf_curation.packing.order import BLOCK_DOCUMENTS
from hf_curation.packing.prefix_table import PrefixTable
from hf_curation.packing.prefixes import Prefixes, prefix_table, spans_of
from hf_curation.packing.store import TokenStore

logger = logging.getLogger(__name__)

MIN_DOCUMENTS: Final = 10_000
"""Below, a table is made faster than a tokenizer is digested."""
_SCHEMA_VERSION: Final = 1


def cached_prefixes(
    store: TokenStore, encoder: PrefixEncoder, *, write: bool = True, span_documents: int = BLOCK_DOCUMENTS
) -> Prefixes:
    """Return the prefixes of all documents, from the disk where they are there.

    Args:
        store: The documents.
        encoder: What is written in front of them.
        write: Keep tables that had to be made. Of several processes one is enough.
        span_documents: Documents of a table.

    Raises:
        ValueError: if the template names a column that the store does not hold.
    """
    spans = spans_of(len(store), span_documents)
    path = table_path(store, encoder) if len(store) >= MIN_DOCUMENTS else None
    if path is None:
        return Prefixes([prefix_table(store, encoder, documents) for documents in spans])
    paths = [path.with_stem(f"{path.stem}-{one.start}-{one.stop}") for one in spans] if len(spans) > 1 else [path]
    places = zip(paths, spans, strict=True)
    return Prefixes([_cached_table(*place, store, encoder, write) for place in places])


def table_path(store: TokenStore, encoder: PrefixEncoder) -> Path | None:
    """Return where the table of a store of one span lies; None where it cannot be told what it depends on."""
    digest = encoder_digest(encoder)
    if digest is None:
        return None
    name = sha256(canonical_json([_SCHEMA_VERSION, store.fingerprint, digest])).hexdigest()
    return store.folder / "prefixes" / f"{name}.safetensors"


def _cached_table(path: Path, documents: range, store: TokenStore, encoder: PrefixEncoder, write: bool) -> PrefixTable:
    found = _read(path, len(documents))
    if found is not None:
        return found
    table = prefix_table(store, encoder, documents)
    if write:
        try:
            write_whole(path, table.to_bytes())
            return PrefixTable.open(path)
        except (OSError, ValueError) as error:
            logger.info("the prefixes are not kept for the next start: %s", error)
    return table


def _read(path: Path, num_documents: int) -> PrefixTable | None:
    """Return the table that lies there; None where there is none that fits."""
    try:
        table = PrefixTable.open(path)
    except FileNotFoundError:
        return None
    except ValueError as error:
        logger.warning("%s is damaged (%s) and made again", path, error)
        return None
    if not _fits(table, num_documents):
        logger.warning("%s is damaged (its arrays do not fit the store) and made again", path)
        return None
    return table


def _fits(table: PrefixTable, num_documents: int) -> bool:
    starts_R1, row_D = table.starts_R1, table.row_D
    return bool(
        len(starts_R1)
        and (starts_R1[0], starts_R1[-1]) == (0, len(table.ids_T))
        and (np.diff(starts_R1) >= 0).all()
        and len(row_D) == num_documents
        and row_D.min() >= 0
        and row_D.max() < len(starts_R1) - 1
    )
