import gzip
import json
import os
import pickle
from hashlib import sha256

import pytest
import zstandard
from datatrove.data import Document
from datatrove.pipeline.filters import LambdaFilter
from pyarrow import parquet

from datatrove_steps import writers
from datatrove_steps.ledger import Ledger
from datatrove_steps.readers import ReadDocuments
from datatrove_steps.tables import document_schema
from datatrove_steps.writers import WriteJsonl, WriteParquet

COLUMNS = {"url": "string", "n": "int64"}


def documents(count=100):
    return [
        Document(text=f"text {i} \u2028é" * 20, id=str(i), metadata={"url": f"u{i}", "n": i}) for i in range(count)
    ]


def writer_of(kind, folder, **kwargs):
    if kind == "parquet":
        return WriteParquet(folder, columns=COLUMNS, **kwargs)
    return WriteJsonl(folder, compression={"gz": "gzip", "zst": "zstd", "plain": None}[kind], **kwargs)


KINDS = ["parquet", "gz", "zst", "plain"]


def run(writer, docs, rank=0):
    return list(writer.run(iter(docs), rank))


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_is_read_again(tmp_path, kind):
    docs = documents()
    assert run(writer_of(kind, tmp_path), docs, rank=3) == docs
    (path,) = tmp_path.iterdir()
    assert path.name.startswith("00003.")
    again = list(ReadDocuments(path).run())
    assert [(doc.id, doc.text, {k: v for k, v in doc.metadata.items() if v is not None}) for doc in again] == [
        (doc.id, doc.text, doc.metadata) for doc in docs
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_equal_documents_are_equal_bytes(tmp_path, kind, monkeypatch):
    run(writer_of(kind, tmp_path / "a"), documents())
    monkeypatch.setattr("time.time", lambda: 0)
    run(writer_of(kind, tmp_path / "b"), documents())
    (one,), (two,) = (tmp_path / "a").iterdir(), (tmp_path / "b").iterdir()
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_without_documents_leaves_an_empty_file(tmp_path, kind):
    run(writer_of(kind, tmp_path), [])
    (path,) = tmp_path.iterdir()
    if kind == "parquet":
        run(writer_of(kind, tmp_path), documents(), rank=1)
        assert parquet.read_schema(path).equals(parquet.read_schema(tmp_path / "00001.parquet"), check_metadata=True)
        assert parquet.read_schema(path).names == document_schema(COLUMNS).names
    assert list(ReadDocuments(path).run()) == []


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_there_before_the_end(tmp_path, kind):
    seen = []
    for _ in writer_of(kind, tmp_path).run(iter(documents(3)), 0):
        seen.append([path.name for path in tmp_path.iterdir() if not path.name.endswith(".part")])
    assert seen == [[], [], []]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_upstream_leaves_nothing(tmp_path, kind):
    def failing():
        yield from documents(5)
        raise RuntimeError("upstream")

    with pytest.raises(RuntimeError, match="upstream"):
        run(writer_of(kind, tmp_path), failing())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_caller_who_stops_early_leaves_nothing(tmp_path, kind):
    stream = writer_of(kind, tmp_path).run(iter(documents(5)), 0)
    next(stream)
    stream.close()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_fails_the_rank_and_leaves_nothing(tmp_path, kind, monkeypatch):
    def full(self, data):
        if self.num_bytes + len(data) > 100:
            raise OSError(28, "No space left on device")
        return real(self, data)

    real = writers.PartFile.write
    monkeypatch.setattr(writers.PartFile, "write", full)
    with pytest.raises(OSError, match="No space left"):
        run(writer_of(kind, tmp_path), documents())
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("kind", KINDS)
def test_one_object_serves_several_ranks_in_turn(tmp_path, kind):
    writer = writer_of(kind, tmp_path / "together")
    for rank in range(3):
        run(writer, documents(rank * 2), rank)
        run(writer_of(kind, tmp_path / "alone"), documents(rank * 2), rank)
    for path in sorted((tmp_path / "alone").iterdir()):
        assert (tmp_path / "together" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("kind", KINDS)
def test_as_somebodys_exclusion_writer(tmp_path, kind):
    step = LambdaFilter(lambda doc: doc.metadata["n"] % 2 == 0, exclusion_writer=writer_of(kind, tmp_path))
    assert len(list(step.run(iter(documents(10)), rank=1))) == 5
    (path,) = tmp_path.iterdir()
    assert [doc.metadata["n"] for doc in ReadDocuments(path).run()] == [1, 3, 5, 7, 9]
    list(LambdaFilter(lambda doc: True, exclusion_writer=writer_of(kind, tmp_path / "none")).run(iter(documents(2))))
    assert not (tmp_path / "none").exists()


def test_one_writer_cannot_serve_two_steps_at_once(tmp_path):
    writer = WriteParquet(tmp_path)
    inner = LambdaFilter(lambda doc: doc.metadata["n"] % 2, exclusion_writer=writer)
    outer = LambdaFilter(lambda doc: doc.metadata["n"] % 3, exclusion_writer=writer)
    with pytest.raises(ValueError, match="serves two steps at once"):
        list(outer.run(inner.run(iter(documents(10)))))
    assert os.listdir(tmp_path) == []


def test_later_steps_do_not_change_what_was_written(tmp_path):
    for doc in WriteParquet(tmp_path, columns=COLUMNS).run(iter(documents(5)), 0):
        doc.text = "changed"
        doc.metadata["url"] = "changed"
    assert [(doc.id, doc.metadata["url"]) for doc in ReadDocuments(tmp_path).run()] == [
        (str(i), f"u{i}") for i in range(5)
    ]


def test_large_shards_have_several_row_groups_of_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "_GROUP_ROWS", 30)
    run(WriteParquet(tmp_path, columns=COLUMNS), documents(100))
    file = parquet.ParquetFile(tmp_path / "00000.parquet")
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [30, 30, 30, 10]
    assert [doc.id for doc in ReadDocuments(tmp_path).run()] == [str(i) for i in range(100)]


def test_with_a_ledger_nothing_is_published_yet(tmp_path):
    ledger = Ledger()
    page = ledger.open(0)
    run(WriteJsonl(tmp_path, ledger=ledger), documents(3))
    assert all(name.endswith(".part") for name in os.listdir(tmp_path))
    (finished,) = page.parts
    described = finished.describe(tmp_path)
    finished.part.publish()
    data = (tmp_path / "00000.jsonl.gz").read_bytes()
    assert described.name == "00000.jsonl.gz"
    assert (described.num_rows, described.num_bytes, described.sha256) == (3, len(data), sha256(data).hexdigest())
    assert described.content_sha256 == sha256(gzip.decompress(data)).hexdigest()


def test_a_ledger_without_its_last_step_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="PublishRank"):
        run(WriteJsonl(tmp_path, ledger=Ledger()), documents(1))
    assert os.listdir(tmp_path) == []


