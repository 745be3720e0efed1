"""Writers whose files are whole at their final names: `FOLDER/00000.parquet`, `FOLDER/00000.jsonl.gz`.

They are used like datatrove's, as a step of a pipeline or as somebody's `exclusion_writer`, and differ in four ways: a
file appears under its name only when it is complete (with a ledger: when its whole rank is); an error, a full disk
included, fails the rank and leaves nothing behind; the bytes depend on the documents only (gzip without time and
name); Parquet has one declared schema, see `tables`.

As a step a writer leaves a file even where there is no document, so that a reader can count shards; as an
`exclusion_writer` it leaves none.
"""

import gzip
from abc import abstractmethod
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import zstandard
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from pyarrow import parquet

from datatrove_steps.ledger import FinishedPart, Ledger, deliver
from datatrove_steps.tables import Schema, document_schema, to_batch, to_json
from hf_curation.files.accounts import StageAccount
from hf_curation.files.atomic import PartFile

_GROUP_ROWS: Final = 2_000
_GROUP_CHARS: Final = 32 * 2**20
_CHUNK_BYTES: Final = 2**20


class _RankWriter(PipelineStep):  # type: ignore[misc]
    """What both writers share: one file per rank, opened when its rank is known."""

    type = "💽 - WRITER"
    suffix: str

    def __init__(self, output_folder: str | Path, *, prefix: str = "", ledger: Ledger | None = None) -> None:
        super().__init__()
        if "://" in str(output_folder):
            raise ValueError(f"{output_folder} is not a local folder; write locally, then push it in one commit")
        self.output_folder = Path(output_folder).absolute()
        self.prefix = prefix
        self.ledger = ledger
        self._is_open = False
        self._part: PartFile | None = None
        self._rank = 0
        self._num_rows = 0

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write every document and pass it on."""
        account = StageAccount()
        with self:
            self._open(rank)
            for doc in data or ():
                with self.track_time():
                    self.write(doc, rank)
                account.num_in += 1
                account.status[str(doc.metadata.get("refine_status"))] += 1
                account.totals["chars_out"] += len(doc.text)
                yield doc
        account.num_out = account.num_in
        if self.ledger:
            self.ledger.page(rank).close_stage("write", account)

    def write(self, document: Document, rank: int = 0, **_: object) -> None:
        """Write one document, inside `with`; the first one opens the file of `rank`."""
        assert self._is_open, "write inside `with writer:`, which finishes the file"
        if self._part is None:
            self._open(rank)
        assert rank == self._rank, f"opened for rank {self._rank}, got a document of rank {rank}"
        self._num_rows += 1
        self._add(document)
        self.stat_update("total")
        self.update_doc_stats(document)

    def __enter__(self) -> Self:
        if self._is_open:
            raise ValueError(f"{self!r} serves two steps at once; give each a writer of its own, with another prefix")
        self._is_open = True
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        part, self._part = self._part, None
        self._is_open = False
        if part is None:
            return
        try:
            if kind is not None:
                self._abandon()
                part.discard()
                return
            content = self._finish(part)
            part.finish()
            deliver(FinishedPart(part, self._num_rows, content), self.ledger, self._rank)
        except BaseException:
            part.discard()
            raise

    def _open(self, rank: int) -> None:
        self._rank = rank
        self._num_rows = 0
        self._part = PartFile(self.output_folder / f"{self.prefix}{rank:05d}{self.suffix}")
        self._start(self._part)

    @abstractmethod
    def _start(self, part: PartFile) -> None:
        """Get ready to write into a new file."""

    @abstractmethod
    def _add(self, doc: Document) -> None:
        """Write one document, now or with the next ones; later changes to it must not matter."""

    @abstractmethod
    def _finish(self, part: PartFile) -> str | None:
        """Write what is left; return the digest of the content where it is another than the file's."""

    @abstractmethod
    def _abandon(self) -> None:
        """Let go of everything that was not written."""


