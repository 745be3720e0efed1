"""`--allow-bad-shards N`: a shard that cannot be decoded is left out as a whole, the same one however the run goes."""

import gzip
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
import zstandard
from pyarrow import parquet

from datatrove_steps.pipelines import refine_pipeline
from datatrove_steps.readers import ReadDocuments
from datatrove_steps.refine_plan import RefineConfig
from hf_curation.cli.main import main
from hf_curation.files.bad_shards import inspect_shard, settle_bad_shards
from hf_curation.files.sources import BadShard, Source, find_source


def records_of(name, number=40):
    return [
        {"id": f"{name}-{i}", "text": f"Whales sing for hours, number {i * i}, {name}. " * 2} for i in range(number)
    ]


def lines_of(name):
    return "".join(json.dumps(record) + "\n" for record in records_of(name)).encode()


def parquet_of(records):
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(records), sink, row_group_size=10, write_page_checksum=True)
    return sink.getvalue()


def flip_in_last_group(data):
    """Return Parquet with one bit changed in the texts of its last row group: all rows before that can be read."""
    metadata = parquet.read_metadata(io.BytesIO(data))
    chunk = metadata.row_group(metadata.num_row_groups - 1).column(1)
    flipped = bytearray(data)
    flipped[chunk.data_page_offset + chunk.total_compressed_size // 2] ^= 1
    return bytes(flipped)


LINES, PAGES = lines_of("bad"), parquet_of(records_of("bad"))
BAD = {
    "cut.jsonl.gz": (gzip.compress(LINES, mtime=0)[:-60], "damaged"),
    "cut.jsonl.zst": (zstandard.compress(LINES)[:-20], "damaged"),
    "page.parquet": (flip_in_last_group(PAGES), "damaged"),
    "footer.parquet": (PAGES[:-9], "no_footer"),
    "lines.parquet": (LINES, "no_footer"),
    "parquet.jsonl": (PAGES, "wrong_format"),
    "empty.jsonl.gz": (b"", "wrong_format"),
    "text.parquet": (parquet_of([{"id": "d", "body": "x"}]), "no_text_column"),
}
PAGE = {"page.parquet": BAD["page.parquet"][0]}


@pytest.fixture
def folder(tmp_path):
    """Write three good shards and those that are given."""

    def write(bad):
        (tmp_path / "in").mkdir()
        for name in ("a", "m", "z"):
            (tmp_path / "in" / f"{name}.jsonl").write_bytes(lines_of(name))
        for name, data in bad.items():
            (tmp_path / "in" / name).write_bytes(data)
        return tmp_path / "in"

    return write


def ids_in(output):
    return {doc.id.partition("-")[0] for doc in ReadDocuments(output).run()}


REFINE = ("--doc-refiner", "none", "--tasks", "2")


@pytest.mark.parametrize("name", BAD)
def test_it_is_left_out_counted_and_named(name, folder, tmp_path, launch, capsys):
    data, reason = BAD[name]
    out = tmp_path / "out"
    assert launch("refine", folder({name: data}), out, *REFINE, "--allow-bad-shards", "1") == 0
    told = capsys.readouterr()
    assert f"1 file of the input could not be decoded and was left out: {name} ({reason})." in told.out
    assert ids_in(out) == {"a", "m", "z"}
    assert json.loads((out / "summary.json").read_bytes())["bad_shards"] == {name: reason}
    (shard,) = json.loads((out / "bad_shards.json").read_bytes())["shards"]
    assert (shard["name"], shard["reason"]) == (name, reason)
    assert f"`{name}`" in (out / "README.md").read_text()
    shares = [share for path in (out / "manifests").iterdir() for share in json.loads(path.read_bytes())["inputs"]]
    assert {share["name"]: share["left_out"] for share in shares} == {
        **dict.fromkeys(("a.jsonl", "m.jsonl", "z.jsonl")),
        name: reason,
    }
    assert main(["status", str(out)]) == 0
    assert f"{name} ({reason})" in capsys.readouterr().out
    assert main(["report", str(out), "--json"]) == 0
    assert f"left out: {name} ({reason})" in capsys.readouterr().out


def test_more_of_them_than_are_allowed(folder, tmp_path, launch, capsys, caplog):
    bad = {name: BAD[name][0] for name in ("cut.jsonl.gz", "page.parquet")}
    out = tmp_path / "out"
    source = folder(bad)
    assert launch("refine", source, out, *REFINE, "--tasks", "5", "--allow-bad-shards", "1") == 1
    assert "2 of 5 tasks failed" in capsys.readouterr().err
    assert "2 shards cannot be read, and 1 may be left out" in caplog.text
    assert not (out / "bad_shards.json").exists()
    assert len(list((out / "manifests").iterdir())) == 3
    assert launch("refine", source, out, *REFINE, "--tasks", "5", "--allow-bad-shards", "2") == 0
    assert ids_in(out) == {"a", "m", "z"}


@pytest.mark.parametrize("verb", ["refine", "select", "tokenize"])
def test_a_run_that_failed_goes_on(verb, folder, tmp_path, launch, contents, capsys):
    """Tasks that had read sound rows of the shard run again, and what was built on them; the others stay."""
    source = folder(PAGE)
    (source / "m.jsonl").unlink()
    more = ["--tasks", "6"]
    assert launch(verb, source, tmp_path / "out", *more) == 1
    assert "--allow-bad-shards 1 what cannot be decoded is left out (page.parquet)" in capsys.readouterr().err
    before = contents(tmp_path / "out")
    manifests = {name: data for name, data in before.items() if name.startswith("manifests/")}
    others = {
        name: (tmp_path / "out" / name).stat().st_mtime_ns
        for name, data in manifests.items()
        if b"page.parquet" not in data
    }
    assert 0 < len(others) < len(manifests), "of those that finished some had read of it, and some had not"
    assert launch(verb, source, tmp_path / "out", *more, "--allow-bad-shards", "1") == 0
    assert launch(verb, source, tmp_path / "clean", *more, "--allow-bad-shards", "1") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "clean")
    assert all((tmp_path / "out" / name).stat().st_mtime_ns == time for name, time in others.items())


