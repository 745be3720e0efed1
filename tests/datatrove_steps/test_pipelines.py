import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from datatrove_steps.executors import RanksFailedError
from datatrove_steps.pipelines import refine_pipeline
from datatrove_steps.readers import ReadDocuments
from datatrove_steps.refine_plan import RefineConfig, default_tasks
from hf_curation.files.manifest import Manifest, manifest_path
from hf_curation.files.sources import Source, SourceFile
from hf_curation.programs.model import Stage


@pytest.fixture
def refine(tmp_path, pages_file, fake_refiner):
    """Run the whole pipeline in this process; returns the output folder."""

    def run(output="out", **options):
        config = {
            "input": str(pages_file.parent),
            "output": str(tmp_path / output),
            "doc_refiner": fake_refiner(Stage.DOCUMENT),
            "chunk_refiner": fake_refiner(),
            "workers": 1,
        }
        refine_pipeline(RefineConfig(**config | options)).run()
        return tmp_path / output

    return run


def contents(folder):
    """What a run is judged by: everything but logs."""
    paths = [path for path in folder.rglob("*") if path.is_file() and "logs" not in path.relative_to(folder).parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def rows(folder, part):
    tables = [parquet.read_table(path) for path in sorted((folder / part).glob("*.parquet"))]
    return sorted((row for table in tables for row in table.to_pylist()), key=lambda row: row["id"])


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_the_layout_of_a_run(refine):
    out = refine(tasks=2)
    assert sorted(contents(out)) == [
        "README.md",
        "data/00000.parquet",
        "data/00001.parquet",
        "dropped/document-00000.parquet",
        "dropped/document-00001.parquet",
        "manifests/00000.json",
        "manifests/00001.json",
        "plan.json",
        "summary.json",
    ]
    assert (out / "logs" / "executor.json").exists()


def test_the_union_does_not_depend_on_the_number_of_tasks(refine, pages_file):
    with pages_file.open("a") as file:
        file.write('not json\n{"text": "poison page", "id": "bad"}\n')
    runs = {tasks: refine(f"out{tasks}", tasks=tasks) for tasks in (1, 2, 7)}
    for part in ("data", "dropped"):
        assert rows(runs[1], part) == rows(runs[2], part) == rows(runs[7], part) != []
    figures = [summary(folder) for folder in runs.values()]
    for key in ("documents", "chars", "dropped", "quarantined", "fallbacks", "rejected", "stages", "output_tokens"):
        assert figures[0][key] == figures[1][key] == figures[2][key]
    quarantined = [
        sorted(line for path in (folder / "quarantine").glob("*") for line in path.read_text().splitlines())
        for folder in runs.values()
    ]
    assert quarantined[0] == quarantined[1] == quarantined[2]
    assert len(quarantined[0]) == 2


def test_equal_runs_are_equal_bytes(refine):
    assert contents(refine("a", tasks=3)) == contents(refine("b", tasks=3))


def test_nothing_says_when_or_where(refine, tmp_path):
    for name, data in contents(refine(tasks=2)).items():
        assert str(tmp_path).encode() not in data, name


def test_running_again_runs_nothing(refine):
    out = refine(tasks=2)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert refine(tasks=2) == out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == before


@pytest.mark.parametrize(
    "damage",
    [
        "manifests/00001.json",
        "data/00001.parquet",
        "logs/completions/00001",
        "summary.json",
        "dropped/document-00001.parquet",
    ],
)
def test_what_is_missing_is_made_again(refine, damage):
    out = refine(tasks=3)
    before = contents(out)
    (out / damage).unlink()
    refine(tasks=3)
    assert contents(out) == before


def test_a_marker_alone_proves_nothing(refine):
    out = refine(tasks=2)
    before = contents(out)
    (out / "data" / "00000.parquet").write_bytes(b"torn")
    (out / "manifests" / "00001.json").unlink()
    assert (out / "logs" / "completions" / "00000").exists()
    refine(tasks=2)
    assert contents(out) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tasks": 3}, "number of tasks was 2 and is 3"),
        ({"max_removed_fraction": 0.5}, "max_removed_fraction was 0.95 and is 0.5"),
        ({"keep_original": True}, "keep_original was False and is True"),
        ({"limit": 10}, "limit was None and is 10"),
    ],
)
def test_another_plan_is_refused(refine, change, message):
    before = contents(refine(tasks=2))
    with pytest.raises(ValueError, match=message):
        refine(**{"tasks": 2} | change)
    assert contents(refine(tasks=2)) == before


