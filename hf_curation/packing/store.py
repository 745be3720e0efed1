"""The token store: one tokenized copy of the data, read by memory map, shared by every pack plan.

A store is a folder of Arrow IPC files, `tokens/00000.arrow` and on, that `datasets.load_dataset("arrow", ...)` reads
too. A row is a document: its id, its token ids without special tokens or prefix, and the metadata columns from which
prefixes are made at training time. Ids are uint16 where the vocabulary allows, else uint32: 2 or 4 bytes a token.

`store.json`, written last, names the shards in order with their rows and tokens, and the tokenizer by the hash of its
vocabulary: training with another tokenizer than the one that wrote the store is refused.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa

from hf_curation.files.atomic import PartFile, canonical_json, write_json
from hf_curation.packing.grouping import grouped

SCHEMA_VERSION: Final = 1
BATCH_DOCUMENTS: Final = 16_384

TokenArray = npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One file of a store."""

    name: str
    num_documents: int
    num_tokens: int
    sha256: str


class HasVocabulary(Protocol):
    """A tokenizer, as far as the store looks at it (`transformers`, or `tokenizers` by its own `get_vocab`)."""

    def get_vocab(self) -> dict[str, int]:
        """Return token -> id."""


def vocabulary_hash(tokenizer: HasVocabulary) -> str:
    """Return the sha256 of a tokenizer's vocabulary: equal hashes give ids the same meaning."""
    return sha256(canonical_json(sorted(tokenizer.get_vocab().items()))).hexdigest()


def token_dtype(max_token_id: int) -> pa.DataType:
    """Return the narrowest Arrow type for ids up to `max_token_id`."""
    return pa.uint16() if max_token_id < 1 << 16 else pa.uint32()


class ShardWriter:
    """Writes one shard, which is at its final name whole, or not there; `discard` in the end, whatever happened.

    Args:
        path: Where the shard goes, ending in `.arrow`.
        token_type: From `token_dtype`.
        columns: Metadata columns with their Arrow types, the same for every shard of a store.
    """

    def __init__(self, path: Path, token_type: pa.DataType, columns: Mapping[str, pa.DataType]) -> None:
        fields = [("id", pa.string()), ("input_ids", pa.large_list(token_type)), *columns.items()]
        self.schema = pa.schema([pa.field(name, kind) for name, kind in fields])
        self.num_documents = self.num_tokens = 0
        self._columns = tuple(columns)
        self._rows: dict[str, list[Any]] = {name: [] for name in self.schema.names}
        self._part = PartFile(path)
        self._writer = pa.ipc.new_file(self._part, self.schema)

    def add(self, document_id: str, input_ids: Sequence[int] | TokenArray, metadata: Mapping[str, Any]) -> None:
        """Append a document. Metadata outside the declared columns is left out; a missing value becomes null."""
        self._rows["id"].append(document_id)
        self._rows["input_ids"].append(input_ids)
        for name in self._columns:
            self._rows[name].append(metadata.get(name))
        self.num_documents += 1
        self.num_tokens += len(input_ids)
        if len(self._rows["id"]) >= BATCH_DOCUMENTS:
            self._flush()

    def close(self) -> Shard:
        """Publish the shard and return its entry for `store.json`."""
        self.finish().publish()
        return Shard(
            name=self._part.target.name,
            num_documents=self.num_documents,
            num_tokens=self.num_tokens,
            sha256=self._part.sha256,
        )

    def finish(self) -> PartFile:
        """Return the shard complete and on the disk, for somebody else to publish."""
        self._flush()
        self._writer.close()
        self._part.finish()
        return self._part

    def discard(self) -> None:
        """Throw away what was written and not published."""
        self._part.discard()

    def _flush(self) -> None:
        if self._rows["id"]:
            arrays = [self._ids() if field.name == "input_ids" else self._array(field) for field in self.schema]
            self._writer.write_batch(pa.record_batch(arrays, schema=self.schema))
            self._rows = {name: [] for name in self.schema.names}

    def _ids(self) -> Any:  # noqa: ANN401 - pyarrow has no types
        """Return the ids of all rows as one array; row by row pyarrow takes ten times as long."""
        rows = [np.asarray(ids) for ids in self._rows["input_ids"]]
        offsets = np.cumsum([0, *map(len, rows)])
        kind = self.schema.field("input_ids").type
        # Empty rows of no type would make the others floats.
        ids = np.concatenate([row for row in rows if len(row)] or [np.zeros(0, np.uint16)])
        return pa.LargeListArray.from_arrays(offsets, self._convert("input_ids", ids, kind.value_type))

    def _array(self, field: Any) -> Any:  # noqa: ANN401
        return self._convert(field.name, self._rows[field.name], field.type)

    def _convert(self, name: str, values: Any, kind: Any) -> Any:  # noqa: ANN401
        try:
            return pa.array(values, type=kind)
        except (pa.ArrowException, OverflowError) as error:
            raise ValueError(f"a value of {name!r} does not fit its type {kind}: {error}") from error


def write_store_index(folder: Path, shards: Sequence[Shard], *, tokenizer: str, vocabulary_sha256: str) -> None:
    """Write `store.json`: from then on the folder is a store.

    Args:
        folder: The store; its shards lie in `folder / "tokens"`.
        shards: All shards, in order.
        tokenizer: Name of the tokenizer, with its revision where it has one.
        vocabulary_sha256: From `vocabulary_hash`.
    """
    index = {
        "schema_version": SCHEMA_VERSION,
        "tokenizer": tokenizer,
        "vocabulary_sha256": vocabulary_sha256,
        "shards": [asdict(shard) for shard in shards],
    }
    write_json(folder / "store.json", index)


