"""A reader that counts what it cannot read, and splits a file where there are fewer files than tasks.

Against datatrove's `JsonlReader` and `ParquetReader`: a bad record is quarantined under a reason instead of vanishing,
a damaged file stops its rank instead of ending early, every task gets documents even from a single file, `limit`
counts documents of the run and not of a task, and no `file_path` is put into the metadata (half of `JsonlReader`'s
time).

Parts of JSONL are strides (record `i` goes to part `i % num_parts`), because lines cannot be found without reading
them; decompressing a file once per part costs 1 ms per 100 to 600 KB. Parts of Parquet are ranges of rows, of which
only the row groups are read that are needed. Parts of WARC are strides of captures; only a part's own are extracted.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.extractors.base import BaseExtractor

from datatrove_steps.extraction import WARC_COLUMNS, extract_captures
from datatrove_steps.ledger import Ledger
from datatrove_steps.quarantine import Quarantine
from datatrove_steps.records import parse_line, to_document
from datatrove_steps.tables import rows_of
from hf_curation.files.accounts import StageAccount
from hf_curation.files.addresses import check_address
from hf_curation.files.manifest import InputShare
from hf_curation.files.pins import pin_url
from hf_curation.files.reading import is_parquet, is_warc, open_lines, open_parquet, read_lines, read_rows
from hf_curation.files.shares import Share, deal
from hf_curation.files.sources import Source, SourceFile, find_source, limit_records
from hf_curation.files.warc import Capture, read_captures

_BATCH_RECORDS = 256
_BATCH_BYTES = 16 * 2**20
_BOM = b"\xef\xbb\xbf"


class RawRecord(NamedTuple):
    """A record of the input before anybody has looked at it."""

    number: int
    """Its place in the file: of the line, of the row, or among the captures."""
    value: Any
    """Parsed; None where `reason` is set."""
    reason: str | None = None
    num_bytes: int = 0
    """About how much memory it takes."""
    raw: bytes = b""
    """The line as it came, where it could not be parsed."""


class ReadDocuments(PipelineStep):  # type: ignore[misc]
    """Read documents from JSONL, WARC (plain, .gz, .zst, .bz2) and Parquet: a file, a folder, a pattern, or `hf://...`.

    A document's id is its own, or `NAME/INDEX` of the file and record. Of a capture of WARC the text is extracted,
    and `url` and `date` are metadata; the records between captures are no documents. Bad records
    (`QUARANTINE_REASONS`) are quarantined and counted; a damaged file raises `ShardError` and fails the rank.

    Args:
        source: where to read; a `Source` pins the list of files, a path is listed by every task. Files that
            `prepare_source` marked as bad are left out.
        text_key: the column or key of the text.
        id_key: the column or key of the id.
        limit: the most records to read in the whole run, all tasks together; None for all.
        quarantine: folder for bad records; None counts and logs them only.
        ledger: shared with `PublishRank`, in a pipeline that ends with one.
        extractor: of datatrove's, takes text out of the HTML in WARC; None for `VisibleText`.
    """

    type = "📖 - READER"
    name = "📚 Documents"

    def __init__(
        self,
        source: Source | str | os.PathLike[str],
        *,
        text_key: str = "text",
        id_key: str = "id",
        limit: int | None = None,
        quarantine: str | Path | None = None,
        ledger: Ledger | None = None,
        extractor: BaseExtractor | None = None,
    ) -> None:
        super().__init__()
        # Pinned here, where the pipeline is made: every task reads the same commit.
        if not isinstance(source, Source):
            check_address(str(source))  # now: an executor writes its steps down before it runs them
        self.source = source if isinstance(source, Source) else pin_url(str(source))
        self.text_key = text_key
        self.id_key = id_key
        self.limit = limit
        self.quarantine = None if quarantine is None else Path(quarantine)
        self.ledger = ledger
        self.extractor = extractor

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the documents of this rank's share of the input, after those of `data`."""
        source = self.source if isinstance(self.source, Source) else find_source(self.source)
        source = limit_records(source, self.limit) if self.limit is not None else source
        account = StageAccount()
        for doc in data or ():
            account.num_in += 1
            account.num_out += 1
            account.totals["chars_out"] += len(doc.text)
            yield doc
        shares = deal([file.num_bytes for file in source.files], world_size)[rank]
        with Quarantine(self.quarantine, "read", rank, self.ledger) as quarantine:
            for share in shares:
                before = account.num_in
                if source.files[share.file].bad is None:
                    yield from self._read_share(source, share, account, quarantine)
                self._report_share(source.files[share.file], share, account.num_in - before, rank)
            account.quarantined = quarantine.counts
            account.check("read")
        for reason, number in account.quarantined.items():
            self.stat_update(f"quarantined_{reason}", value=number, unit="task")
        if self.ledger:
            self.ledger.page(rank).close_stage("read", account)

    def _read_share(
        self, source: Source, share: Share, account: StageAccount, quarantine: Quarantine
    ) -> Iterator[Document]:
        file = source.files[share.file]
        records = read_records(
            source, file, share, text_key=self.text_key, id_key=self.id_key, extractor=self.extractor
        )
        while True:
            with self.track_time("batch"):
                batch = _next_batch(records)
                documents = [self._document(file.name, record, quarantine) for record in batch]
            if not batch:
                return
            account.num_in += len(batch)
            for doc in documents:
                if doc is None:
                    continue
                account.num_out += 1
                account.totals["chars_out"] += len(doc.text)
                self.stat_update("documents")
                self.update_doc_stats(doc)
                yield doc

    def _document(self, name: str, record: RawRecord, quarantine: Quarantine) -> Document | None:
        """Return the document of a record; None when it went to the quarantine."""
        place: dict[str, Any] = {"source": name, "index": record.number}
        if record.reason is not None:
            kept = {"raw": record.raw} if record.value is None else {"record": record.value}
            quarantine.add(record.reason, **place, **kept)
            return None
        doc = to_document(record.value, f"{name}/{record.number}", text_key=self.text_key, id_key=self.id_key)
        if isinstance(doc, str):
            quarantine.add(doc, **place, record=record.value)
            return None
        return doc

    def _report_share(self, file: SourceFile, share: Share, num_records: int, rank: int) -> None:
        self.stat_update("bad_shards" if file.bad else "input_files")
        if self.ledger:
            entry = InputShare(
                name=file.name,
                part=share.part,
                num_parts=share.num_parts,
                num_records=num_records,
                left_out=file.bad.reason if file.bad else None,
            )
            self.ledger.page(rank).inputs.append(entry)