def test_another_input_is_refused_and_overwrite_starts_afresh(refine, pages_file):
    out = refine(tasks=2)
    pages_file.write_text(pages_file.read_text().replace("Body 7", "Body seven"))
    with pytest.raises(ValueError, match=r"input file pages.jsonl has changed.*--overwrite"):
        refine(tasks=2)
    refine(tasks=1, overwrite=True)
    assert sorted(path.name for path in (out / "data").iterdir()) == ["00000.parquet"]
    assert any("Body seven" in row["text"] for row in rows(out, "data"))


def test_a_damaged_shard_fails_its_rank_and_no_other(refine, pages_file):
    data = gzip.compress(pages_file.read_bytes(), mtime=0)
    (pages_file.parent / "zz.jsonl.gz").write_bytes(data[: len(data) // 2])
    with pytest.raises(RanksFailedError, match=r"task 1 of 2 failed: zz.jsonl.gz: damaged or cut off after \d+ lines"):
        refine(tasks=2)
    out = pages_file.parents[1] / "out"
    assert sorted(contents(out)) == [
        "data/00000.parquet",
        "dropped/document-00000.parquet",
        "manifests/00000.json",
        "plan.json",
    ]
    (pages_file.parent / "zz.jsonl.gz").unlink()
    with pytest.raises(ValueError, match=r"input file zz.jsonl.gz is gone"):
        refine(tasks=2)


def test_both_configurations_load_as_a_dataset(refine, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    datasets = pytest.importorskip("datasets")
    out = refine(tasks=3, keep_original=True)
    data = datasets.load_dataset(str(out), split="train", cache_dir=str(tmp_path / "cache"))
    assert data.num_rows == summary(out)["documents"]["in"] - summary(out)["documents"]["dropped"]
    assert {"id", "text", "url", "score", "tags", "refine_status", "chunk_program", "original_text"} <= set(
        data.column_names
    )
    dropped = datasets.load_dataset(str(out), "dropped", split="train", cache_dir=str(tmp_path / "cache"))
    assert set(dropped["filter_reason"]) == {"drop_doc"}


def test_a_refined_folder_is_an_input(refine, tmp_path):
    first = refine(tasks=2)
    one = rows(first, "data")
    (first / "data" / "left-over.parquet").write_bytes((first / "data" / "00000.parquet").read_bytes())
    second = refine("second", input=str(first), tasks=1)
    two = rows(second, "data")
    assert [row["id"] for row in two] == [row["id"] for row in one]
    assert [row["original_sha256"] for row in two] == [row["original_sha256"] for row in one]
    assert json.loads(two[0]["extra_metadata"])["earlier_programs"][-1] == one[0]["chunk_program"]


def test_a_stage_may_be_left_out(refine):
    only_chunks = refine("chunks", doc_refiner=None, tasks=1)
    manifest = Manifest.read(manifest_path(only_chunks, 0))
    assert list(manifest.stages) == ["read", "chunk", "write"]
    only_documents = refine("documents", chunk_refiner=None, tasks=1)
    assert {row["chunk_program"] for row in rows(only_documents, "data")} == {None}
    with pytest.raises(ValueError, match="nothing to do"):
        refine("none", doc_refiner=None, chunk_refiner=None)


def test_columns_agree_though_shards_differ(refine, pages_file):
    lines = pages_file.read_text().splitlines()
    lines[-2] = json.dumps(json.loads(lines[-2]) | {"score": "high", "late": {"a": 1}})
    (pages_file.parent / "b.jsonl").write_text('{"text": "another", "other": true}\n')
    pages_file.write_text("\n".join(lines))
    out = refine(tasks=4)
    schemas = {str(parquet.read_schema(path)) for path in (out / "data").iterdir()}
    assert len(schemas) == 1
    docs = {doc.id: doc.metadata for path in (out / "data").iterdir() for doc in ReadDocuments(path).run()}
    assert (docs["page-58"]["score"], docs["page-58"]["late"]) == ("high", {"a": 1})
    assert docs["b.jsonl/0"]["other"] is True


def test_the_default_number_of_tasks_follows_from_the_input_alone():
    def source(*sizes, root="/data", suffix=".jsonl"):
        return Source(root, tuple(SourceFile(f"{i}{suffix}", size) for i, size in enumerate(sizes)))

    mib = 2**20
    assert default_tasks(source(0)) == 1
    assert default_tasks(source(9 * mib)) == 3
    assert default_tasks(source(*[mib] * 100)) == 16
    assert default_tasks(source(8 * 2**30)) == 32
    assert default_tasks(source(8 * 2**30), limit=5000) == 3
    assert default_tasks(source(64 * mib, 64 * mib, root="hf://datasets/x/y")) == 2
    assert default_tasks(source(64 * mib, root="hf://datasets/x/y", suffix=".parquet")) == 16


def test_slurm_by_one_argument(tmp_path, pages_file, fake_refiner):
    config = RefineConfig(
        input=str(pages_file), output=str(tmp_path / "out"), chunk_refiner=fake_refiner(), doc_refiner=None, tasks=4
    )
    with pytest.raises(ValueError, match="slurm needs partition"):
        refine_pipeline(config, slurm={"time": "1:00:00"})
    last = refine_pipeline(config, slurm={"time": "1:00:00", "partition": "cpu", "sbatch_args": {"account": "x"}})
    assert (last.tasks, last.depends.tasks, last.depends.partition) == (1, 4, "cpu")
    assert last.get_sbatch_args()["kill-on-invalid-dep"] == "yes"
    assert last.get_sbatch_args()["account"] == "x"


def test_a_refiner_that_does_not_exist_is_found_before_anything_is_written(refine, tmp_path):
    with pytest.raises(ValueError, match="tager"):
        refine(chunk_refiner="tager")
    assert not (tmp_path / "out").exists()


def test_parquet_in_the_middle_of_nested_folders(refine, pages_file):
    table = pa.Table.from_pylist([json.loads(line) for line in pages_file.read_text().splitlines()])
    pages_file.unlink()
    (pages_file.parent / "x" / "y").mkdir(parents=True)
    parquet.write_table(table, pages_file.parent / "x" / "y" / "z.parquet", row_group_size=7)
    assert len(rows(refine(tasks=5), "data")) == 51


def test_input_and_output_lie_side_by_side(refine, pages_file):
    folder = pages_file.parent
    for output in ("in", "in/out"):
        with pytest.raises(ValueError, match="lie one in the other"):
            refine(output)
    out = refine()
    for source in (out, out / "data", out / "data" / "00000.parquet"):
        with pytest.raises(ValueError, match="lie one in the other"):
            refine(input=str(source), overwrite=True)
    assert (out / "data" / "00000.parquet").exists()
    assert refine("in/beside", input=str(pages_file)) == folder / "beside"


def test_a_folder_that_is_not_ours_is_left_alone(refine, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("x")
    with pytest.raises(ValueError, match="holds files, and no run of ours"):
        refine(overwrite=True)
    assert [path.name for path in Path(tmp_path / "out").iterdir()] == ["thesis.tex"]