@pytest.mark.parametrize("name", ["page.parquet", "cut.jsonl.gz"])
def test_every_pass_of_a_selection_and_any_number_of_tasks(name, folder, tmp_path, launch):
    """Of the shard that reads well to its last rows, no pass counts, weighs or keeps any."""
    source = folder({name: BAD[name][0]})
    rows = []
    for tasks in ("1", "6"):
        out = tmp_path / tasks
        assert launch("select", source, out, "--tasks", tasks, "--allow-bad-shards", "1") == 0
        rows.append([row for path in sorted((out / "data").iterdir()) for row in parquet.read_table(path).to_pylist()])
        assert json.loads((out / "summary.json").read_bytes())["bad_shards"] == {name: BAD[name][1]}
        for path in (out / "manifests").rglob("*.json"):
            assert all(bool(s["left_out"]) == (s["name"] == name) for s in json.loads(path.read_bytes())["inputs"])
    assert rows[0] == rows[1]
    assert {row["id"].partition("-")[0] for row in rows[0]} == {"a", "m", "z"}
    assert main(["report", str(tmp_path / "1"), "--html", str(tmp_path / "report.html")]) == 0
    assert f"left out: {name} (damaged)" in (tmp_path / "report.html").read_text()
    (source / name).unlink()
    assert launch("select", source, tmp_path / "without", "--tasks", "1") == 0
    assert rows[0] == parquet.read_table(tmp_path / "without/data/00000.parquet").to_pylist()


@pytest.mark.slow
def test_two_workers_and_one_leave_out_the_same(folder, tmp_path, launch, contents):
    source = folder(PAGE)
    for workers in ("1", "2"):
        more = ["--tasks", "5", "--workers", workers, "--allow-bad-shards", "3"]
        assert launch("refine", source, tmp_path / workers, "--doc-refiner", "none", *more) == 0
    assert contents(tmp_path / "1") == contents(tmp_path / "2")


