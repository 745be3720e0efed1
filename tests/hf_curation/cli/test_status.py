"""What `hf-curation status` says of runs that are through, failed, stopped, at work, and in a queue."""

import gzip
import json
import os
import shutil
import sys
import time

import pytest

from hf_curation.cli.main import main
from hf_curation.files import lock_folder
from hf_curation.files.rank_logs import failure_in
from hf_curation.files.slurm_jobs import last_words, parse_queue, stage_jobs
from hf_curation.files.status import STOPPED, read_status


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A refining run of four tasks over 40 pages, two of them no records."""
    folder = tmp_path_factory.mktemp("status")
    lines = [
        json.dumps({"id": i, "text": f"Menu\nLogin\nPage {i} says something, and then it ends."}) for i in range(38)
    ]
    (folder / "pages.jsonl").write_text("\n".join([*lines, "not json", "{"]) + "\n")
    assert main(["refine", str(folder / "pages.jsonl"), str(folder / "out"), "--tasks", "4", "--workers", "1"]) == 0
    return folder / "out"


@pytest.fixture
def run(finished, tmp_path):
    """A copy to take apart."""
    return shutil.copytree(finished, tmp_path / "out")


@pytest.fixture
def status_of(capsys):
    """Exit code, JSON and the words for a person."""

    def read(folder):
        capsys.readouterr()
        code = main(["status", str(folder)])
        told = "".join(capsys.readouterr())
        assert main(["status", str(folder), "--json"]) == code
        return code, json.loads(capsys.readouterr().out), told

    return read


def unfinish(run, *ranks):
    (run / "summary.json").unlink()
    for rank in ranks:
        (run / "manifests" / f"{rank:05d}.json").unlink()


def test_a_finished_run(run, status_of):
    code, facts, told = status_of(run)
    assert (code, facts["state"], facts["on_slurm"]) == (0, "finished", False)
    refine, finish = facts["stages"]
    assert (refine["name"], refine["tasks"], refine["finished"], refine["failed"]) == ("refine", 4, 4, {})
    assert refine["documents"] == {"in": 40, "out": 38 - refine["documents"]["dropped"], "running": 0} | {
        "dropped": refine["documents"]["dropped"],
        "quarantined": 2,
    }
    assert refine["documents_per_s"] > 0
    assert (finish["tasks"], finish["finished"]) == (1, 1)
    assert "refine, on this machine: finished" in told


def test_a_file_that_is_gone_unfinishes_its_task(run, status_of):
    (run / "data" / "00002.parquet").unlink()
    assert status_of(run)[1]["stages"][0]["finished"] == 3


def test_nobody_at_work(run, status_of):
    unfinish(run, 1, 2)
    (run / "logs" / "logs" / "task_00002.log").unlink()
    code, facts, told = status_of(run)
    assert (code, facts["state"], facts["is_at_work"]) == (1, "failed", False)
    assert facts["stages"][0]["failed"] == {"1": STOPPED}
    assert facts["stages"][0]["waiting"] == {"2": ""}
    assert "for the rest, run the same command again" in told


def test_at_work(run):
    unfinish(run, 1, 2)
    (run / "logs" / "logs" / "task_00002.log").unlink()
    (run / "logs" / "progress" / "00001").write_text("4")
    with lock_folder(run):
        status = read_status(run, now=time.time() + 3600)
    refine = status.stages[0]
    assert (status.state, refine.finished, list(refine.running), list(refine.waiting)) == ("running", [0, 3], [1], [2])
    assert refine.documents["in"] == 20
    assert refine.documents["running"] == 4
    # 24 of 40 documents in an hour: the other 16 take 40 minutes.
    assert refine.documents_per_s == pytest.approx(24 / 3600, rel=0.1)
    assert refine.seconds_left == pytest.approx(2400, rel=0.1)


def test_a_task_that_failed_before_the_last_launch_waits(run):
    unfinish(run, 1)
    os.utime(run / "logs" / "logs" / "task_00001.log", (1, 1))
    with lock_folder(run / "logs"):
        assert list(read_status(run).stages[0].waiting) == [1]


def test_a_failed_task_its_reason_and_the_command(tmp_path, status_of, monkeypatch, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "b.jsonl.gz").write_bytes(b"\x1f\x8b broken")
    (tmp_path / "in" / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "A page about whales."}\n' * 9))
    command = ["refine", str(tmp_path / "in"), str(tmp_path / "out"), "--tasks", "2", "--workers", "2"]
    monkeypatch.setattr(sys, "argv", ["hf-curation", *command])
    assert main(command) == 1
    reason = capsys.readouterr().err.splitlines()[0].partition("failed: ")[2]
    code, facts, told = status_of(tmp_path / "out")
    assert (code, facts["state"]) == (1, "failed")
    assert facts["stages"][0]["failed"] == {"1": reason}
    assert "b.jsonl.gz" in reason
    assert f"task 1 of refine failed: {reason}" in told
    assert f"for the rest, run:\n  cd {os.getcwd()} && hf-curation {' '.join(command)}\n" in told


def test_passwords_of_the_command_are_not_kept(tmp_path, monkeypatch):
    from hf_curation.cli.watching import stderr_to

    monkeypatch.setattr(
        sys, "argv", ["hf-curation", "refine", "in", "out", "--refiner", "http://me:s3cret@host:80/v1"]
    )
    with stderr_to(tmp_path / "log"):
        pass
    assert "http://me:***@host:80/v1" in (tmp_path / "log").read_text()


def test_no_run(tmp_path, capsys):
    assert main(["status", str(tmp_path)]) == 1
    assert "holds no run" in capsys.readouterr().err


QUEUE = """\
12|0|RUNNING|None|(null)|{logs}/slurm_logs/%A_%a.out|
12|1|PENDING|JobArrayTaskLimit|(null)|{logs}/slurm_logs/%A_%a.out|
13|0|PENDING|Dependency|afterok:12_*(unfulfilled)|{logs}/slurm_logs/%A_%a.out|
14|0|PENDING|Dependency|afterok:12_*(unfulfilled)|{logs}/finish/slurm_logs/%A_%a.out|
15|0|RUNNING|None|(null)|/elsewhere/slurm_logs/%A_%a.out|
99|N/A|RUNNING|None|(null)|/home/me/interactive|
"""


@pytest.fixture
def submitted(run):
    """The run as datatrove's Slurm executor leaves it: four ranks, two a job; rank 0 finished before."""
    unfinish(run, 1, 2, 3)
    logs = run / "logs"
    (logs / "ranks_to_run.json").write_text("[1, 2, 3]")
    (logs / "executor.json").write_text('{"tasks_per_job": 2, "max_array_size": 1001, "world_size": 4}')
    for path in (*(logs / "logs").iterdir(), *logs.glob("finish/*"), *logs.glob("finish/*/*")):
        os.utime(path, (1, 1))
    return run


