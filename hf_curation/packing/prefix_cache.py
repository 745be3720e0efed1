"""The prefix table of a store, kept beside it: 100,000 documents are read in 8 ms, encoded in 1.3 s.

    STORE/prefixes/<digest>.safetensors

The name is the sha256 of everything that the table depends on (`metadata.identity`, and the store's own fingerprint),
so that a table is never stale: another template, tokenizer, store or release is another file. Files are written beside
their name and renamed, so processes that start together may all write; each one that finds no table makes its own.
A table that is not whole, or does not fit its store, is made again. A folder that cannot be written to costs time, not
the run.
"""

import logging
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from hf_curation.files.atomic import canonical_json, write_whole
from hf_curation.metadata import PrefixCounts, PrefixEncoder
from hf_curation.metadata.identity import encoder_digest
from hf_curation.packing.prefixes import PrefixTable, prefix_table
from hf_curation.packing.store import TokenStore

logger = logging.getLogger(__name__)

MIN_DOCUMENTS: Final = 10_000
"""Below, a table is made faster than a tokenizer is digested."""
_SCHEMA_VERSION: Final = 1
_COUNTS: Final = "counts"


def cached_prefix_table(store: TokenStore, encoder: PrefixEncoder, *, write: bool = True) -> PrefixTable:
    """Return the table of `prefix_table`, from the disk where it is there.

    Args:
        store: The documents.
        encoder: What is written in front of them.
        write: Keep a table that had to be made. Of several processes one is enough.

    Raises:
        ValueError: if the template names a column that the store does not hold.
    """
    path = table_path(store, encoder) if len(store) >= MIN_DOCUMENTS else None
    if path is None:
        return prefix_table(store, encoder)
    if (table := _read(path, len(store))) is not None:
        return table
    table = prefix_table(store, encoder)
    if write:
        try:
            write_whole(path, _to_bytes(table))
        except OSError as error:
            logger.info("the prefixes are not kept for the next start: %s", error)
    return table


def table_path(store: TokenStore, encoder: PrefixEncoder) -> Path | None:
    """Return where the table of this store and encoder lies; None where it cannot be told what it depends on."""
    digest = encoder_digest(encoder)
    if digest is None:
        return None
    name = sha256(canonical_json([_SCHEMA_VERSION, store.fingerprint, digest])).hexdigest()
    return store.folder / "prefixes" / f"{name}.safetensors"


def _to_bytes(table: PrefixTable) -> bytes:
    from safetensors.numpy import save  # noqa: PLC0415

    counts = table.counts
    missing = [[*key, number] for key, number in sorted(counts.missing.items())]
    facts = {"num_documents": counts.num_documents, "num_prefixed": counts.num_prefixed, "missing": missing}
    arrays: dict[str, Any] = {"ids_T": table.ids_T, "starts_R1": table.starts_R1, "row_D": table.row_D}
    return bytes(save(arrays, metadata={_COUNTS: canonical_json(facts).decode()}))


def _read(path: Path, num_documents: int) -> PrefixTable | None:
    """Return the table that `_to_bytes` wrote; None where there is none that fits."""
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415

    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in ("ids_T", "starts_R1", "row_D")}
            facts: dict[str, Any] = orjson.loads(file.metadata()[_COUNTS])
        counts = PrefixCounts(facts["num_documents"], facts["num_prefixed"])
        counts.missing.update({(kind, reason): number for kind, reason, number in facts["missing"]})
    except FileNotFoundError:
        return None
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        logger.warning("%s is damaged (%s) and made again", path, error)
        return None
    table = PrefixTable(**arrays, counts=counts)
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
