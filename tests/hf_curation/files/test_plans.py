import pytest

from hf_curation.files.accounts import ConservationError, StageAccount
from hf_curation.files.atomic import write_whole
from hf_curation.files.lock import is_locked, lock_folder
from hf_curation.files.manifest import InputShare, Manifest, OutputFile, check_run, finished_ranks, manifest_path
from hf_curation.files.plans import Plan, claim_folder, code_digest
from hf_curation.files.sources import Source, SourceFile


def make_plan(world_size=2, files=(("a.jsonl", "sha256:1"),), **changes):
    source = Source("/somewhere", tuple(SourceFile(name, 10, digest) for name, digest in files))
    config = {"chunk_refiner": {"name": "tagger"}, "limit": None} | changes.pop("config", {})
    return Plan.of("refine", config, source, world_size, {"hf_curation": "0.1.0", "pyarrow": "1"} | changes)


@pytest.fixture
def finish(tmp_path):
    """Write a finished rank the way a run does."""

    def write(plan, rank, num_in=3, num_out=3):
        data = b"x" * (rank + 1)
        write_whole(tmp_path / "run" / "data" / f"{rank:05d}.parquet", data)
        manifest = Manifest.of(plan, rank)
        manifest.inputs = [InputShare(name="a.jsonl", part=rank, num_parts=plan.world_size, num_records=num_in)]
        manifest.outputs = [OutputFile(name=f"data/{rank:05d}.parquet", num_bytes=len(data), sha256="?", num_rows=1)]
        manifest.stages = {"read": StageAccount(num_in=num_in, num_out=num_out)}
        manifest.write(tmp_path / "run")
        return manifest

    return write


def test_a_folder_belongs_to_one_plan(tmp_path):
    claim_folder(tmp_path / "run", make_plan())
    before = (tmp_path / "run" / "plan.json").read_bytes()
    claim_folder(tmp_path / "run", make_plan())
    assert (tmp_path / "run" / "plan.json").read_bytes() == before


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (make_plan(world_size=4), "number of tasks was 2 and is 4"),
        (make_plan(config={"limit": 5}), "limit was None and is 5"),
        (make_plan(config={"chunk_refiner": {"name": "prox-web"}}), "refiner.name was .tagger. and is .prox-web"),
        (make_plan(pyarrow="2"), "pyarrow was '1' and is '2'"),
        (make_plan(files=[("a.jsonl", "sha256:2")]), "input file a.jsonl has changed"),
        (make_plan(files=[("b.jsonl", "sha256:1")]), "input file a.jsonl is gone; input file b.jsonl is new"),
    ],
)
def test_another_plan_is_refused_with_what_differs(tmp_path, other, message):
    claim_folder(tmp_path / "run", make_plan())
    with pytest.raises(ValueError, match=f"{message}.*--overwrite") as error:
        claim_folder(tmp_path / "run", other)
    assert "\n" not in str(error.value)
    assert make_plan().sha256 != other.sha256


def test_overwriting_removes_what_a_run_wrote_and_nothing_else(tmp_path, finish):
    run = tmp_path / "run"
    claim_folder(run, make_plan())
    finish(make_plan(), 0)
    (run / "notes.txt").write_text("mine")
    claim_folder(run, make_plan(world_size=3), overwrite=True)
    assert sorted(path.name for path in run.iterdir()) == ["notes.txt", "plan.json"]


def test_a_folder_with_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(ValueError, match="holds files, and no run of ours"):
            claim_folder(tmp_path, make_plan(), overwrite=overwrite)
    assert (tmp_path / "thesis.tex").exists()


