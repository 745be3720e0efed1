import gzip
import json

import fsspec
import pyarrow as pa
import pytest
from pyarrow import parquet

from hf_curation.files import digests
from hf_curation.files.sources import find_source, fingerprint, limit_records


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "in"
    (root / "sub").mkdir(parents=True)
    (root / "b.jsonl").write_text('{"text": "1"}\n\n{"text": "2"}\n{"text": "3"}\n')
    (root / "sub" / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "4"}\n' * 4, mtime=0))
    (root / "README.md").write_text("hello")
    (root / ".hidden.jsonl").write_text("{}")
    (root / ".cache").mkdir()
    (root / ".cache" / "x.jsonl").write_text("{}")
    parquet.write_table(pa.table({"text": ["5", "6"]}), root / "c.parquet")
    return root


def names(source):
    return [file.name for file in source.files]


def test_a_folder_lists_its_data_and_says_what_it_skipped(folder):
    source = find_source(folder)
    assert names(source) == ["b.jsonl", "c.parquet", "sub/a.jsonl.gz"]
    assert source.skipped == (".hidden.jsonl", "README.md")
    assert source.is_local
    assert [file.num_bytes for file in source.files] == [(folder / name).stat().st_size for name in names(source)]


def test_a_file_needs_no_known_name(tmp_path):
    (tmp_path / "dump.txt").write_text('{"text": "1"}\n')
    assert names(find_source(tmp_path / "dump.txt")) == ["dump.txt"]


def test_a_pattern(folder):
    assert names(find_source(f"{folder}/*.jsonl")) == ["b.jsonl"]
    assert names(find_source(f"{folder}/**/*.gz")) == ["sub/a.jsonl.gz"]


def test_relative_paths_and_home(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find_source("in") == find_source("~/in") == find_source(folder)


def test_nothing_there_and_nothing_to_read(tmp_path):
    with pytest.raises(ValueError, match=r"there is nothing at .*missing"):
        find_source(tmp_path / "missing")
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"no \.jsonl.* at .*; it holds notes\.txt"):
        find_source(tmp_path)


def test_another_file_system(folder):
    fs = fsspec.filesystem("memory")
    fs.pipe({"/bucket/in/b.jsonl": (folder / "b.jsonl").read_bytes(), "/bucket/in/notes.md": b"x"})
    try:
        source = fingerprint(find_source("memory://bucket/in"))
        assert names(source) == ["b.jsonl"]
        assert not source.is_local
        assert source.files[0].digest == fingerprint(find_source(folder)).files[0].digest
        with source.open(source.files[0]) as stream:
            assert stream.read() == (folder / "b.jsonl").read_bytes()
        assert names(find_source("memory://bucket/in/b.jsonl")) == ["b.jsonl"]
        assert names(limit_records(source, 2)) == ["b.jsonl"]
    finally:
        fs.rm("/bucket", recursive=True)


def test_a_store_that_does_not_answer(monkeypatch):
    class ClientError(Exception):
        pass

    def fail(*_, **__):
        raise ClientError("connection refused")

    monkeypatch.setattr(fsspec.get_filesystem_class("memory"), "exists", fail)
    with pytest.raises(OSError, match=r"memory://x cannot be listed \(ClientError: connection refused\)"):
        find_source("memory://x")


def test_a_store_that_knows_its_files_is_believed(folder, monkeypatch):
    fs = fsspec.filesystem("memory")
    fs.pipe("/tagged/b.jsonl", b"{}\n")
    real = fs.info
    monkeypatch.setattr(type(fs), "info", lambda self, path, **kw: {**real(path), "ETag": '"abc"'})
    try:
        assert fingerprint(find_source("memory://tagged")).files[0].digest == 'tag:"abc"'
    finally:
        monkeypatch.undo()
        fs.rm("/tagged", recursive=True)


