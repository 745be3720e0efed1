"""On a real Slurm runs are as on this machine byte for byte; what happens when jobs die."""

import json
import subprocess

import pytest

from datatrove_steps.importance import SelectConfig, importance_sampling
from datatrove_steps.pipelines import refine_pipeline
from datatrove_steps.refine_plan import RefineConfig
from hf_curation.cli.main import main
from hf_curation.files.status import read_status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # jobs wait for processors, on a busy machine for minutes


@pytest.fixture
def command(slurm, until_idle):
    """Run a verb on the cluster, two tasks a job, and wait for its last job."""

    def run(*arguments):
        options = [f"--slurm={key}={value}" for key, value in (slurm | {"tasks_per_job": 2}).items()]
        assert main([*map(str, arguments), *options]) == 0
        until_idle()

    return run


@pytest.fixture
def held(slurm, pages, tmp_path):
    """Plan a run of two tasks whose refiner obeys the signs in a folder; returns its last executor."""
    from held_refiner import HeldRefiner

    signs = tmp_path / "signs"
    signs.mkdir()

    def plan(output, *, here=False, **options):
        config = RefineConfig(
            input=str(pages),
            output=str(tmp_path / output),
            doc_refiner=None,
            chunk_refiner=HeldRefiner(str(signs)),
            tasks=2,
            workers=1 if here else None,
        )
        return refine_pipeline(config, slurm=None if here else slurm | options)

    return plan


def launched_ranks(folder):
    return json.loads((folder / "logs" / "ranks_to_run.json").read_text())


def test_refine(command, pages, tmp_path, contents):
    assert main(["refine", str(pages), str(tmp_path / "here"), "--tasks", "3", "--workers", "1"]) == 0
    command("refine", pages, tmp_path / "there", "--tasks", 3)
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    status = read_status(tmp_path / "there")
    assert (status.state, status.on_slurm, status.is_at_work) == ("finished", True, False)
    logs = tmp_path / "there" / "logs"
    assert len(list((logs / "slurm_logs").glob("*_*.out"))) == 2, "two ranks in one job, the third in another"
    reader = json.loads((logs / "stats.json").read_text())[0]
    assert reader["stats"]["documents"]["total"] == 40, "ranks of one job do not count each other's documents"


def test_a_failed_task_ends_the_run_and_is_the_only_one_that_runs_again(held, until_idle, tmp_path, contents):
    out = tmp_path / "out"
    executor = held("out")
    (out / "data" / "00001.parquet" / "in the way").mkdir(parents=True)
    executor.run()
    until_idle()  # the finish and the statistics do not wait for what will never be
    status = read_status(out)
    assert (status.state, status.is_at_work) == ("failed", False)
    refine, finish = status.stages
    assert (refine.finished, list(refine.failed)) == ([0], [1])
    assert "00001.parquet" in refine.failed[1]
    assert list(finish.waiting) == [0]
    assert main(["status", str(out)]) == 1
    (out / "data" / "00001.parquet" / "in the way").rmdir()
    (out / "data" / "00001.parquet").rmdir()
    held("out").run()
    until_idle()
    assert launched_ranks(out) == [1]
    held("here", here=True).run()
    assert contents(out) == contents(tmp_path / "here")


def test_no_pass_of_a_selection_waits_for_one_that_failed(slurm, until_idle, pages, tmp_path, capsys):
    out = tmp_path / "out"
    config = SelectConfig(
        raw=str(pages), output=str(out), targets={"target": str(pages / "1.jsonl")}, budget="30%", buckets=500, tasks=2
    )
    executor = importance_sampling(config, slurm=slurm | {"tasks_per_job": 2})
    (out / "counts" / "target" / "00000.npz" / "in the way").mkdir(parents=True)
    executor.run()
    until_idle()
    assert main(["status", str(out)]) == 1
    assert "task 0 of count_target failed: " in capsys.readouterr().out
    status = read_status(out)
    assert (status.state, status.is_at_work) == ("failed", False)
    assert len(status.stages) == 7
    assert not any(stage.running or stage.is_finished for stage in status.stages)


def test_jobs_that_are_put_back_or_run_out_of_time_or_memory(held, until_idle, wait_for, tmp_path, contents):
    signs, out = tmp_path / "signs", tmp_path / "out"
    (signs / "hold").touch()
    executor = held("out", sbatch_args={"mem-per-cpu": "600M"})
    ranks = executor.depends
    executor.run()
    wait_for(lambda: (signs / "attempts").exists() and len((signs / "attempts").read_text().split()) == 2)
    status = read_status(out)
    assert (status.state, status.stages[0].running) == ("running", {rank: f"{ranks.job_id}_{rank}" for rank in (0, 1)})
    subprocess.run(["scancel", "--signal=USR1", f"{ranks.job_id}_0"], check=True)
    wait_for(lambda: 0 in read_status(out).stages[0].waiting)
    subprocess.run(["scontrol", "update", f"JobId={ranks.job_id}_1", "TimeLimit=0"], check=True)
    wait_for(lambda: 1 in read_status(out).stages[0].failed)
    (signs / "eat").touch()
    (signs / "hold").unlink()
    until_idle()
    status = read_status(out)
    assert status.state == "failed"
    assert list(status.stages[0].failed) == [0, 1]
    assert "memory" in status.stages[0].failed[0]
    assert "TIME LIMIT" in status.stages[0].failed[1]
    (signs / "eat").unlink()
    held("out").run()
    until_idle()
    assert "1" in (signs / "attempts").read_text().split(), "Slurm started a job again"
    assert launched_ranks(out) == [0, 1]
    held("here", here=True).run()
    assert contents(out) == contents(tmp_path / "here"), "nor is anything left of the attempts that were killed"