def test_only_what_an_earlier_launch_found_bad_is_looked_at_again(folder, tmp_path, launch, monkeypatch):
    source, out, looked_at = folder(PAGE), tmp_path / "out", []
    assert launch("refine", source, out, *REFINE, "--allow-bad-shards", "1") == 0

    def inspect(source, file, *, text_key):
        looked_at.append(file.name)
        return inspect_shard(source, file, text_key=text_key)

    monkeypatch.setattr("hf_curation.files.bad_shards.inspect_shard", inspect)
    (out / "manifests/00000.json").unlink()
    assert launch("refine", source, out, *REFINE, "--allow-bad-shards", "2") == 0
    assert looked_at == ["page.parquet"]
    assert ids_in(out) == {"a", "m", "z"}


def test_a_shard_mended_without_a_trace(folder, tmp_path, launch, monkeypatch, capsys):
    """Of a large file only blocks are hashed; one that can be decoded by now is told all the same."""
    source, out = folder(PAGE), tmp_path / "out"
    monkeypatch.setattr("hf_curation.files.sources.digest_local", lambda path: "sha256:0")
    assert launch("refine", source, out, *REFINE, "--allow-bad-shards", "1") == 0
    (source / "page.parquet").write_bytes(PAGES)
    capsys.readouterr()
    assert launch("refine", source, out, *REFINE, "--allow-bad-shards", "1") == 1
    assert "was begun without the shards page.parquet, and this launch would read them" in capsys.readouterr().err


def test_a_run_that_leaves_out_does_not_go_on_without_the_option(folder, tmp_path, launch, capsys):
    source, out = folder(PAGE), tmp_path / "out"
    assert launch("refine", source, out, *REFINE, "--allow-bad-shards", "1") == 0
    capsys.readouterr()
    assert launch("refine", source, out, *REFINE) == 1
    assert "was begun without the shards page.parquet" in (told := capsys.readouterr().err)
    assert "give --allow-bad-shards 1 if they still cannot be decoded" in told
    assert ids_in(out) == {"a", "m", "z"}


def test_a_shard_mended_later_is_another_input(folder, tmp_path, launch, capsys):
    source, out = folder(PAGE), tmp_path / "out"
    assert launch("refine", source, out, *REFINE, "--allow-bad-shards", "1") == 0
    (source / "page.parquet").write_bytes(PAGES)
    capsys.readouterr()
    for more in ([], ["--allow-bad-shards", "1"]):
        assert launch("refine", source, out, *REFINE, *more) == 1
        assert "input file page.parquet has changed" in capsys.readouterr().err
    assert launch("refine", source, out, *REFINE, "--overwrite") == 0
    assert ids_in(out) == {"a", "m", "z", "bad"}
    assert not (out / "bad_shards.json").exists()


def test_weights_of_a_run_with_a_shard_left_out(folder, tmp_path, launch, capsys):
    source, out = folder(PAGE), tmp_path / "out"
    assert launch("select", source, out, "--allow-bad-shards", "1") == 0
    again = ["--weights-of", str(out), "--seed", "1"]
    assert launch("select", source, tmp_path / "again", *again) == 1
    assert "are without the shards page.parquet" in capsys.readouterr().err
    assert launch("select", source, tmp_path / "again", *again, "--allow-bad-shards", "1") == 0
    assert json.loads((tmp_path / "again/summary.json").read_bytes())["bad_shards"] == {"page.parquet": "damaged"}


class Failing(io.BytesIO):
    """A file on a disk, or at the end of a connection, that fails behind its first bytes."""

    def readinto(self, buffer):
        if self.tell() > 0:
            raise OSError(5, "Input/output error")
        return super().readinto(memoryview(buffer)[:100])

    def seek(self, offset, whence=0):
        return super().seek(offset, whence)


@pytest.mark.parametrize("name", ["cut.jsonl.gz", "page.parquet"])
@pytest.mark.parametrize("error", ["read", "open"])
def test_what_cannot_be_got_at_is_no_bad_shard(name, error, folder, tmp_path, launch, monkeypatch, capsys):
    really_open = Source.open

    def open_file(self, file):
        if file.name != name:
            return really_open(self, file)
        if error == "open":
            raise PermissionError(13, "Permission denied", file.name)
        return Failing(BAD[name][0])

    source = folder({name: BAD[name][0]})
    monkeypatch.setattr(Source, "open", open_file)
    assert launch("refine", source, tmp_path / "out", *REFINE, "--allow-bad-shards", "9") == 1
    assert ("Input/output error" if error == "read" else "Permission denied") in capsys.readouterr().err
    assert not (tmp_path / "out" / "bad_shards.json").exists()


