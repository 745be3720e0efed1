import contextlib
import json
import os
import signal
import sys
import textwrap
import threading
import time

import pytest

from datatrove_steps.executors import LocalRanks, RanksFailedError
from hf_curation.files.lock import is_locked
from hf_curation.files.rank_logs import failure_in

STEPS = """
import os, signal, time
from datatrove.pipeline.base import PipelineStep

class Step(PipelineStep):
    type, name = "X", "step"
    def __init__(self, folder, behaviour):
        super().__init__()
        self.folder, self.behaviour = folder, behaviour
    def run(self, data=None, rank=0, world_size=1):
        self.stat_update("ran")
        what = self.behaviour.get(rank)
        if what == "raise":
            raise ValueError("bad\\nshard")
        if what == "bug":
            raise KeyError("column")
        if what == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "exit":
            os._exit(7)
        if what == "slow":
            time.sleep(1)
        open(os.path.join(self.folder, f"{rank}-{os.getpid()}"), "w").close()
        yield from ()
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """An executor over a step that behaves by rank; worker processes find the step by name."""
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "steps_for_executors.py").write_text(textwrap.dedent(STEPS))
    monkeypatch.syspath_prepend(tmp_path / "lib")
    import steps_for_executors

    (tmp_path / "out").mkdir()

    def build(behaviour, tasks=5, workers=3):
        step = steps_for_executors.Step(str(tmp_path / "out"), behaviour)
        return LocalRanks([step], tasks=tasks, workers=workers, logging_dir=str(tmp_path / "logs"))

    yield build
    sys.modules.pop("steps_for_executors", None)


def ran(tmp_path):
    return sorted(int(name.split("-")[0]) for name in os.listdir(tmp_path / "out"))


@pytest.mark.parametrize("workers", [1, 3])
def test_ranks_do_not_die_of_each_other(make, tmp_path, workers):
    with pytest.raises(RanksFailedError, match="task 1 of 5 failed: bad shard \\(and 1 more\\)") as error:
        make({1: "raise", 3: "bug"}, workers=workers).run()
    assert error.value.failures == {1: "bad shard", 3: "KeyError: 'column'"}
    assert ran(tmp_path) == [0, 2, 4]
    assert sorted(os.listdir(tmp_path / "logs" / "completions")) == ["00000", "00002", "00004"]
    assert "ValueError: bad" in (tmp_path / "logs" / "logs" / "task_00001.log").read_text()


def test_a_killed_process_is_noticed_and_named(make, tmp_path):
    with pytest.raises(RanksFailedError) as error:
        make({0: "kill", 2: "exit", 4: "slow"}).run()
    assert error.value.failures == {
        0: "its process was killed by SIGKILL; out of memory?",
        2: "its process ended with exit code 7",
    }
    assert ran(tmp_path) == [1, 3, 4]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills processes")
def test_a_killed_fork_server_is_no_reason_to_wait(make, tmp_path):
    from multiprocess import forkserver

    def strike():
        time.sleep(0.4)
        os.kill(forkserver._forkserver._forkserver_pid, signal.SIGKILL)

    make({}, tasks=1, workers=2).run()
    executor = make(dict.fromkeys(range(6), "slow"), tasks=6, workers=2)
    threading.Thread(target=strike).start()
    with contextlib.suppress(RanksFailedError):
        executor.run()
    make({}, tasks=6, workers=2).run()
    assert set(ran(tmp_path)) == set(range(6))


@pytest.mark.parametrize("workers", [1, 2])
def test_running_again_runs_what_is_left(make, tmp_path, workers):
    with pytest.raises(RanksFailedError):
        make({1: "raise"}, workers=workers).run()
    stats = make({}, workers=workers).run()
    assert ran(tmp_path) == [0, 1, 2, 3, 4]
    assert stats.stats[0].stats["ran"].total == 5, "of both launches"
    assert json.loads((tmp_path / "logs" / "stats.json").read_text())[0]["stats"]["ran"]["total"] == 5
    make({}, workers=workers).run()
    assert ran(tmp_path) == [0, 1, 2, 3, 4]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("failing", [{0, 1, 2, 3, 4}, {4}, {0}])
def test_processes_that_do_not_start(make, tmp_path, monkeypatch, failing):
    def start(self, context, rank, slot):
        if rank in failing:
            raise OSError(12, "Cannot allocate memory")
        return real(self, context, rank, slot)

    real = LocalRanks._start
    monkeypatch.setattr(LocalRanks, "_start", start)
    with pytest.raises(RanksFailedError, match=r"its process did not start .*Cannot allocate memory") as error:
        make({}).run()
    assert error.value.failures.keys() == failing
    assert set(ran(tmp_path)) == set(range(5)) - failing


def test_ranks_run_in_processes_of_their_own(make, tmp_path):
    make({}).run()
    pids = {int(name.split("-")[1]) for name in os.listdir(tmp_path / "out")}
    assert len(pids) == 5
    assert os.getpid() not in pids


def test_one_worker_is_this_process(make, tmp_path):
    make({}, workers=1).run()
    assert {int(name.split("-")[1]) for name in os.listdir(tmp_path / "out")} == {os.getpid()}


def test_what_depends_on_a_failed_run_does_not_run(make, tmp_path):
    first = make({0: "raise"}, workers=1)
    second = LocalRanks([lambda *_: (tmp_path / "second").touch()], logging_dir=str(tmp_path / "l2"), depends=first)
    with pytest.raises(RanksFailedError):
        second.run()
    assert not (tmp_path / "second").exists()


def test_torn_statistics_of_a_killed_rank_stop_no_later_launch(make, tmp_path):
    make({}, workers=1).run()
    (tmp_path / "logs" / "stats" / "00002.json").write_text("")
    (tmp_path / "logs" / "stats" / "00003.json").write_text('[{"name": "st')
    stats = make({}, workers=1).run()
    assert stats.stats[0].stats["ran"].total == 3


def test_the_log_of_a_killed_rank_ends_with_what_it_died_of(make, tmp_path):
    with pytest.raises(RanksFailedError):
        make({1: "kill"}).run()
    last = (tmp_path / "logs" / "logs" / "task_00001.log").read_text().splitlines()[-1]
    assert failure_in(last) == "its process was killed by SIGKILL; out of memory?"


def test_a_launcher_holds_its_logs(make, tmp_path):
    executor, seen = make({}, workers=1), []
    executor.mark_rank_as_completed = lambda rank: seen.append(is_locked(tmp_path / "logs"))
    executor.run()
    assert seen == [True] * 5
    assert not is_locked(tmp_path / "logs")