def read_records(
    source: Source,
    file: SourceFile,
    share: Share,
    *,
    text_key: str = "text",
    id_key: str = "id",
    extractor: BaseExtractor | None = None,
) -> Iterator[RawRecord]:
    """Yield one share of a file, record by record; arguments as of `ReadDocuments`.

    Raises:
        ShardError: if the file is damaged.
        ValueError: if it is Parquet without a column for the text.
    """
    with source.open(file) as raw:
        if is_parquet(file.name):
            parquet = open_parquet(raw, file.name)
            if text_key not in parquet.schema_arrow.names:
                columns = ", ".join(parquet.schema_arrow.names)
                raise ValueError(f"{file.name} has no column {text_key!r}; name one with --text-key: {columns}")
            yield from _read_parquet(parquet, file, share)
        elif is_warc(file.name):
            for capture, text, reason in extract_captures(_captures(raw, file, share), extractor):
                row = {id_key: capture.headers.get("warc-record-id"), text_key: text, **_capture_columns(capture)}
                yield RawRecord(capture.index, row, reason, len(text))
        else:
            yield from _read_jsonl(open_lines(raw, file.name), file, share)


def _read_jsonl(stream: Any, file: SourceFile, share: Share) -> Iterator[RawRecord]:  # noqa: ANN401
    for index, line, is_whole in read_lines(stream, file.name):
        if file.stop is not None and index >= file.stop:
            return
        if index % share.num_parts != share.part:
            continue
        if index == 0:
            line = line.removeprefix(_BOM)
        if not is_whole:
            yield RawRecord(index, None, "record_too_long", raw=line[:1000])
        elif line.strip():
            value, reason = parse_line(line)
            yield RawRecord(index, value, reason, len(line), line if reason else b"")


def _captures(raw: Any, file: SourceFile, share: Share) -> Iterator[Capture]:  # noqa: ANN401
    stream = open_lines(raw, file.name)
    for capture in read_captures(stream, file.name, part=share.part, num_parts=share.num_parts):
        if file.stop is not None and capture.index >= file.stop:
            return
        yield capture


def _capture_columns(capture: Capture) -> dict[str, str | None]:
    values = (capture.headers.get("warc-target-uri", "").strip("<>") or None, capture.headers.get("warc-date"))
    return dict(zip(WARC_COLUMNS, values, strict=True))


def _read_parquet(parquet: Any, file: SourceFile, share: Share) -> Iterator[RawRecord]:  # noqa: ANN401
    num_rows = parquet.metadata.num_rows if file.stop is None else min(file.stop, parquet.metadata.num_rows)
    start = num_rows * share.part // share.num_parts
    stop = num_rows * (share.part + 1) // share.num_parts
    for first, batch in read_rows(parquet, file.name, start=start, stop=stop):
        num_bytes = batch.nbytes // batch.num_rows
        try:
            rows = rows_of(batch)
        except UnicodeDecodeError:
            for i in range(batch.num_rows):
                yield _salvage(first + i, batch.slice(i, 1))
            continue
        for index, row in enumerate(rows, first):
            yield RawRecord(index, row, None, num_bytes)


def _salvage(index: int, batch: Any) -> RawRecord:  # noqa: ANN401
    """Read one row of a batch in which some string is no UTF-8."""
    try:
        return RawRecord(index, rows_of(batch)[0])
    except UnicodeDecodeError:
        row = {}
        for field, column in zip(batch.schema, batch.columns, strict=True):
            is_text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
            row[field.name] = (column.cast(pa.large_binary()) if is_text else column).to_pylist()[0]
        return RawRecord(index, row, "invalid_utf8")


def _next_batch(records: Iterator[RawRecord]) -> list[RawRecord]:
    """Take up to `_BATCH_RECORDS` records, fewer where they are large."""
    batch: list[RawRecord] = []
    num_bytes = 0
    for record in records:
        batch.append(record)
        num_bytes += record.num_bytes
        if len(batch) == _BATCH_RECORDS or num_bytes >= _BATCH_BYTES:
            break
    return batch