def test_a_transfer_that_was_cut_short_once_makes_no_bad_shard(folder, tmp_path, launch, monkeypatch):
    really_open, cuts = Source.open, iter([100])

    def open_file(self, file):
        stream = really_open(self, file)
        return io.BytesIO(stream.read(next(cuts, None))) if file.name == "whole.jsonl.gz" else stream

    source = folder({"whole.jsonl.gz": gzip.compress(LINES)})
    monkeypatch.setattr("hf_curation.files.bad_shards.Source.open", open_file)
    assert launch("select", source, tmp_path / "out", "--tasks", "1", "--allow-bad-shards", "1") == 0
    assert next(cuts, None) is None
    assert json.loads((tmp_path / "out/bad_shards.json").read_bytes())["shards"] == []
    assert json.loads((tmp_path / "out/summary.json").read_bytes())["documents"]["in"] == 160


def test_nothing_but_bad_shards(tmp_path, launch, capsys):
    (tmp_path / "bad.jsonl.gz").write_bytes(BAD["cut.jsonl.gz"][0])
    assert launch("refine", tmp_path / "bad.jsonl.gz", tmp_path / "out", "--allow-bad-shards", "1") == 1
    assert "is bad: bad.jsonl.gz (damaged); there is nothing to read" in capsys.readouterr().err


@pytest.mark.parametrize(("limit", "found"), [(90, {"a", "m", "z"}), (70, {"a", "bad"})])
def test_records_of_a_bad_shard_do_not_count_to_the_limit(limit, found, folder, tmp_path, launch, accounts):
    """Behind the limit nobody looks: a shard in which it ends before the damage is sound, as without the option."""
    source, out = folder({"b.parquet": PAGE["page.parquet"]}), tmp_path / "out"
    more = ["--limit", str(limit), "--allow-bad-shards", "1"]
    assert launch("refine", source, out, *REFINE, *more) == 0
    assert accounts(out)[0] == limit
    assert ids_in(out) == found


def test_a_launch_killed_while_it_forgets_finds_the_rest_again(tmp_path, folder, launch, monkeypatch):
    """What is built on a stale task goes before that does, and so nothing is left that nobody knows to be stale."""
    source, out = folder(PAGE), tmp_path / "out"
    (source / "m.jsonl").unlink()
    really_remove, removed = Path.unlink, []

    def unlink(self, missing_ok=False):
        if "manifests" in self.parts:
            removed.append(self.parent.name)
            if len(removed) == 2:
                raise KeyboardInterrupt
        really_remove(self, missing_ok)

    assert launch("refine", source, out, "--tasks", "6") == 1
    source, stale = find_source(source), out / "manifests/later/00000.json"
    shutil.copytree(out / "manifests", stale.parent)
    marked = replace(source, files=tuple(replace(f, bad=BadShard("damaged", "")) for f in source.files))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(KeyboardInterrupt):
            settle_bad_shards(out, marked, passes=("", "later"))
    assert removed == ["later", "later"]
    settle_bad_shards(out, marked, passes=("", "later"))
    assert not list((out / "manifests").rglob("*.json"))


def test_jobs_of_slurm_know_what_is_left_out(folder, tmp_path):
    config = RefineConfig(input=str(folder(PAGE)), output=str(tmp_path / "out"), allow_bad_shards=1)
    executor = refine_pipeline(config, slurm={"time": "1:00:00", "partition": "cpu"})
    reader = executor.depends.pipeline[0]
    assert list(reader.source.bad_shards) == ["page.parquet"]


def test_a_negative_number_is_refused(folder, tmp_path, launch, capsys):
    for verb in ("refine", "select", "tokenize"):
        assert launch(verb, tmp_path, tmp_path / "out", "--allow-bad-shards", "-1") == 1
        assert "--allow-bad-shards must be at least 0, got -1" in capsys.readouterr().err
