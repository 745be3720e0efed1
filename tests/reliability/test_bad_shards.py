"""A damaged file fails its task by name, the others finish, nothing of it is published, the exit code is not 0.

datatrove 0.10 publishes 498 of 994 documents of a `.gz` cut in half, or with one flipped bit, under the final name.
"""

import gzip
import io
import json
import shutil

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from datatrove_steps.readers import ReadDocuments
from hf_curation.files.reading import ShardError, open_parquet, read_rows

RECORDS = [{"id": f"d{i}", "text": f"Whales sing for hours, number {i * i}. " * (1 + i % 5)} for i in range(60)]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS).encode()


def as_parquet(records, **options):
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(records), sink, row_group_size=20, **options)
    return sink.getvalue()


PACKED = {
    "bad.jsonl.gz": gzip.compress(LINES, mtime=0),
    "bad.jsonl.zst": zstandard.ZstdCompressor(write_checksum=True).compress(LINES),
    "bad.parquet": as_parquet(RECORDS, write_page_checksum=True),
}
CUTS = [(name, tenth) for name in PACKED for tenth in range(10)]


@pytest.fixture
def refine(tmp_path, launch):
    """Refine a good shard and one more in two tasks; returns exit code and output folder."""

    def run(name, data, *more):
        (tmp_path / "in").mkdir()
        (tmp_path / "in" / "good.jsonl").write_bytes(LINES)
        (tmp_path / "in" / name).write_bytes(data)
        more = ["--tasks", "2", "--doc-refiner", "none", *more]
        return launch("refine", tmp_path / "in", tmp_path / "out", *more), tmp_path / "out"

    return run


def assert_only_the_good_one(code, out, err, name):
    assert code == 1
    assert f": {name}: " in err
    assert "1 of 2 tasks failed and published nothing; the others are finished" in err
    (manifest,) = (out / "manifests").glob("*.json")
    assert [share["name"] for share in json.loads(manifest.read_bytes())["inputs"]] == ["good.jsonl"]
    assert [path.stem for path in (out / "data").glob("*")] == [manifest.stem], "no file of the other, no part either"
    assert not (out / "summary.json").exists()
    with pytest.raises(ValueError, match="holds 1 of 2 finished tasks"):
        list(ReadDocuments(out).run())


@pytest.mark.parametrize(("name", "tenth"), CUTS)
def test_a_shard_cut_at_every_tenth(name, tenth, refine, capsys):
    data = PACKED[name]
    code, out = refine(name, data[: len(data) * tenth // 10])
    assert_only_the_good_one(code, out, capsys.readouterr().err, name)


@pytest.mark.parametrize("where", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("name", ["bad.jsonl.gz", "bad.jsonl.zst"])
def test_a_flipped_bit(name, where, refine, capsys):
    data = bytearray(PACKED[name])
    data[int(len(data) * where)] ^= 16
    code, out = refine(name, bytes(data))
    assert_only_the_good_one(code, out, capsys.readouterr().err, name)


def test_a_flipped_bit_in_parquet_is_an_error_or_changes_nothing():
    """Checksums are of the pages: a bit in their statistics, which nobody reads here, may go unseen."""
    data, errors = PACKED["bad.parquet"], 0
    end_of_pages = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    good = pa.Table.from_pylist(RECORDS)
    for place in range(4, end_of_pages, 11):
        flipped = bytearray(data)
        flipped[place] ^= 16
        file = open_parquet(io.BytesIO(flipped), "bad.parquet")
        try:
            batches = [batch for _, batch in read_rows(file, "bad.parquet", start=0, stop=60)]
        except ShardError:
            errors += 1
        else:
            assert pa.Table.from_batches(batches).equals(good)
    assert errors > end_of_pages / 11 / 3


def test_a_flipped_bit_in_what_we_wrote_is_found(tmp_path, launch, capsys):
    """Pages of our Parquet carry checksums: the next stage does not take a changed text for the text."""
    (tmp_path / "in.jsonl").write_bytes(LINES)
    assert launch("refine", tmp_path / "in.jsonl", tmp_path / "one") == 0
    (path,) = (tmp_path / "one/data").iterdir()
    chunk = parquet.read_metadata(path).row_group(0).column(parquet.read_schema(path).get_field_index("text"))
    data = bytearray(path.read_bytes())
    data[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    path.write_bytes(data)
    for verb in ("refine", "tokenize"):
        assert launch(verb, tmp_path / "one", tmp_path / verb) == 1
        assert "data/00000.parquet: damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("bad.parquet", LINES, "no readable Parquet footer"),
        ("bad.parquet", b"", "no readable Parquet footer"),
        ("bad.parquet", PACKED["bad.parquet"][:-8], "no readable Parquet footer"),
        ("bad.parquet", PACKED["bad.jsonl.gz"], "no readable Parquet footer"),
        ("bad.jsonl", PACKED["bad.parquet"], "its first bytes are those of Parquet; name it .parquet"),
        ("bad.jsonl.gz", b"", "is empty, and no compressed file is"),
        ("bad.jsonl.zst", b"", "is empty, and no compressed file is"),
    ],
)
def test_a_file_that_is_not_what_its_name_says(name, data, says, refine, capsys):
    code, out = refine(name, data)
    err = capsys.readouterr().err
    assert_only_the_good_one(code, out, err, name)
    assert says in err


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("plain.jsonl", PACKED["bad.jsonl.gz"]),
        ("other.jsonl.gz", PACKED["bad.jsonl.zst"]),
        ("none.jsonl.zst", LINES),
        ("members.jsonl.gz", gzip.compress(LINES[:1000], mtime=0) + gzip.compress(LINES[1000:], mtime=0)),
        ("frames.jsonl.zst", zstandard.compress(LINES[:1000]) + zstandard.compress(LINES[1000:])),
    ],
)
def test_first_bytes_count_and_names_do_not(name, data, refine, accounts):
    code, out = refine(name, data)
    assert code == 0
    assert accounts(out) == (120, 120, {})


