"""Which metadata columns an input has, decided once by the launcher so that all shards of the output agree.

Parquet says it in its footer. For JSON lines, and for nested metadata, up to `_SAMPLE_RECORDS` records from each of up
to `_SAMPLE_FILES` files, spread over the list of files, are looked at; what turns up later than that is not lost, it
goes to `extra_metadata` (see `tables`).

| values in the sample | column |
| --- | --- |
| all true or false; all integers; all strings; lists of strings | `bool`; `int64`; `string`; `list<string>` |
| numbers, some with a fraction | `double` |
| nothing but null | `string` |
| anything else: objects, other lists, a mixture | JSON in a string |
| a flat Parquet column (also dates, binary, decimals) | its own type |
"""

import contextlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import pyarrow as pa

from datatrove_steps.custody import CUSTODY_TYPES
from datatrove_steps.extraction import WARC_COLUMNS, VisibleText
from datatrove_steps.readers import RawRecord, read_records
from datatrove_steps.records import to_document
from datatrove_steps.tables import EXTRA_COLUMN, Field, Schema, make_field
from hf_curation.files.reading import ShardError, is_parquet, is_warc, open_parquet
from hf_curation.files.shares import Share
from hf_curation.files.sources import Source, SourceFile

_SAMPLE_FILES: Final = 8
_SAMPLE_RECORDS: Final = 256
_MAX_COLUMNS: Final = 200


def infer_columns(source: Source, *, text_key: str = "text", id_key: str = "id", with_custody: bool = False) -> Schema:
    """Return the schema of the metadata columns of a source, sorted by name.

    Custody columns are left out, because a refining run adds them all, unless they are asked for. At most 200 columns,
    the ones that occur most often: records may invent a key each.

    Raises:
        ValueError: if a Parquet file has no column for the text.
    """
    step = max(1, -(-len(source.files) // _SAMPLE_FILES))
    kinds: defaultdict[str, set[str]] = defaultdict(set)
    counts: Counter[str] = Counter()
    declared: dict[str, Field] = {}
    for file in source.files[::step]:
        for record in _sample(source, file, text_key, declared):
            doc = to_document(record.value, "", text_key=text_key, id_key=id_key) if record.reason is None else ""
            if isinstance(doc, str):
                continue
            for key, value in doc.metadata.items():
                counts[key] += 1
                kinds[key].add(_kind(value))
    taken = set() if with_custody else CUSTODY_TYPES.keys()
    names = sorted(sorted(counts.keys() - taken), key=lambda key: -counts[key])[:_MAX_COLUMNS]
    return pa.schema([declared.get(name) or make_field(name, _type_name(kinds[name])) for name in sorted(names)])


def _sample(source: Source, file: SourceFile, text_key: str, declared: dict[str, Field]) -> Iterator[RawRecord]:
    """Yield the first records of a file. A damaged one is its task's to report, and ends here without a word.

    One that is left out is looked at like any other, as far as that goes: columns are the same with and without it.
    """
    with contextlib.suppress(ShardError, *([ValueError] if file.bad else [])):
        if is_parquet(file.name):
            declared |= _declared(source, file)
        if is_warc(file.name):  # what a capture brings is known, and extracting 256 pages takes a while
            VisibleText()
            yield RawRecord(0, {text_key: "-", **dict.fromkeys(WARC_COLUMNS, "")})
        else:
            yield from islice(read_records(source, file, Share(0), text_key=text_key), _SAMPLE_RECORDS)


def describe_columns(columns: Schema) -> dict[str, str]:
    """Return name -> type in words, for plans and cards."""
    return {field.name: "json" if field.metadata else str(field.type).replace("item: ", "") for field in columns}


def _declared(source: Source, file: SourceFile) -> dict[str, Field]:
    """Return the flat columns of a Parquet file, and of its struct column `metadata`."""
    with source.open(file) as raw:
        schema = open_parquet(raw, file.name).schema_arrow
    fields = [field for field in schema if field.name not in {"metadata", EXTRA_COLUMN}]
    index = schema.get_field_index("metadata")
    if index >= 0 and pa.types.is_struct(schema.field(index).type):
        fields += list(schema.field(index).type)
    return {field.name: _flat(field) for field in fields}


def _flat(field: Field) -> Field:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if field.metadata and b"hf_curation" in field.metadata:
        return field
    if pa.types.is_null(kind) or _is_text(kind):
        return make_field(field.name, "string")
    if (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and _is_text(kind.value_type):
        return make_field(field.name, "list<string>")
    return make_field(field.name, "json") if pa.types.is_nested(kind) else pa.field(field.name, kind)


def _is_text(kind: Any) -> bool:  # noqa: ANN401 - a pyarrow type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "int" if -(2**63) <= value < 2**63 else "other"
        case float():
            return "float"
        case str():
            return "text"
        case list() if all(isinstance(item, str) for item in value):
            return "texts" if value else "empty_list"
    return "other"


def _type_name(kinds: set[str]) -> str:
    kinds = kinds - {"null"}
    if "texts" in kinds:
        kinds = kinds - {"empty_list"}
    if len(kinds) <= 1:
        names = {"bool": "bool", "int": "int64", "float": "double", "texts": "list<string>", "text": "string"}
        return names.get(next(iter(kinds), "text"), "json")
    return "double" if kinds == {"int", "float"} else "json"