def test_the_fingerprint_changes_with_what_is_read(folder):
    before = fingerprint(find_source(folder)).fingerprint
    assert fingerprint(find_source(folder)).fingerprint == before
    (folder / "README.md").write_text("other")
    assert fingerprint(find_source(folder)).fingerprint == before
    data = (folder / "b.jsonl").read_bytes()
    (folder / "b.jsonl").write_bytes(data.replace(b"1", b"7"))
    assert fingerprint(find_source(folder)).fingerprint != before
    (folder / "b.jsonl").write_bytes(data)
    assert fingerprint(find_source(folder)).fingerprint == before
    (folder / "b.jsonl").rename(folder / "z.jsonl")
    assert fingerprint(find_source(folder)).fingerprint != before


def test_the_fingerprint_does_not_say_where_the_folder_is(folder, tmp_path):
    before = fingerprint(find_source(folder)).fingerprint
    folder.rename(tmp_path / "moved")
    assert fingerprint(find_source(tmp_path / "moved")).fingerprint == before


def test_a_large_file_is_sampled(folder, monkeypatch):
    monkeypatch.setattr(digests, "_WHOLE_BYTES", 10)
    monkeypatch.setattr(digests, "_BLOCK_BYTES", 4)
    path = folder / "b.jsonl"
    digest = fingerprint(find_source(path)).files[0].digest
    assert digest.startswith("blocks:")
    path.write_bytes(path.read_bytes() + b"\n")
    assert fingerprint(find_source(path)).files[0].digest != digest


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (1, [("b.jsonl", 1)]),
        (2, [("b.jsonl", 3)]),  # a blank line is no record
        (3, [("b.jsonl", 4)]),
        (4, [("b.jsonl", None), ("c.parquet", 1)]),
        (5, [("b.jsonl", None), ("c.parquet", 2)]),
        (6, [("b.jsonl", None), ("c.parquet", None), ("sub/a.jsonl.gz", 1)]),
        (99, [("b.jsonl", None), ("c.parquet", None), ("sub/a.jsonl.gz", None)]),
    ],
)
def test_a_limit_counts_documents_over_all_files(folder, limit, expected):
    assert [(file.name, file.stop) for file in limit_records(find_source(folder), limit).files] == expected


def test_a_limit_is_at_least_one(folder):
    with pytest.raises(ValueError, match="at least 1 document, got 0"):
        limit_records(find_source(folder), 0)


def test_a_run_of_ours_is_read_by_its_manifests(tmp_path):
    run = tmp_path / "run"
    for name in ("data/00000.parquet", "data/stale.parquet", "dropped/chunk-00000.parquet"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(pa.table({"text": ["x"]}), run / name)
    (run / "manifests").mkdir()
    (run / "plan.json").write_text(json.dumps({"world_size": 1}))
    with pytest.raises(ValueError, match="0 of 1 finished tasks"):
        find_source(run)
    outputs = [{"name": "data/00000.parquet"}, {"name": "dropped/chunk-00000.parquet"}]
    (run / "manifests" / "00000.json").write_text(json.dumps({"outputs": outputs}))
    assert names(find_source(run)) == ["data/00000.parquet"]
    (run / "data" / "00000.parquet").unlink()
    with pytest.raises(ValueError, match=r"00000\.parquet is in a manifest and not in the folder"):
        find_source(run)


def test_links_to_files_are_read_and_links_to_folders_refused(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far/a.jsonl").write_text('{"text": "whales"}\n')
    pool = tmp_path / "pool"
    pool.mkdir()
    (pool / "link.jsonl").symlink_to(tmp_path / "far/a.jsonl")
    source = find_source(pool)
    assert [(file.name, file.num_bytes) for file in source.files] == [("link.jsonl", 19)]
    with source.open(source.files[0]) as stream:
        assert b"whales" in stream.read()
    (pool / "sub").symlink_to(tmp_path / "far")
    with pytest.raises(ValueError, match=r"sub is a link to a folder.*name that folder"):
        find_source(pool)
    (pool / "sub").unlink()
    (pool / "gone.jsonl").symlink_to(tmp_path / "nowhere.jsonl")
    with pytest.raises(ValueError, match=r"gone.jsonl is a link that leads nowhere"):
        find_source(pool)
