import base64
import gzip
import json

import fsspec
import pyarrow as pa
import pytest
import zstandard
from datatrove.data import Document
from pyarrow import parquet

from datatrove_steps.readers import ReadDocuments
from hf_curation.files.reading import ShardError

RECORDS = [{"id": f"id-{i}", "text": f"text {i} é\u2028\u3000", "url": f"u{i}", "n": i} for i in range(1000)]
JSONL = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in RECORDS).encode()


@pytest.fixture
def packed(tmp_path):
    """The same 1,000 records in every format."""
    (tmp_path / "a.jsonl").write_bytes(JSONL)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(JSONL))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(JSONL))
    parquet.write_table(pa.Table.from_pylist(RECORDS), tmp_path / "d.parquet", row_group_size=170)
    return tmp_path


def read(source, rank=0, world_size=1, **kwargs):
    return list(ReadDocuments(source, **kwargs).run(None, rank, world_size))


def quarantined(folder):
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("name", ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.parquet"])
def test_every_format_gives_the_same_documents(packed, name):
    expected = [Document(text=r["text"], id=r["id"], metadata={"url": r["url"], "n": r["n"]}) for r in RECORDS]
    assert read(packed / name) == expected


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7, 40])
def test_the_union_over_tasks_is_everything_once(packed, world_size):
    shards = [read(packed, rank, world_size) for rank in range(world_size)]
    ids = sorted(doc.id for shard in shards for doc in shard)
    assert ids == sorted(4 * [r["id"] for r in RECORDS])
    assert all(shards)


@pytest.mark.parametrize("name", ["a.jsonl", "d.parquet"])
def test_more_tasks_than_records(packed, name):
    (packed / "tiny").mkdir()
    (packed / "tiny" / "x.jsonl").write_text('{"text": "a"}\n{"text": "b"}\n')
    assert [len(read(packed / "tiny", rank, 5)) for rank in range(5)] == [1, 1, 0, 0, 0]


@pytest.mark.parametrize("world_size", [1, 2, 7])
@pytest.mark.parametrize("limit", [1, 999, 1000, 1700, 9999])
def test_the_limit_is_of_the_run(packed, limit, world_size):
    docs = [doc.id for rank in range(world_size) for doc in read(packed, rank, world_size, limit=limit)]
    expected = (4 * [r["id"] for r in RECORDS])[:limit]
    assert sorted(docs) == sorted(expected)


def test_ids_without_own_id_say_where_a_record_stands(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "x.jsonl").write_text('{"text": "a"}\n\n{"text": "b", "id": ""}\nbad\n{"text": "c"}\n')
    assert [doc.id for doc in read(tmp_path / "in")] == ["x.jsonl/0", "x.jsonl/2", "x.jsonl/4"]
    ids = {doc.id for rank in range(3) for doc in read(tmp_path / "in", rank, 3)}
    assert ids == {"x.jsonl/0", "x.jsonl/2", "x.jsonl/4"}


def test_bad_records_are_quarantined_and_counted(tmp_path):
    lines = [
        b'\xef\xbb\xbf{"text": "after a BOM"}',
        b"not json",
        b'{"text": "caf\xe9"}',
        b'{"text": "half \\ud83d"}',
        b'["a list"]',
        b'{"text": 12345, "url": "u"}',
        b'{"body": "no text"}',
        b'{"text": "  \\n "}',
        b"   ",
        b'{"text": "good"}',
    ]
    (tmp_path / "x.jsonl").write_bytes(b"\n".join(lines))
    step = ReadDocuments(tmp_path / "x.jsonl", quarantine=tmp_path / "q")
    assert [doc.text for doc in step.run()] == ["after a BOM", "good"]
    rows = quarantined(tmp_path / "q")
    assert [(row["reason"], row["index"]) for row in rows] == [
        ("bad_json", 1),
        ("invalid_utf8", 2),
        ("lone_surrogate", 3),
        ("not_an_object", 4),
        ("text_not_string", 5),
        ("missing_text", 6),
        ("empty_text", 7),
    ]
    assert base64.b64decode(rows[1]["raw"]["base64"]).rstrip() == lines[2]
    assert rows[4]["record"] == {"text": 12345, "url": "u"}
    assert rows[0]["source"] == "x.jsonl"
    counts = {key: stat.total for key, stat in step.stats.stats.items() if key.startswith("quarantined")}
    assert counts == {f"quarantined_{row['reason']}": 1 for row in rows}