def test_jsonl_is_in_datatroves_layout_and_has_no_time(tmp_path):
    run(WriteJsonl(tmp_path), documents(1))
    data = (tmp_path / "00000.jsonl.gz").read_bytes()
    assert data[4:8] == bytes(4), "the time in the gzip header"
    assert json.loads(gzip.decompress(data)) == {
        "id": "0",
        "text": documents(1)[0].text,
        "metadata": {"url": "u0", "n": 0},
    }


def test_jsonl_holds_what_has_no_utf8_as_escapes(tmp_path):
    run(WriteJsonl(tmp_path, compression=None), [Document(text="a\ud800", id="x")])
    assert json.loads((tmp_path / "00000.jsonl").read_text())["text"] == "a\ud800"


def test_zstd_has_a_checksum(tmp_path):
    run(WriteJsonl(tmp_path, compression="zstd"), documents(1))
    assert zstandard.get_frame_parameters((tmp_path / "00000.jsonl.zst").read_bytes()).has_checksum


@pytest.mark.parametrize("kind", KINDS)
def test_writers_pickle(tmp_path, kind):
    run(pickle.loads(pickle.dumps(writer_of(kind, tmp_path))), documents(2))  # noqa: S301
    assert len(list(ReadDocuments(tmp_path).run())) == 2


def test_what_cannot_be_is_refused_up_front(tmp_path):
    with pytest.raises(ValueError, match="s3://bucket is not a local folder"):
        WriteParquet("s3://bucket")
    with pytest.raises(ValueError, match="got 'snappy'"):
        WriteJsonl(tmp_path, compression="snappy")
