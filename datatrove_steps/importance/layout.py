"""The Parquet of the chosen documents: every input column as it was, and what the selection says beside it.

Where all of the input is Parquet with schemas that go together, rows are copied in Arrow and columns keep names and
types; a file that lacks a column of the others gets nulls. Otherwise (JSON lines, or clashing schemas) records become
rows of the house's table: `id`, `text`, a column for every key, and `extra_metadata` for what fits no column.

| column | type | meaning |
| --- | --- | --- |
| `log_weight` | double | before temperature and clip; `log_weight_NAME` for each target where they are separate |
| `num_ngrams` | int64 | that the weight is made of |
| `importance_lane` | string | what the document was chosen for: a target, or `general` |
| `repeats` | int16 | copies to train on; only where repetition was asked for |

A column of one of these names that the input has (of an earlier selection) is replaced.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from datatrove_steps.columns import infer_columns
from datatrove_steps.importance.texts import Keys, TextBatch
from datatrove_steps.records import to_document
from datatrove_steps.tables import EXTRA_COLUMN, document_schema, to_batch
from hf_curation.files.atomic import PartFile
from hf_curation.files.reading import ShardError, is_parquet, open_parquet
from hf_curation.files.sources import Source

_MAX_FOOTERS: Final = 256
_GROUP_ROWS: Final = 2_000
_GROUP_BYTES: Final = 32 * 2**20
_MARK: Final = b"hf_curation"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns the chosen documents have, and how rows get there."""

    schema: Any
    """A `pyarrow.Schema`, the selection's columns last (and behind them only `extra_metadata`)."""
    ours: tuple[str, ...]
    is_columnar: bool
    """Rows are copied in Arrow; otherwise they are records."""
    keys: Keys

    def describe(self) -> dict[str, str]:
        """Return name -> type, for plans and cards."""
        return {field.name: str(field.type).replace("item: ", "") for field in self.schema}

    def rows(self, batch: TextBatch, wanted: Any, columns: dict[str, Any]) -> Any:  # noqa: ANN401 - record batch
        """Return the chosen rows of a batch, with the selection's columns.

        Args:
            batch: with its `rows`.
            wanted: positions in the batch, int64[K], ascending.
            columns: the selection's columns of these rows, as Arrow arrays of length K.
        """
        ids = [batch.ids[i] for i in wanted.tolist()]
        if isinstance(batch.rows, list):
            return self._from_records([batch.rows[i] for i in wanted.tolist()], ids, columns)
        rows = batch.rows.take(pa.array(wanted))
        if not self.is_columnar:
            from datatrove_steps.tables import rows_of  # noqa: PLC0415

            return self._from_records(rows_of(rows), ids, columns)
        arrays = []
        for field in self.schema:
            if field.name in columns:
                arrays.append(columns[field.name].cast(field.type))
            elif field.name == self.keys.id and pa.types.is_string(field.type):
                arrays.append(pa.array(ids, pa.string()))
            elif field.name in rows.schema.names:
                arrays.append(_as(rows.column(field.name), field.type))
            elif field.name == "id":
                arrays.append(pa.array(ids, pa.string()))
            else:
                arrays.append(pa.nulls(len(rows), field.type))
        if lost := set(rows.schema.names) - set(self.schema.names):
            raise ShardError(
                f"an input file has the column {min(lost)!r} and others have not; give it to all, or none"
            )
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _from_records(self, records: list[Any], ids: list[str], columns: dict[str, Any]) -> Any:  # noqa: ANN401
        documents = [
            to_document(record, id_, text_key=self.keys.text, id_key=self.keys.id or "")
            for record, id_ in zip(records, ids, strict=True)
        ]
        values = {name: array.to_pylist() for name, array in columns.items()}
        for i, doc in enumerate(documents):
            assert not isinstance(doc, str), doc
            doc.metadata |= {name: column[i] for name, column in values.items()}
        return to_batch(documents, self.schema)


def find_layout(source: Source, keys: Keys, weight_columns: Sequence[str], *, with_repeats: bool) -> Layout:
    """Return the layout for the documents of a source.

    Args:
        source: what is chosen from.
        keys: where records keep text and id.
        weight_columns: the columns of log weights.
        with_repeats: whether documents may be chosen more than once.
    """
    ours = [(name, pa.float64()) for name in weight_columns]
    ours += [("num_ngrams", pa.int64()), ("importance_lane", pa.string())]
    ours += [("repeats", pa.int16())] if with_repeats else []
    names = tuple(name for name, _ in ours)
    fields = _common_fields(source)
    if fields is not None:
        kept = [field for field in fields if field.name not in names]
        if (keys.id or "id") not in {field.name for field in kept}:
            kept.insert(0, pa.field(keys.id or "id", pa.string()))
        return Layout(pa.schema([*kept, *(pa.field(*pair) for pair in ours)]), names, True, keys)
    columns = infer_columns(source, text_key=keys.text, id_key=keys.id or "", with_custody=True)
    fields = [field for field in columns if field.name not in {*names, "id", "text", EXTRA_COLUMN}]
    extra = document_schema(()).field(EXTRA_COLUMN)
    head = [pa.field("id", pa.string()), pa.field("text", pa.string())]
    return Layout(pa.schema([*head, *fields, *(pa.field(*pair) for pair in ours), extra]), names, False, keys)


def _common_fields(source: Source) -> list[Any] | None:
    """Return the columns that all Parquet files of a source go into; None where there are no such columns."""
    if not all(is_parquet(file.name) for file in source.files):
        return None
    step = -(-len(source.files) // _MAX_FOOTERS)
    schemas = []
    for file in source.files[::step]:
        with source.open(file) as raw, contextlib.suppress(*([ShardError] if file.bad else [])):
            schemas.append(open_parquet(raw, file.name).schema_arrow.remove_metadata())
    try:
        unified = pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None
    return [pa.field(field.name, _plain_type(field.type), metadata=field.metadata) for field in unified]


def _plain_type(kind: Any) -> Any:  # noqa: ANN401 - a pyarrow type
    """Return a type without dictionary, of which each batch would bring its own, and without views."""
    if pa.types.is_string_view(kind):
        return pa.large_string()
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _as(column: Any, kind: Any) -> Any:  # noqa: ANN401 - a pyarrow array
    return column if column.type == kind else column.cast(kind)


class ChosenWriter:
    """The Parquet file of one rank on its way to disk, in row groups of at most 2,000 documents or about 32 MiB."""

    def __init__(self, part: PartFile, schema: Any) -> None:  # noqa: ANN401
        self.num_rows = 0
        self._waiting: list[Any] = []
        self._num_waiting = self._num_bytes = 0
        self._schema = schema
        self._writer = parquet.ParquetWriter(
            part,
            schema,
            compression="zstd",
            use_content_defined_chunking=True,
            write_page_index=True,
            write_page_checksum=True,
        )

    def add(self, batch: Any) -> None:  # noqa: ANN401 - a record batch
        """Append rows."""
        self._waiting.append(batch)
        self._num_waiting += batch.num_rows
        self._num_bytes += batch.nbytes
        self.num_rows += batch.num_rows
        if self._num_waiting >= _GROUP_ROWS or self._num_bytes >= _GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left and the footer."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting, self._schema))
        self._waiting, self._num_waiting, self._num_bytes = [], 0, 0
