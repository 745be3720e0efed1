import datetime
import json

import pyarrow as pa
import pytest
from datatrove.data import Document
from pyarrow import parquet

from datatrove_steps.columns import describe_columns, infer_columns
from datatrove_steps.tables import document_schema, to_batch
from hf_curation.files.sources import find_source


def infer(path, **kwargs):
    return describe_columns(infer_columns(find_source(path), **kwargs))


def write(path, records):
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_types_of_json_lines(tmp_path):
    base = {
        "url": "u", "n": 1, "x": 1, "ok": True, "tags": [], "tree": {}, "mixed": 1, "never": None, "some": None,
        "big": 2**64 - 1, "lists": [1], "empty": [],
    }  # fmt: skip
    records = [{"text": "t", "id": 1, **base}, {"text": "t", **base, "x": 1.5, "tags": ["a"], "mixed": "s", "some": 1}]
    assert infer(write(tmp_path / "a.jsonl", records)) == {
        "big": "json", "empty": "json", "lists": "json", "mixed": "json", "n": "int64", "never": "string",
        "ok": "bool", "some": "int64", "tags": "list<string>", "tree": "json", "url": "string", "x": "double",
    }  # fmt: skip


def test_both_layouts_have_the_same_columns(tmp_path):
    flat = write(tmp_path / "flat.jsonl", [{"text": "t", "url": "u", "n": 1}])
    nested = write(tmp_path / "nested.jsonl", [{"text": "t", "metadata": {"url": "u", "n": 1}}])
    assert infer(flat) == infer(nested) == {"n": "int64", "url": "string"}


def test_parquet_says_its_types_itself(tmp_path):
    table = pa.table(
        {
            "text": ["t"],
            "day": pa.array([datetime.date(2026, 1, 1)]),
            "small": pa.array([1], pa.int8()),
            "words": pa.array(["a"]).dictionary_encode(),
            "tags": pa.array([["a"]], pa.large_list(pa.large_string())),
            "struct": [{"a": 1}],
            "nothing": pa.nulls(1),
        }
    )
    parquet.write_table(table, tmp_path / "a.parquet")
    assert infer(tmp_path / "a.parquet") == {
        "day": "date32[day]", "nothing": "string", "small": "int8", "struct": "json", "tags": "list<string>",
        "words": "string",
    }  # fmt: skip


def test_struct_metadata_of_parquet_is_flattened(tmp_path):
    rows = [{"text": "t", "metadata": {"url": "u", "n": 1, "deep": {"a": 1}}}]
    parquet.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    assert infer(tmp_path / "a.parquet") == {"deep": "json", "n": "int64", "url": "string"}


def test_what_we_wrote_has_the_same_columns_again(tmp_path):
    columns = {"url": "string", "tree": "json", "tags": "list<string>"}
    schema = document_schema(columns)
    docs = [Document(text="t", id="1", metadata={"url": "u", "tree": [1], "tags": ["a"], "zzz": 1})]
    parquet.write_table(pa.Table.from_batches([to_batch(docs, schema)]), tmp_path / "a.parquet")
    found = infer(tmp_path / "a.parquet")
    assert columns.items() <= found.items()
    assert found["zzz"] == "int64"
    assert "extra_metadata" not in found


def test_bad_records_do_not_matter(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'not json\n{"text": "\xe9"}\n{"text": 5, "x": 1}\n{"text": "t", "n": 1}\n')
    assert infer(path) == {"n": "int64"}


def test_columns_are_bounded(tmp_path):
    records = [{"text": "t", "common": 1, f"key{i}": 1} for i in range(256)]
    columns = infer(write(tmp_path / "a.jsonl", records))
    assert len(columns) == 200
    assert "common" in columns


def test_a_parquet_without_text_says_what_it_has(tmp_path):
    parquet.write_table(pa.table({"body": ["t"], "url": ["u"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet has no column 'text'; name one with --text-key: body, url"):
        infer(tmp_path / "a.parquet")
    assert infer(tmp_path / "a.parquet", text_key="body") == {"url": "string"}