def test_a_queue(submitted):
    logs = submitted / "logs"
    queue = parse_queue(QUEUE.format(logs=logs))
    assert [job.job_id for job in queue] == [12, 12, 13, 14, 15]
    (logs / "logs" / "task_00001.log").write_text("2026-01-01 00:00:00.000 | INFO | x:y:1 - begins\n")
    status = read_status(submitted, queue=queue)
    refine, finish = status.stages
    assert (status.state, status.is_at_work) == ("running", True)
    assert refine.finished == [0]
    assert refine.running == {1: "12_0"}
    assert refine.waiting == {2: "job 12_0", 3: "JobArrayTaskLimit"}
    assert finish.waiting == {0: ""}, "the job of the finish is in the queue, but nothing says what it runs"


def test_a_run_on_slurm_seen_from_where_slurm_is_not(submitted, monkeypatch, status_of):
    monkeypatch.setattr("hf_curation.files.status.read_queue", lambda: None)
    (submitted / "logs" / "logs" / "task_00001.log").write_text("2026-01-01 00:00:00.000 | INFO | x:y:1 - begins\n")
    code, facts, told = status_of(submitted)
    assert (code, facts["state"], facts["has_queue"]) == (0, "running", False)
    assert list(facts["stages"][0]["running"]) == ["1"]
    assert "there is no squeue here" in told


def test_jobs_that_ended_without_a_log(submitted):
    logs = submitted / "logs"
    (logs / "slurm_logs").mkdir()
    (logs / "slurm_logs" / "12_0.out").write_text(
        "+ srun launch_pickled_pipeline x\n"
        "slurmstepd: error: *** JOB 12 ON n1 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***\n"
    )
    (logs / "slurm_logs" / "13_0.out").write_text("+ merge_stats a\nerror: no such file\n")
    status = read_status(submitted, queue=[])
    assert (status.state, status.is_at_work) == ("failed", False)
    assert status.stages[0].failed == dict.fromkeys((1, 2), "JOB 12 ON n1 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT")
    assert status.stages[0].waiting == {3: ""}


def test_several_arrays_of_one_launch(submitted):
    logs = submitted / "logs"
    (logs / "executor.json").write_text('{"tasks_per_job": 1, "max_array_size": 2, "world_size": 4}')
    lines = "".join(
        f"{job}|{i}|RUNNING|None|{dependency}|{logs}/slurm_logs/%A_%a.out|\n"
        for job, i, dependency in [
            (20, 0, "(null)"),
            (20, 1, "(null)"),
            (21, 0, "afterany:20_*(unfulfilled)"),
        ]
    )
    assert stage_jobs(logs, parse_queue(lines), 0.0).running == {1: "20_0", 2: "20_1", 3: "21_0"}


STAMP, RUN = "2026-11-22 09:15:29.969", "datatrove.executor.base:_run_for_rank:152"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("", None),
        (f"{STAMP} | INFO     | a.b:c:1 - all is well\n", None),
        (f"{STAMP} | ERROR    | datatrove_steps.readers:x:1 - odd record\n", None),
        (f"\x1b[32m{STAMP}\x1b[0m | ERROR | {RUN} - 'k'\nTraceback\n\nKeyError: 'k'\n", "KeyError: 'k'"),
        (f"{STAMP} | ERROR | {RUN} - bad\nmore\nTraceback\n\n> a\nValueError: bad\nmore\n", "bad"),
        (f"[NODE 1] {STAMP} | ERROR    | datatrove_steps.executors:_note_death:0 - killed\n", "killed"),
        (f"{STAMP} | ERROR | {RUN} - x\na.b.DiskError: {'x' * 400}", f"DiskError: {'x' * 286}..."),
    ],
)
def test_reasons_in_logs(log, reason):
    assert failure_in(log) == reason


def test_last_words_of_a_job(tmp_path):
    path = tmp_path / "1_0.out"
    path.write_text("bash: /nowhere/bin/activate: No such file or directory\n\n")
    assert last_words(path) == "bash: /nowhere/bin/activate: No such file or directory"
    path.write_text("slurmstepd: error: Exceeded job memory limit\nsrun: error: n1: task 0: Killed\n")
    assert last_words(path) == "Exceeded job memory limit"
    path.write_text("")
    assert last_words(path) == "it wrote nothing"