def test_a_file_without_a_byte_has_no_documents(refine, accounts):
    code, out = refine("none.jsonl", b"")
    assert code == 0
    assert accounts(out) == (60, 60, {})


DRIFTS = {
    "another column": ({"id": "d", "text": "x", "more": 1}, (61, 61, {})),
    "a column less": ({"text": "x"}, (61, 61, {})),
    "another type of id": ({"id": 7, "text": "x"}, (61, 61, {})),
    "numbers for texts": ({"id": "d", "text": 7}, (61, 60, {"text_not_string": 1})),
    "nulls for texts": ({"id": "d", "text": None}, (61, 60, {"missing_text": 1})),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_a_shard_of_another_schema(drift, refine, accounts):
    record, expected = DRIFTS[drift]
    code, out = refine("drift.parquet", as_parquet([record]))
    assert code == 0
    assert accounts(out) == expected
    (schema,) = {parquet.read_schema(path) for path in (out / "data").iterdir()}
    assert schema.field("text").type in (pa.string(), pa.large_string())


def test_a_shard_without_the_column_of_the_text(refine, capsys):
    """Noticed before any task runs, or by its task: either way it is named, with the columns that there are."""
    code, out = refine("drift.parquet", as_parquet([{"id": "d", "body": "x"}]))
    assert code == 1
    assert "drift.parquet has no column 'text'; name one with --text-key: id, body" in capsys.readouterr().err
    assert not (out / "summary.json").exists()


@pytest.mark.parametrize("verb", ["select", "tokenize"])
@pytest.mark.parametrize("name", PACKED)
def test_other_verbs_notice_too(verb, name, tmp_path, launch, capsys):
    data = PACKED[name]
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    assert launch(verb, tmp_path / name, tmp_path / "out") == 1
    assert f"{name}: " in capsys.readouterr().err
    assert not (tmp_path / "out" / "summary.json").exists()


def test_a_mended_shard_is_another_input(refine, tmp_path, launch, capsys):
    """Another file is another input, so the run says so; with `--overwrite` it starts afresh, and is whole."""
    code, out = refine("bad.parquet", PACKED["bad.parquet"][:100])
    assert code == 1
    shutil.copyfile(tmp_path / "in/good.jsonl", tmp_path / "in/bad.jsonl")
    (tmp_path / "in/bad.parquet").unlink()
    more = ["--tasks", "2", "--doc-refiner", "none"]
    assert launch("refine", tmp_path / "in", out, *more) == 1
    assert "input" in capsys.readouterr().err
    assert launch("refine", tmp_path / "in", out, *more, "--overwrite") == 0
    assert len(list(ReadDocuments(out).run())) == 120