def test_without_a_folder_bad_records_are_still_counted(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b'bad\n{"text": "good"}\n')
    step = ReadDocuments(tmp_path / "x.jsonl")
    assert len(list(step.run())) == 1
    assert step.stats["quarantined_bad_json"].total == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.jsonl"]


def test_a_line_that_is_too_long_costs_no_other(tmp_path, monkeypatch):
    from datatrove_steps import readers

    monkeypatch.setattr(readers, "read_lines", lambda s, n: real(s, n, max_bytes=2000))
    real = __import__("hf_curation.files.reading", fromlist=["read_lines"]).read_lines
    long = json.dumps({"text": "x" * 5000})
    (tmp_path / "x.jsonl").write_text(f'{{"text": "a"}}\n{long}\n{{"text": "b"}}\n')
    assert [doc.text for doc in read(tmp_path / "x.jsonl", quarantine=tmp_path / "q")] == ["a", "b"]
    (row,) = quarantined(tmp_path / "q")
    assert row["reason"] == "record_too_long"
    assert len(base64.b64decode(row["raw"]["base64"])) == 1000


@pytest.mark.parametrize("name", ["b.jsonl.gz", "c.jsonl.zst", "d.parquet"])
def test_a_cut_file_stops_the_rank_and_quarantines_nothing(packed, name):
    data = (packed / name).read_bytes()
    (packed / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ShardError, match=name):
        read(packed / name, quarantine=packed / "q")
    assert not (packed / "q").exists() or not list((packed / "q").iterdir())


def test_invalid_utf8_inside_parquet_costs_one_row(tmp_path):
    good = pa.array(["a", "b", "c", "d"])
    data = good.buffers()[2].to_pybytes().replace(b"b", b"\xff")
    bad = pa.Array.from_buffers(pa.string(), 4, [None, good.buffers()[1], pa.py_buffer(data)])
    parquet.write_table(pa.table({"text": bad, "n": [0, 1, 2, 3]}), tmp_path / "x.parquet")
    docs = read(tmp_path / "x.parquet", quarantine=tmp_path / "q")
    assert [(doc.text, doc.metadata) for doc in docs] == [("a", {"n": 0}), ("c", {"n": 2}), ("d", {"n": 3})]
    (row,) = quarantined(tmp_path / "q")
    assert (row["reason"], row["index"]) == ("invalid_utf8", 1)
    assert row["record"] == {"text": {"base64": base64.b64encode(b"\xff").decode()}, "n": 1}


def test_another_file_system(packed):
    fs = fsspec.filesystem("memory")
    fs.put(f"{packed}/", "/hub/data", recursive=True)
    try:
        for world_size in (1, 3, 9):
            docs = [doc.id for rank in range(world_size) for doc in read("memory://hub/data", rank, world_size)]
            assert sorted(docs) == sorted(4 * [r["id"] for r in RECORDS])
    finally:
        fs.rm("/hub", recursive=True)


def test_documents_before_the_reader_pass_through(packed):
    before = [Document(text="first", id="0")]
    docs = list(ReadDocuments(packed / "a.jsonl", limit=1).run(iter(before)))
    assert [doc.id for doc in docs] == ["0", "id-0"]


def test_duplicate_and_missing_ids_are_no_error(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": 1, "text": "a"}\n{"id": 1, "text": "b"}\n')
    assert [doc.id for doc in read(tmp_path / "x.jsonl")] == ["1", "1"]


def test_no_file_path_is_added(packed):
    assert read(packed / "a.jsonl", limit=1)[0].metadata.keys() == {"url", "n"}
