import datetime
import json

import pyarrow as pa
import pytest
from datatrove.data import Document, Media
from hypothesis import given
from hypothesis import strategies as st

from datatrove_steps.tables import EXTRA_COLUMN, document_schema, make_field, rows_of, to_batch

COLUMNS = {"url": "string", "score": "double", "n": "int64", "ok": "bool", "tags": "list<string>", "tree": "json"}
SCHEMA = document_schema(COLUMNS)


def roundtrip(*documents, schema=SCHEMA):
    return rows_of(to_batch(documents, schema))


def page(text="t", id="1", **metadata):
    return Document(text=text, id=id, metadata=metadata)


def present(row):
    return {key: value for key, value in row.items() if value is not None and key not in ("id", "text")}


def test_values_that_fit_have_their_column():
    metadata = {"url": "u", "score": 0.5, "n": 3, "ok": True, "tags": ["a", "b"], "tree": {"a": [1, {"b": None}]}}
    batch = to_batch([page(**metadata)], SCHEMA)
    assert batch.column("tags").to_pylist() == [["a", "b"]]
    assert json.loads(batch.column("tree").to_pylist()[0]) == metadata["tree"]
    assert batch.column(EXTRA_COLUMN).to_pylist() == [None]
    assert present(rows_of(batch)[0]) == metadata


@pytest.mark.parametrize(
    "metadata",
    [
        {"surprise": 1, "more": ["x"]},
        {"url": 5},
        {"url": "lone \ud800 half"},
        {"n": 2**70},
        {"n": "five"},
        {"n": 1.5},
        {"tags": "abc"},
        {"tags": ["a", 1]},
        {"score": 2**60 + 1},
        {"ok": 1},
        {"id": "not the document's", "text": "not this either"},
        {EXTRA_COLUMN: "foreign"},
        {"tree": "just a string"},
        {"tree": {"\ud800": 1}},
    ],
    ids=repr,
)
def test_values_that_do_not_fit_are_not_lost(metadata):
    others = [page(id="0", url="u", tags=["z"], n=1), page(id="2")]
    before, row, after = roundtrip(others[0], page(**metadata), others[1])
    expected = {key: value for key, value in metadata.items() if key not in ("id", "text")}
    assert present(row) == expected
    assert (row.get("id"), row.get("text")) == (metadata.get("id", "1"), metadata.get("text", "t"))
    assert present(before) == {"url": "u", "tags": ["z"], "n": 1}
    assert present(after) == {}


flat = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.lists(st.text(), max_size=3)


@given(st.dictionaries(st.sampled_from([*COLUMNS, "other", "third"]), flat, max_size=5))
def test_metadata_survives_any_schema(metadata):
    row = present(roundtrip(page(**metadata))[0])
    expected = {key: value for key, value in metadata.items() if value is not None}
    # A double column holds integers and truth values as numbers; they compare equal.
    assert row == expected


def test_unknown_objects_become_words():
    day = datetime.date(2026, 11, 22)
    row = roundtrip(page(day=day, raw=b"\xff", path=pa))[0]
    assert (row["day"], row["raw"]) == ("2026-11-22", "/w==")
    assert row["path"].startswith("<module")


def test_media_is_kept():
    doc = page()
    doc.media = [Media(id="i", type=0, url="u", alt="a cat", media_bytes=b"\x00")]
    assert roundtrip(doc)[0]["media"][0]["alt"] == "a cat"


def test_all_documents_have_the_same_schema():
    batches = [to_batch([page(**metadata)], SCHEMA) for metadata in ({}, {"score": 1, "zzz": 2}, {"tags": []})]
    assert all(batch.schema.equals(SCHEMA, check_metadata=True) for batch in batches)


def test_text_without_utf8_is_named():
    with pytest.raises(ValueError, match="document 'bad' has 'text' that cannot be written"):
        to_batch([page(), page("\ud800", id="bad")], SCHEMA)
    with pytest.raises(ValueError, match=r"document '\\ud800' has 'id'"):
        to_batch([page(id="\ud800")], SCHEMA)


def test_the_order_of_columns():
    names = document_schema({"url": "string", "refine_status": "int64"}, keep_original=True, is_dropped=True).names
    assert names == [
        "id", "text", "url", "original_sha256", "doc_program", "chunk_program", "refine_status", "refine_rejected",
        "refine_fallbacks", "original_text", "filter_reason", "extra_metadata",
    ]  # fmt: skip
    assert document_schema().names[2] == "url"


def test_types_are_checked_up_front():
    assert make_field("x", "int32").type == pa.int32()
    with pytest.raises(ValueError, match="inti"):
        make_field("x", "inti")


def test_a_json_column_of_somebody_else_is_left_alone():
    batch = pa.RecordBatch.from_pylist([{"text": "t", EXTRA_COLUMN: '{"a": 1}', "tree": "[1]"}])
    assert rows_of(batch) == [{"text": "t", EXTRA_COLUMN: '{"a": 1}', "tree": "[1]"}]
