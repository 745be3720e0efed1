"""Documents as Arrow tables of one declared schema, and back.

Columns: `id`, `text`, the declared metadata columns, the custody columns, and `extra_metadata`. The schema is fixed
before the first document is seen, so that the shards of all tasks agree (datatrove takes it from a shard's first
document, and its shards then clash: its issue 412). Nothing is lost to the schema:

- a metadata key without a column, and a value that its column's type cannot hold, go to `extra_metadata`, a JSON
  object as a string, null where there is nothing to hold;
- a column of nested values (anything but a scalar or a list of strings) is a string column of JSON.

Both kinds of JSON are marked in the metadata of the Arrow field (`hf_curation: json | extra`), and `rows_of` undoes
them, so that a document which is written and read again has the same metadata. Values that JSON does not know are
written as ISO dates, base64 or `str`.
"""

import base64
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import orjson
import pyarrow as pa
from datatrove.data import Document

from datatrove_steps.custody import CUSTODY_TYPES

# pyarrow ships no types; these say what is meant.
Schema: TypeAlias = Any
Field: TypeAlias = Any
Batch: TypeAlias = Any
Array: TypeAlias = Any

EXTRA_COLUMN: Final = "extra_metadata"
_MARK: Final = b"hf_curation"
_NO_FIT: Final = (pa.ArrowException, ValueError, TypeError, OverflowError)


def make_field(name: str, type_name: str) -> Field:
    """Return the Arrow field of a column of type `string`, `int64`, ... (Arrow's names), `list<string>` or `json`.

    Raises:
        ValueError: if there is no such type.
    """
    if type_name == "json":
        return pa.field(name, pa.string(), metadata={_MARK: b"json"})
    if type_name == "list<string>":
        return pa.field(name, pa.list_(pa.string()))
    return pa.field(name, pa.type_for_alias(type_name))


def document_schema(
    columns: Schema | Mapping[str, str] | None = None,
    *,
    keep_original: bool = False,
    is_dropped: bool = False,
) -> Schema:
    """Return the schema of a Parquet file of documents.

    Args:
        columns: the metadata columns: a `pyarrow.Schema` (see `columns.infer_columns`) or a mapping of names to the
            types of `make_field`; None: only `url`.
        keep_original: with the column `original_text`.
        is_dropped: with the column `filter_reason`, for documents that were left out.
    """
    if columns is None:
        columns = {"url": "string"}
    if isinstance(columns, Mapping):
        columns = [make_field(name, kind) for name, kind in columns.items()]
    fields: Iterable[Field] = columns
    ours = dict(CUSTODY_TYPES)
    if keep_original:
        ours["original_text"] = "string"
    if is_dropped:
        ours["filter_reason"] = "string"
    taken = {"id", "text", EXTRA_COLUMN, *ours}
    return pa.schema(
        [
            pa.field("id", pa.string()),
            pa.field("text", pa.string()),
            *(field for field in fields if field.name not in taken),
            *(make_field(name, kind) for name, kind in ours.items()),
            pa.field(EXTRA_COLUMN, pa.string(), metadata={_MARK: b"extra"}),
        ]
    )


def to_batch(documents: Sequence[Document], schema: Schema) -> Batch:
    """Return the record batch of documents.

    Raises:
        ValueError: if a text or an id has no UTF-8 (quarantine such documents before writing).
    """
    columns = set(schema.names) - {"id", "text", EXTRA_COLUMN}
    extras = [
        {key: doc.metadata[key] for key in doc.metadata.keys() - columns if doc.metadata[key] is not None}
        for doc in documents
    ]
    for doc, extra in zip(documents, extras, strict=True):
        if doc.media:
            extra["media"] = [dataclasses.asdict(media) for media in doc.media]
    arrays = []
    for field in schema:
        if field.name in ("id", "text"):
            arrays.append(_required([getattr(doc, field.name) for doc in documents], field, documents))
        elif field.name == EXTRA_COLUMN:
            arrays.append(pa.array([to_json(extra) if extra else None for extra in extras], pa.string()))
        else:
            arrays.append(_optional([doc.metadata.get(field.name) for doc in documents], field, extras))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def rows_of(batch: Batch) -> list[dict[str, Any]]:
    """Return a record batch as one dict per row, with the JSON columns that `to_batch` made turned back into values.

    Raises:
        UnicodeDecodeError: if a string column holds bytes that are no UTF-8.
    """
    names = batch.schema.names
    values = [column.to_pylist() for column in batch.columns]
    extra = -1
    for i, field in enumerate(batch.schema):
        match (field.metadata or {}).get(_MARK):
            case b"json":
                values[i] = [None if value is None else _from_json(value) for value in values[i]]
            case b"extra":
                extra = i
    if extra < 0:
        return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    extras = values.pop(extra)
    names = [*names[:extra], *names[extra + 1 :]]
    rows = [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]
    for row, rest in zip(rows, extras, strict=True):
        if rest is not None:
            row |= cast("dict[str, Any]", _from_json(rest))
    return rows


def to_json(value: object) -> str:
    """Return any value as JSON; what has no UTF-8 is written as escapes, unknown objects by `str`."""
    try:
        return orjson.dumps(value, default=_plain, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # lone surrogates, integers over 64 bits
        return json.dumps(value, default=_plain)


def _from_json(text: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return json.loads(text)


def _plain(value: object) -> str:
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)


def _required(values: list[Any], field: Field, documents: Sequence[Document]) -> Array:
    try:
        return pa.array(values, type=field.type)
    except _NO_FIT as error:
        for doc, value in zip(documents, values, strict=True):
            if not _fits(value, field):
                raise ValueError(
                    f"document {doc.id!a} has {field.name!r} that cannot be written ({type(value).__name__} "
                    "without UTF-8); read it with ReadDocuments, which quarantines such documents"
                ) from error
        raise


def _optional(values: list[Any], field: Field, extras: Sequence[dict[str, Any]]) -> Array:
    """Return a column; values that do not fit are null in it and go to the extras."""
    if (field.metadata or {}).get(_MARK) == b"json":
        values = [None if value is None else to_json(value) for value in values]
    bent = _bent_type(field)
    try:
        if not (bent and any(isinstance(value, bent) for value in values)):
            return pa.array(values, type=field.type)
    except _NO_FIT:
        pass  # some value does not fit: below, which
    for i, value in enumerate(values):
        if not _fits(value, field):
            extras[i][field.name] = value
            values[i] = None
    return pa.array(values, type=field.type)


def _fits(value: object, field: Field) -> bool:
    bent = _bent_type(field)
    if bent and isinstance(value, bent):
        return False
    try:
        pa.array([value], type=field.type)
    except _NO_FIT:
        return False
    return True


def _bent_type(field: Field) -> type | None:
    """Return the Python type that pyarrow takes for this column without a word, and makes something else of."""
    if pa.types.is_list(field.type):
        return str  # spelled out into a list of letters
    if pa.types.is_integer(field.type):
        return float  # cut to a whole number
    if pa.types.is_floating(field.type):
        return bool
    return bytes if pa.types.is_string(field.type) else None