class WriteParquet(_RankWriter):
    """Write documents to Parquet (zstd, content-defined chunks, page index, checksums) with one schema for all shards.

    Args:
        output_folder: a local folder.
        prefix: what file names begin with, before the rank.
        columns: the metadata columns beside the custody columns: a `pyarrow.Schema` from `infer_columns`, or names and
            types (`string`, `int64`, `double`, `list<string>`, `json`, ...); None: only `url`. All other metadata goes
            to the column `extra_metadata`.
        keep_original: with the column `original_text`.
        is_dropped: with the column `filter_reason`; for an `exclusion_writer`.
        ledger: shared with `PublishRank`, in a pipeline that ends with one.
    """

    name = "📒 Parquet, whole"
    suffix = ".parquet"

    def __init__(
        self,
        output_folder: str | Path,
        *,
        columns: Schema | dict[str, str] | None = None,
        keep_original: bool = False,
        is_dropped: bool = False,
        prefix: str = "",
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(output_folder, prefix=prefix, ledger=ledger)
        self.schema = document_schema(columns, keep_original=keep_original, is_dropped=is_dropped)
        self._writer: Any = None
        self._waiting: list[Document] = []
        self._num_chars = 0

    def _start(self, part: PartFile) -> None:
        self._waiting, self._num_chars = [], 0
        self._writer = parquet.ParquetWriter(
            part,
            self.schema,
            compression="zstd",
            use_content_defined_chunking=True,
            write_page_index=True,
            write_page_checksum=True,
        )

    def _add(self, doc: Document) -> None:
        self._waiting.append(Document(text=doc.text, id=doc.id, media=doc.media, metadata=dict(doc.metadata)))
        self._num_chars += len(doc.text)
        if len(self._waiting) >= _GROUP_ROWS or self._num_chars >= _GROUP_CHARS:
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting, self._num_chars = self._waiting, [], 0
        if waiting:
            self._writer.write_batch(to_batch(waiting, self.schema))

    def _finish(self, part: PartFile) -> str | None:
        self._flush()
        writer, self._writer = self._writer, None
        writer.close()
        return None

    def _abandon(self) -> None:
        self._waiting, self._writer = [], None


class WriteJsonl(_RankWriter):
    """Write documents to JSON lines in datatrove's layout, `{"id", "text", "metadata": {...}}`.

    Args:
        output_folder: a local folder.
        prefix: what file names begin with, before the rank.
        compression: `gzip`, `zstd` (level 3, with checksum) or None.
        ledger: shared with `PublishRank`, in a pipeline that ends with one.
    """

    name = "🐿 JSONL, whole"

    def __init__(
        self,
        output_folder: str | Path,
        *,
        compression: Literal["gzip", "zstd"] | None = "gzip",
        prefix: str = "",
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__(output_folder, prefix=prefix, ledger=ledger)
        suffixes = {None: ".jsonl", "gzip": ".jsonl.gz", "zstd": ".jsonl.zst"}
        if compression not in suffixes:
            raise ValueError(f"compression must be 'gzip', 'zstd' or None, got {compression!r}")
        self.compression = compression
        self.suffix = suffixes[compression]
        self._stream: Any = None
        self._waiting: list[str] = []
        self._num_chars = 0
        self._content: Any = None  # a hash does not pickle

    def _start(self, part: PartFile) -> None:
        self._waiting, self._num_chars, self._content = [], 0, sha256()
        match self.compression:
            case "gzip":
                self._stream = gzip.GzipFile(filename="", mode="wb", fileobj=part, mtime=0, compresslevel=6)
            case "zstd":
                compressor = zstandard.ZstdCompressor(level=3, write_checksum=True)
                self._stream = compressor.stream_writer(part, closefd=False)  # type: ignore[arg-type]
            case _:
                self._stream = part

    def _add(self, doc: Document) -> None:
        row: dict[str, Any] = {"id": doc.id, "text": doc.text, "metadata": doc.metadata}
        if doc.media:
            row["media"] = doc.media
        self._waiting.append(to_json(row))
        self._num_chars += len(self._waiting[-1])
        if self._num_chars >= _CHUNK_BYTES:
            self._flush()

    def _flush(self) -> None:
        data = "".join(f"{line}\n" for line in self._waiting).encode("utf-8")
        self._waiting, self._num_chars = [], 0
        self._content.update(data)
        self._stream.write(data)

    def _finish(self, part: PartFile) -> str | None:
        self._flush()
        stream, self._stream = self._stream, None
        stream.close()
        return str(self._content.hexdigest())

    def _abandon(self) -> None:
        self._waiting, self._stream = [], None