class TokenStore:
    """A finished store, opened for reading by memory map: opening costs milliseconds and no memory worth naming.

    Pickles as its folder, so that DataLoader workers map the files themselves.

    Raises:
        ValueError: if the folder is no store, or a shard is missing or of another length than the index says.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        index = _read_index(self.folder)
        self.tokenizer: str = index["tokenizer"]
        self.vocabulary_sha256: str = index["vocabulary_sha256"]
        self.shards = [Shard(**shard) for shard in index["shards"]]
        self._tables = [self._map(shard) for shard in self.shards]
        self.table: pa.Table = pa.concat_tables(self._tables) if self._tables else pa.table({"id": []})
        self._open_batches()

    def _map(self, shard: Shard) -> pa.Table:
        path = self._path(shard)
        if not path.exists():
            raise ValueError(f"{path} is missing, though store.json lists it: write the store again")
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        if table.num_rows != shard.num_documents:
            raise ValueError(f"{path} holds {table.num_rows} documents, store.json says {shard.num_documents}")
        return table

    def _path(self, shard: Shard) -> Path:
        return self.folder / "tokens" / shard.name

    def _open_batches(self) -> None:
        chunks = self.table["input_ids"].chunks if self.shards else []
        self._tokens: list[TokenArray] = [chunk.values.to_numpy(zero_copy_only=True) for chunk in chunks]
        self._offsets: list[Int64Array] = [chunk.offsets.to_numpy() for chunk in chunks]
        self._first_B1: list[int] = np.cumsum([0, *(len(chunk) for chunk in chunks)]).tolist()
        batches = [table["input_ids"].num_chunks for table in self._tables]
        self._first_batch_S1: list[int] = np.cumsum([0, *batches]).tolist()

    @cached_property
    def lengths_D(self) -> Int64Array:
        """Shape (D,): tokens of every document, 8 bytes each; `lengths` is for some."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *map(np.diff, self._offsets)])

    @property
    def num_tokens(self) -> int:
        """Tokens of all documents."""
        return sum(int(offsets[-1] - offsets[0]) for offsets in self._offsets)

    def __len__(self) -> int:
        """Return the number of documents D."""
        return self._first_B1[-1]

    def __getstate__(self) -> Path:
        return self.folder

    def __setstate__(self, folder: Path) -> None:
        TokenStore.__init__(self, folder)

    def tokens(self, document: int, start: int = 0, length: int | None = None) -> TokenArray:
        """Return token ids of one document as a view into the map, without a copy.

        Args:
            document: Index in the store, from 0.
            start: First token.
            length: Number of tokens; None: to the end.
        """
        batch = bisect_right(self._first_B1, document) - 1
        offsets, row = self._offsets[batch], document - self._first_B1[batch]
        first, end = int(offsets[row]) + start, int(offsets[row + 1])
        return self._tokens[batch][first : end if length is None else min(first + length, end)]

    def metadata(self, document: int) -> dict[str, Any]:
        """Return id and metadata columns of one document."""
        names = [name for name in self.table.column_names if name != "input_ids"]
        return {name: self.table[name][document].as_py() for name in names}

    def lengths(self, documents_N: Int64Array) -> Int64Array:
        """Return the tokens of some documents, in whatever order."""
        lengths_N = np.empty(len(documents_N), dtype=np.int64)
        for batch, where, rows in grouped(documents_N, self._first_B1):
            offsets = self._offsets[batch]
            lengths_N[where] = offsets[rows + 1] - offsets[rows]
        return lengths_N

    def ids(self, documents_N: Int64Array) -> list[str]:
        """Return the ids of some documents, in whatever order."""
        ids_N = np.empty(len(documents_N), dtype=object)
        for batch, where, rows in grouped(documents_N, self._first_B1):
            ids_N[where] = self.table["id"].chunk(batch).take(pa.array(rows)).to_pylist()
        names: list[str] = ids_N.tolist()
        return names

    def rows(self, columns: Sequence[str], documents: range) -> Iterator[dict[str, Any]]:
        """Yield columns of consecutive documents.

        Every batch is mapped anew and let go: what is read through `table` counts as memory of this process from then
        on, which would be 40 bytes a document for their addresses.
        """
        for batch in range(bisect_right(self._first_B1, documents.start) - 1, len(self._tokens)):
            first = self._first_B1[batch]
            if first >= documents.stop:
                return
            shard = bisect_right(self._first_batch_S1, batch) - 1
            with pa.memory_map(str(self._path(self.shards[shard]))) as source:
                read = pa.ipc.open_file(source).get_batch(batch - self._first_batch_S1[shard])
                begin = max(documents.start - first, 0)
                yield from read.select(list(columns)).slice(begin, documents.stop - first - begin).to_pylist()

    @property
    def fingerprint(self) -> str:
        """sha256 over the shards' hashes: equal fingerprints are equal data in equal order."""
        return sha256(canonical_json([shard.sha256 for shard in self.shards])).hexdigest()

    def check_tokenizer(self, tokenizer: HasVocabulary) -> None:
        """Refuse a tokenizer whose ids mean something else.

        Raises:
            ValueError: if the vocabulary differs from the one that wrote the store.
        """
        if vocabulary_hash(tokenizer) != self.vocabulary_sha256:
            raise ValueError(
                f"{self.folder} was tokenized with {self.tokenizer!r}, whose vocabulary is not the given tokenizer's: "
                "pass that tokenizer, or tokenize again"
            )


def _read_index(folder: Path) -> dict[str, Any]:
    path = folder / "store.json"
    if not path.exists():
        raise ValueError(f"{folder} is no token store (no store.json): tokenize into it first, or let that run finish")
    index: dict[str, Any] = orjson.loads(path.read_bytes())
    if index.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(
            f"{path} has schema version {index.get('schema_version')}, this release reads {SCHEMA_VERSION}"
        )
    return index
