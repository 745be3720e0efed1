"""Running ranks on one machine so that a rank may fail, or be killed, without taking the others with it.

datatrove's `LocalPipelineExecutor` runs ranks in a pool: the first rank that raises ends the pool and every rank in
it, and when a worker is killed (out of memory) the pool waits for its answer for ever. Here every rank has a process
of its own, and what it died of is told when all the others are through. Logs, statistics and completion markers are
datatrove's, so its tools work, and launching again runs what is not complete.
"""

import copy
import json
import os
import signal
import threading
from collections import deque
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import multiprocess  # type: ignore[import-untyped]
from datatrove.executor.local import LocalPipelineExecutor
from datatrove.io import DataFolder
from datatrove.utils.logging import logger
from datatrove.utils.stats import PipelineStats
from multiprocess.connection import wait  # type: ignore[import-untyped]

from hf_curation.files.lock import lock_folder


class RanksFailedError(RuntimeError):
    """Some ranks of a run failed; the others are complete.

    Attributes:
        failures: rank -> why, in one line.
    """

    def __init__(self, failures: dict[int, str], world_size: int) -> None:
        self.failures = failures
        first = min(failures)
        others = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        super().__init__(f"task {first} of {world_size} failed: {failures[first]}{others}")


class LocalRanks(LocalPipelineExecutor):  # type: ignore[misc]
    """datatrove's local executor, in which ranks do not die of each other.

    With `workers=1` ranks run in this process, one after another. Otherwise up to `workers` processes run at a time,
    forked from a server that has the steps imported, so that one more rank costs milliseconds.
    """

    preload: tuple[str, ...] = ("datatrove_steps.pipelines",)
    """Modules that the server imports once; the first executor of a process decides."""

    def run(self) -> PipelineStats:
        """Run every rank that is not complete.

        Raises:
            RanksFailedError: after all other ranks are through.
        """
        if self.depends and not self.depends._launched:
            self.depends.run()
        self._launched = True
        # Held by this process alone: `hf-curation status` sees by it that somebody is at work.
        with lock_folder(Path(self.logging_dir.path)) if self.logging_dir.is_local() else nullcontext():
            return self._run_incomplete()

    def _run_incomplete(self) -> PipelineStats:
        ranks = self.get_incomplete_ranks(range(self.tasks))
        if ranks:
            self.save_executor_as_json()
        logger.info(f"{len(ranks)} of {self.tasks} tasks to run")
        failures = self._run_here(ranks) if self.workers == 1 else self._run_in_processes(ranks)
        stats = merge_stats(self.logging_dir)
        if failures:
            raise RanksFailedError(failures, self.tasks)
        return stats

    def _run_here(self, ranks: list[int]) -> dict[int, str]:
        failures: dict[int, str] = {}
        for rank in ranks:
            executor = copy.copy(self)
            executor.pipeline = copy.deepcopy(self.pipeline)
            try:
                executor._run_for_rank(rank, 0)
            except Exception as error:
                failures[rank] = _in_one_line(error)
        return failures

    def _run_in_processes(self, ranks: list[int]) -> dict[int, str]:
        context = multiprocess.get_context(self.start_method)
        if self.start_method == "forkserver":
            context.set_forkserver_preload(list(self.preload))
        waiting, slots = deque(ranks), deque(range(self.workers))
        running: dict[int, tuple[Any, int, int, Any]] = {}
        failures: dict[int, str] = {}
        try:
            while waiting or running:
                while waiting and slots:
                    rank, slot = waiting.popleft(), slots.popleft()
                    try:
                        process, answer = self._start(context, rank, slot)
                    except (OSError, EOFError) as error:  # no memory for a process, or the fork server was killed
                        failures[rank] = f"its process did not start ({_in_one_line(error)})"
                        slots.append(slot)
                    else:
                        running[process.sentinel] = process, rank, slot, answer
                for sentinel in wait(list(running)) if running else ():  # waiting for nothing would never end
                    process, rank, slot, answer = running.pop(sentinel)
                    slots.append(slot)
                    process.join()
                    if process.exitcode != 0:
                        failures[rank] = _cause_of_death(process.exitcode, answer)
                        if process.exitcode < 0:
                            self._note_death(rank, failures[rank])
        finally:
            for process, *_ in running.values():
                process.terminate()
        return failures

    def _start(self, context: Any, rank: int, slot: int) -> tuple[Any, Any]:  # noqa: ANN401 - multiprocess has no types
        """Start a rank; return its process, and the end of a pipe through which it says what went wrong."""
        answer, question = context.Pipe(duplex=False)
        process = context.Process(target=_run_rank, args=(self, rank, slot, question), daemon=True)
        process.start()
        question.close()
        return process, answer

    def _note_death(self, rank: int, cause: str) -> None:
        """End the log of a rank that was killed with what it died of, in the form in which datatrove logs errors."""
        with self.logging_dir.open(f"logs/task_{rank:05d}.log", "a") as file:
            file.write(f"{datetime.now():%Y-%m-%d %H:%M:%S.000} | ERROR    | {__name__}:_note_death:0 - {cause}\n")


def merge_stats(logging_dir: DataFolder) -> PipelineStats:
    """Add up the statistics of all complete ranks, of this launch and of earlier ones, and save them.

    datatrove writes them in place, after the rank has its manifest: those of a rank that was killed in between are
    torn, and stay so. They are for the eye; what counts is in manifests.
    """
    total = PipelineStats()
    for path in logging_dir.list_files("stats") if logging_dir.exists("stats") else ():
        with logging_dir.open(path, "r") as file:
            try:
                stats = json.load(file)
            except ValueError:
                logger.warning(f"{path} is torn; statistics are without it")
                continue
        total = total + PipelineStats.from_json(stats)
    with logging_dir.open("stats.json", "w") as file:
        total.save_to_disk(file)
    return total


def _run_rank(executor: LocalRanks, rank: int, slot: int, question: Any) -> None:  # noqa: ANN401 - a pipe's end
    threading.Thread(target=_die_with_launcher, daemon=True).start()
    try:
        executor._run_for_rank(rank, slot)
    except Exception as error:  # datatrove has logged it
        question.send(_in_one_line(error))
        raise SystemExit(1) from None


def _die_with_launcher() -> None:
    """End this process when the launcher is gone: it must not publish into a folder that somebody else has by then."""
    wait([multiprocess.parent_process().sentinel])
    os._exit(1)


def _cause_of_death(exit_code: int, answer: Any) -> str:  # noqa: ANN401 - a pipe's end
    if exit_code < 0:
        hint = "; out of memory?" if exit_code == -signal.SIGKILL else ""
        return f"its process was killed by {signal.Signals(-exit_code).name}{hint}"
    try:
        return str(answer.recv())
    except EOFError:
        return f"its process ended with exit code {exit_code}"


def _in_one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or "no message"
    return text if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: {text}"
