"""Texts in batches, straight from files: what counting and weighing read, without a `Document` object each.

Of Parquet only the columns of text, id and source are read, and the text stays in Arrow's buffers all the way into the
kernel; of JSON lines each is parsed by orjson and only these three values are kept. What is a document, and under
which reason a record is none, is decided by the rules of `ReadDocuments` (`records`), so that every pass over the same
input sees the same documents; a pass that is asked for whole rows gets them beside the texts.

Bad records are handed to `Rejects`: counted in every pass, and kept in the quarantine by the last one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from datatrove_steps.quarantine import Quarantine
from datatrove_steps.records import own_id, parse_line, why_no_text
from datatrove_steps.tables import rows_of
from hf_curation.files.reading import is_parquet, open_lines, open_parquet, read_lines, read_rows
from hf_curation.files.sources import Source, SourceFile
from hf_curation.files.spans import Span

Texts: TypeAlias = Any
"""A list of strings, or a pyarrow string array (pyarrow ships no types)."""

_BATCH_RECORDS: Final = 512
_BATCH_BYTES: Final = 8 * 2**20
_BOM: Final = b"\xef\xbb\xbf"
_BLANKS: Final = "".join(char for char in map(chr, range(0x3100)) if char.isspace())
_LAST: Final = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Where a record keeps what is read of it."""

    text: str = "text"
    id: str | None = "id"
    """None: records have no id of their own, and go by `NAME/INDEX`."""
    source: str | None = None
    """Column or key of the source, also inside `metadata`; None: all are of one."""


@dataclass(slots=True, kw_only=True)
class TextBatch:
    """Some documents of one file, in order."""

    texts: Texts
    ids: list[str]
    sources: list[str]
    """Empty strings where there is no source."""
    rows: Any = None
    """Only when asked for: a `pyarrow.RecordBatch` (Parquet), or the records as dicts (JSON lines)."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(slots=True)
class Rejects:
    """What could not be read as a document: always counted, and kept where there is a quarantine."""

    quarantine: Quarantine | None = None
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, reason: str, name: str, index: int, **kept: Any) -> None:  # noqa: ANN401 - whatever a record holds
        """Count one record; `kept` is what of it goes to the quarantine."""
        self.counts[reason] += 1
        if self.quarantine is not None:
            self.quarantine.add(reason, source=name, index=index, **kept)


def read_texts(
    source: Source, spans: Sequence[Span], keys: Keys, rejects: Rejects, *, whole: bool = False
) -> Iterator[TextBatch]:
    """Yield the documents of some spans, in order, in batches of at most 512.

    Args:
        source: what is read.
        spans: a task's share of it.
        keys: where records keep text, id and source.
        rejects: gets the records that are no documents.
        whole: also hand out the rows themselves.

    Raises:
        ShardError: if a file is damaged.
        ValueError: if a Parquet file has no column for the text.
    """
    for span in spans:
        file = source.files[span.file]
        with source.open(file) as raw:
            if is_parquet(file.name):
                yield from _read_parquet(raw, file, span, keys, rejects, whole=whole)
            else:
                yield from _read_jsonl(raw, file, span, keys, rejects, whole=whole)


def _read_jsonl(
    raw: Any,  # noqa: ANN401 - any binary file
    file: SourceFile,
    span: Span,
    keys: Keys,
    rejects: Rejects,
    *,
    whole: bool,
) -> Iterator[TextBatch]:
    first = span.start if span.offset else 0
    raw.seek(span.offset)
    batch, num_bytes = _new_batch(whole), 0
    stop = _LAST if span.stop is None else span.stop
    for index, line, is_whole in read_lines(open_lines(raw, file.name), file.name):
        index += first
        if index >= stop:
            break
        if index < span.start:
            continue
        if not is_whole:
            rejects.add("record_too_long", file.name, index, raw=line[:1000])
        elif line.strip() and _add_line(batch, line, index, file.name, keys, rejects):
            num_bytes += len(line)
        if len(batch) >= _BATCH_RECORDS or num_bytes >= _BATCH_BYTES:
            yield batch
            batch, num_bytes = _new_batch(whole), 0
    if len(batch):
        yield batch


def _new_batch(whole: bool) -> TextBatch:
    return TextBatch(texts=[], ids=[], sources=[], rows=[] if whole else None)


def _add_line(batch: TextBatch, line: bytes, index: int, name: str, keys: Keys, rejects: Rejects) -> bool:
    """Add the document of a line; return False when it went to the rejects."""
    record, reason = parse_line(line.removeprefix(_BOM) if index == 0 else line)
    if reason is not None:
        rejects.add(reason, name, index, raw=line)
        return False
    if reason := why_no_text(record, keys.text):
        rejects.add(reason, name, index, record=record)
        return False
    batch.texts.append(record[keys.text])
    batch.ids.append((keys.id and own_id(record, keys.id)) or f"{name}/{index}")
    batch.sources.append(_source_of(record, keys.source))
    if batch.rows is not None:
        batch.rows.append(record)
    return True


def _source_of(record: dict[str, Any], key: str | None) -> str:
    if key is None:
        return ""
    value = record.get(key)
    if value is None:
        nested = record.get("metadata")
        if isinstance(nested, str):
            nested, _ = parse_line(nested.encode("utf-8"))
        value = nested.get(key) if isinstance(nested, dict) else None
    return "" if value is None else str(value)


def _read_parquet(
    raw: Any,  # noqa: ANN401 - any binary file
    file: SourceFile,
    span: Span,
    keys: Keys,
    rejects: Rejects,
    *,
    whole: bool,
) -> Iterator[TextBatch]:
    parquet = open_parquet(raw, file.name)
    names = parquet.schema_arrow.names
    if keys.text not in names:
        raise ValueError(f"{file.name} has no column {keys.text!r}; name one with --text-key: {', '.join(names)}")
    wanted = {keys.text, keys.id, keys.source, *(["metadata"] if keys.source and keys.source not in names else [])}
    columns = [name for name in names if name in wanted]
    stop = parquet.metadata.num_rows if span.stop is None else min(span.stop, parquet.metadata.num_rows)
    for first, batch in read_rows(parquet, file.name, start=span.start, stop=stop, columns=None if whole else columns):
        batch = _without_views(batch)
        # What is a document is decided by the same columns in every pass.
        good = _good_rows(batch.select(columns), first, file.name, keys, rejects)
        if good is not None:
            batch = batch.take(pa.array(good, pa.int64()))
        if batch.num_rows:
            numbers = range(first, first + batch.num_rows) if good is None else [first + i for i in good]
            yield TextBatch(
                texts=_as_strings(batch.column(keys.text)),
                ids=_ids(batch, numbers, file.name, keys),
                sources=_sources(batch, keys),
                rows=batch if whole else None,
            )


def _good_rows(batch: Any, first: int, name: str, keys: Keys, rejects: Rejects) -> list[int] | None:  # noqa: ANN401
    """Return the numbers of the rows that are documents; None for all of them."""
    suspects = _suspects(_as_strings(batch.column(keys.text)), batch)
    bad = {i for i in suspects if not _is_good_row(batch.slice(i, 1), first + i, name, keys, rejects)}
    return [i for i in range(batch.num_rows) if i not in bad] if bad else None


def _suspects(texts: Any, batch: Any) -> Sequence[int]:  # noqa: ANN401 - pyarrow arrays
    """Return the rows that may be no documents: of blank text, or all where some string is none."""
    if texts is None:
        return range(batch.num_rows)
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        return range(batch.num_rows)
    num_bytes = pc.fill_null(pc.binary_length(pc.utf8_ltrim(texts, characters=_BLANKS)), 0)
    rows: list[int] = pc.indices_nonzero(pc.equal(num_bytes, 0)).to_pylist()
    return rows


def _without_views(batch: Any) -> Any:  # noqa: ANN401 - a record batch
    """Return the batch with plain strings for string views, of which pyarrow cannot take rows."""
    for i, field_ in enumerate(batch.schema):
        if pa.types.is_string_view(field_.type):
            plain = field_.with_type(pa.large_string())
            batch = batch.set_column(i, plain, batch.column(i).cast(plain.type))
    return batch


def _as_strings(column: Any) -> Any:  # noqa: ANN401 - a pyarrow array
    """Return a column as strings of a type that kernels read; None where it holds something else."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.dictionary_decode(), kind.value_type
    return column if pa.types.is_string(kind) or pa.types.is_large_string(kind) else None