def test_a_plan_of_another_version_is_an_error_unless_overwritten(tmp_path):
    claim_folder(tmp_path / "run", make_plan())
    path = tmp_path / "run" / "plan.json"
    path.write_text(path.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(ValueError, match="another version of hf-curation"):
        claim_folder(tmp_path / "run", make_plan())
    path.write_text("{")
    with pytest.raises(ValueError, match="is not JSON"):
        claim_folder(tmp_path / "run", make_plan())
    claim_folder(tmp_path / "run", make_plan(), overwrite=True)


def test_manifests_survive_being_written(tmp_path, finish):
    written = finish(make_plan(), 1)
    assert Manifest.read(manifest_path(tmp_path / "run", 1)) == written


def test_manifests_say_nothing_of_time_and_place(tmp_path, finish):
    finish(make_plan(), 0)
    text = manifest_path(tmp_path / "run", 0).read_text()
    assert str(tmp_path) not in text
    assert "/somewhere" not in text
    first = manifest_path(tmp_path / "run", 0).read_bytes()
    finish(make_plan(), 0)
    assert manifest_path(tmp_path / "run", 0).read_bytes() == first


def test_a_rank_is_finished_by_its_manifest_and_its_files(tmp_path, finish):
    run, plan = tmp_path / "run", make_plan(world_size=3)
    assert finished_ranks(run, plan) == set()
    for rank in range(3):
        finish(plan, rank)
    assert finished_ranks(run, plan) == {0, 1, 2}
    (run / "data" / "00001.parquet").write_bytes(b"torn file")
    (run / "data" / "00002.parquet").unlink()
    assert finished_ranks(run, plan) == {0}
    assert finished_ranks(run, make_plan(world_size=3, pyarrow="2")) == set()


def test_a_whole_run_is_checked(tmp_path, finish):
    run, plan = tmp_path / "run", make_plan()
    finish(plan, 0)
    with pytest.raises(ValueError, match="1 of 2 tasks are not finished \\(task 1\\)"):
        check_run(run, plan)
    finish(plan, 1)
    assert [manifest.rank for manifest in check_run(run, plan)] == [0, 1]
    (run / "data" / "00001.parquet.0a1b2c3d.part").write_bytes(b"of an attempt that was killed")
    assert len(check_run(run, plan)) == 2
    (run / "data" / "extra.parquet").write_bytes(b"who am I")
    with pytest.raises(ValueError, match=r"data/extra.parquet .* is in no manifest"):
        check_run(run, plan)
    (run / "data" / "extra.parquet").unlink()
    finish(plan, 1, num_in=3, num_out=2)
    with pytest.raises(ConservationError):
        check_run(run, plan)


def test_a_torn_manifest_is_named(tmp_path, finish):
    finish(make_plan(), 0)
    path = manifest_path(tmp_path / "run", 0)
    path.write_text('{"schema_version": 1, "rank": 0}')
    with pytest.raises(ValueError, match=r"00000\.json is no manifest"):
        Manifest.read(path)


def test_the_code_digest_sees_code_and_weights(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "a.py").write_text("x = 1")
    digests = [code_digest(tmp_path / "pkg")]
    for name, content in (("a.py", "x = 2"), ("w.safetensors", "weights"), ("notes.md", "words")):
        (tmp_path / "pkg" / name).write_text(content)
        digests.append(code_digest(tmp_path / "pkg"))
    assert len(set(digests[:3])) == 3
    assert digests[3] == digests[2]


def test_a_file_is_no_folder_to_write_to(tmp_path):
    (tmp_path / "raw.jsonl").write_text("{}")
    with (
        pytest.raises(ValueError, match=r"raw\.jsonl is a file; OUTPUT is a folder"),
        lock_folder(tmp_path / "raw.jsonl"),
    ):
        pass
    assert (tmp_path / "raw.jsonl").read_text() == "{}"


def test_one_writer_at_a_time(tmp_path):
    second = lock_folder(tmp_path / "run")
    with lock_folder(tmp_path / "run"), pytest.raises(ValueError, match="another process is writing"):
        second.__enter__()
    with lock_folder(tmp_path / "run"):
        assert list((tmp_path / "run").iterdir()) == []


def test_a_run_killed_at_its_first_write_is_taken_up(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "plan.json.0123abcd.part").write_bytes(b'{"st')
    plan = Plan(step="s", config={}, world_size=1, inputs=[], input_fingerprint="f", versions={})
    claim_folder(tmp_path / "run", plan)
    assert (tmp_path / "run" / "plan.json").exists()


def test_looking_at_a_lock_keeps_nobody_out(tmp_path):
    assert not is_locked(tmp_path / "not there")
    for _ in range(3):
        assert not is_locked(tmp_path)
        with lock_folder(tmp_path):
            assert is_locked(tmp_path)