def _is_good_row(batch: Any, index: int, name: str, keys: Keys, rejects: Rejects) -> bool:  # noqa: ANN401
    try:
        record = rows_of(batch)[0]
    except UnicodeDecodeError:
        row = {}
        for field_, column in zip(batch.schema, batch.columns, strict=True):
            is_text = pa.types.is_string(field_.type) or pa.types.is_large_string(field_.type)
            row[field_.name] = (column.cast(pa.large_binary()) if is_text else column).to_pylist()[0]
        rejects.add("invalid_utf8", name, index, record=row)
        return False
    if reason := why_no_text(record, keys.text):
        rejects.add(reason, name, index, record=record)
        return False
    return True


def _ids(batch: Any, numbers: Sequence[int], name: str, keys: Keys) -> list[str]:  # noqa: ANN401
    if keys.id is None or keys.id not in batch.schema.names:
        return [f"{name}/{number}" for number in numbers]
    values = batch.column(keys.id).to_pylist()
    key = keys.id
    return [own_id({key: value}, key) or f"{name}/{number}" for value, number in zip(values, numbers, strict=True)]


def _sources(batch: Any, keys: Keys) -> list[str]:  # noqa: ANN401
    if keys.source is None:
        return [""] * batch.num_rows
    names = [name for name in (keys.source, "metadata") if name in batch.schema.names]
    columns = [batch.column(name).to_pylist() for name in names]
    if not columns:
        return [""] * batch.num_rows
    return [_source_of(dict(zip(names, row, strict=True)), keys.source) for row in zip(*columns, strict=True)]
