"""How far a run is, read from its folder by somebody who is not running it.

A rank is in one of four states:

- finished: its manifest is there, and so are the files that it lists; nothing else counts
- running: it has begun, and a process or a job of Slurm's is there that works on it
- failed: it has begun, and its log, its job's output or the absence of any process says that it ended
- waiting: it has not begun in the last launch

Who is at work is told by the locks that launchers hold, and for Slurm by the queue; where there is no `squeue`, what
has begun and says no reason to have ended counts as running. What was done in launches before
the last one counts as finished, and not towards the rate.
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from hf_curation.files.bad_shards import read_bad_shards
from hf_curation.files.lock import is_locked
from hf_curation.files.manifest import Manifest, manifest_path
from hf_curation.files.plans import read_json
from hf_curation.files.rank_logs import RankLog, read_rank_log
from hf_curation.files.slurm_jobs import QueuedJob, StageJobs, read_queue, stage_jobs

_SCORING: Final = ("count_target", "count_raw", "fit", "held_out", "weigh")
_ONE_TASK: Final = {"fit", "held_out", "choose", "finish"}
_WHOLE_CORPUS: Final = {"count_raw", "weigh", "keep"}
"""Passes that read the same documents."""
STOPPED: Final = "it stopped without a word: no process of it is left"


@dataclass(slots=True, kw_only=True)
class StageStatus:
    """How far one pass of a run is."""

    name: str
    num_tasks: int | None
    """None: not known before the pass begins."""
    finished: list[int] = field(default_factory=list)
    running: dict[int, str] = field(default_factory=dict)
    """Rank -> the job of Slurm's that it is in, or nothing."""
    failed: dict[int, str] = field(default_factory=dict)
    """Rank -> why."""
    waiting: dict[int, str] = field(default_factory=dict)
    """Rank -> what its job of Slurm's waits for, or nothing."""
    documents: Counter[str] = field(default_factory=Counter)
    """`in`, `out`, `dropped` and `quarantined` of finished ranks, and `running`: read so far by running ones."""
    documents_per_s: float | None = None
    """Over all ranks of the last launch."""
    seconds_left: float | None = None

    @property
    def is_finished(self) -> bool:
        """Whether every rank is."""
        return self.num_tasks is not None and len(self.finished) == self.num_tasks


@dataclass(slots=True, kw_only=True)
class RunStatus:
    """How far a run is."""

    folder: Path
    step: str
    """`refine`, `select` or `tokenize`."""
    on_slurm: bool
    is_at_work: bool
    """Whether any process, or any job in the queue, is there to go on."""
    has_queue: bool
    """Whether Slurm's queue was asked, where the run is on Slurm."""
    stages: list[StageStatus]
    bad_shards: dict[str, str]
    """Name -> reason of the files of the input that are left out."""
    command: str | None
    """With which the last launch was made."""

    @property
    def state(self) -> str:
        """`finished`, `failed`, `running`, `waiting` (all of it in the queue) or `stopped`."""
        if all(stage.is_finished for stage in self.stages):
            return "finished"
        if any(stage.failed for stage in self.stages):
            return "failed"
        if not self.is_at_work:
            return "stopped"
        is_running = not self.on_slurm or any(stage.running for stage in self.stages)
        return "running" if is_running else "waiting"

    def to_dict(self) -> dict[str, Any]:
        """Return the status as plain data."""
        stages = [
            {
                "name": stage.name,
                "tasks": stage.num_tasks,
                "finished": len(stage.finished),
                "running": {str(rank): job for rank, job in stage.running.items()},
                "failed": {str(rank): reason for rank, reason in stage.failed.items()},
                "waiting": {str(rank): reason for rank, reason in stage.waiting.items()},
                "documents": dict(stage.documents),
                "documents_per_s": stage.documents_per_s,
                "seconds_left": stage.seconds_left,
            }
            for stage in self.stages
        ]
        facts = {"folder": str(self.folder), "step": self.step, "state": self.state, "on_slurm": self.on_slurm}
        facts |= {"is_at_work": self.is_at_work, "has_queue": self.has_queue}
        facts |= {"bad_shards": self.bad_shards}
        return facts | {"command": self.command, "stages": stages}


def read_status(folder: Path, *, queue: Sequence[QueuedJob] | None = None, now: float | None = None) -> RunStatus:
    """Return how far the run is that writes to a folder.

    Args:
        folder: the run's.
        queue: the jobs in Slurm's queue; None asks `squeue`, where the run was submitted.
        now: Unix time; None: the clock's.

    Raises:
        ValueError: if no run has begun there.
    """
    if not (folder / "plan.json").exists():
        raise ValueError(
            f"{folder} holds no run: there is no plan.json; give the OUTPUT of refine, select or tokenize"
        )
    plan = read_json(folder / "plan.json")
    logs = folder / "logs"
    names = _names_of(plan, logs)
    places = {name: logs if name == plan["step"] else logs / name for name in names}
    on_slurm = any((place / "ranks_to_run.json").exists() for place in places.values())
    jobs_known = queue if queue is not None else read_queue() if on_slurm else []
    is_locked_now = any(is_locked(place) for place in (folder, *places.values()))
    on_slurm = on_slurm and not is_locked_now
    reader = _Reader(folder, plan, list(jobs_known or ()), on_slurm, is_locked_now, has_queue=jobs_known is not None)
    stages = [reader.stage(name, places[name], time.time() if now is None else now) for name in names]
    has_jobs = any(stage.running or any(stage.waiting.values()) for stage in stages)
    return RunStatus(
        folder=folder,
        step=plan["step"],
        on_slurm=on_slurm,
        is_at_work=is_locked_now or (on_slurm and has_jobs),
        has_queue=jobs_known is not None,
        stages=stages,
        bad_shards=read_bad_shards(folder),
        command=_last_command(logs / "stderr.log"),
    )


def _names_of(plan: dict[str, Any], logs: Path) -> list[str]:
    """Return the passes of a run, in order."""
    if plan["step"] != "select":
        return [plan["step"], "finish"]
    scoring = [name for name in _SCORING if name != "held_out" or plan["config"].get("decontaminate")]
    takes_weights = not (logs / "count_target").exists() and (logs / "choose").exists()
    return [*(() if takes_weights else scoring), "choose", "keep", "finish"]


@dataclass(slots=True)
class _Reader:
    """Reads pass after pass of one run."""

    folder: Path
    plan: dict[str, Any]
    queue: list[QueuedJob]
    on_slurm: bool
    has_launcher: bool
    has_queue: bool
    corpus: int = 0
    """Documents of the corpus, once a pass has counted all of them."""
    launched: float = 0.0
    """Unix time at which the pass, or one before it, was launched last; what is older says nothing any more."""

    def stage(self, name: str, logs: Path, now: float) -> StageStatus:
        """Return how far a pass is."""
        stage = StageStatus(name=name, num_tasks=self._num_tasks(name, logs))
        if name == "finish" and (self.folder / "summary.json").exists():
            stage.finished = [0]
            return stage
        manifests = {} if name == "finish" else self._manifests(name, stage.num_tasks)
        stage.finished = sorted(manifests)
        self.launched = max(self.launched, _modified(logs / "executor.json"))
        jobs = stage_jobs(logs, self.queue, self.launched) if self.on_slurm else StageJobs()
        begun = {}
        for rank in range(stage.num_tasks or 0):
            log = read_rank_log(logs, rank, since=self.launched)
            if log is not None:
                begun[rank] = log
            if rank not in manifests:
                self._place(stage, rank, log, jobs)
        self._count(stage, manifests, logs, begun)
        _rate(stage, manifests, begun, now, self.corpus)
        if name in _WHOLE_CORPUS and stage.is_finished:
            self.corpus = stage.documents["in"]
        return stage

    def _num_tasks(self, name: str, logs: Path) -> int | None:
        if name in _ONE_TASK:
            return 1
        if name != "count_target":
            return int(self.plan["world_size"])
        try:
            return int(orjson.loads((logs / "executor.json").read_bytes())["world_size"])
        except (FileNotFoundError, orjson.JSONDecodeError):
            manifests = list((self.folder / "manifests" / name).glob("*.json"))
            return int(Manifest.read(manifests[0]).world_size) if manifests else None

    def _manifests(self, name: str, num_tasks: int | None) -> dict[int, Manifest]:
        """Return the manifests of finished ranks."""
        found = {}
        for rank in range(num_tasks or 0):
            path = manifest_path(self.folder, rank, "" if name in {self.plan["step"], "keep"} else name)
            if path.exists():
                manifest = Manifest.read(path)
                files = ((self.folder / output.name, output.num_bytes) for output in manifest.outputs)
                if all(file.is_file() and file.stat().st_size == size for file, size in files):
                    found[rank] = manifest
        return found

    def _place(self, stage: StageStatus, rank: int, log: RankLog | None, jobs: StageJobs) -> None:
        """Enter a rank that is not finished."""
        is_worked_on = rank in jobs.running or not self.has_queue if self.on_slurm else self.has_launcher
        if rank in jobs.pending:  # also one that failed, and was put back into the queue
            stage.waiting[rank] = jobs.pending[rank]
        elif log is not None and log.failure:
            stage.failed[rank] = log.failure
        elif is_worked_on and log is not None:
            stage.running[rank] = jobs.running.get(rank, "")
        elif is_worked_on:
            stage.waiting[rank] = f"job {jobs.running[rank]}" if rank in jobs.running else ""
        elif rank in jobs.ended:
            stage.failed[rank] = jobs.ended[rank]
        elif log is not None:
            stage.failed[rank] = STOPPED
        else:
            stage.waiting[rank] = ""

    def _count(
        self, stage: StageStatus, manifests: dict[int, Manifest], logs: Path, begun: dict[int, RankLog]
    ) -> None:
        for manifest in manifests.values():
            accounts = list(manifest.stages.values())
            if accounts:
                stage.documents["in"] += accounts[0].num_in
                stage.documents["out"] += accounts[-1].num_out
                stage.documents["dropped"] += sum(account.num_dropped for account in accounts)
                stage.documents["quarantined"] += sum(account.num_quarantined for account in accounts)
        stage.documents["running"] = sum(_progress(logs, rank) for rank in stage.running if rank in begun)


def _rate(
    stage: StageStatus, manifests: dict[int, Manifest], begun: dict[int, RankLog], now: float, corpus: int
) -> None:
    """Enter documents a second of the last launch, and the time that the rest takes at that rate."""
    ours = {rank: log for rank, log in begun.items() if rank in manifests or rank in stage.running}
    if not ours:
        return
    read = {rank: next((a.num_in for a in manifest.stages.values()), 0) for rank, manifest in manifests.items()}
    num_documents = sum(read.get(rank, 0) for rank in ours) + stage.documents["running"]
    seconds = (now if stage.running else max(log.written for log in ours.values())) - min(
        log.started for log in ours.values()
    )
    if num_documents and seconds > 0:
        stage.documents_per_s = num_documents / seconds
    if stage.documents_per_s and stage.running and stage.num_tasks and (corpus or manifests):
        total = corpus or sum(read.values()) / len(manifests) * stage.num_tasks
        left = total - stage.documents["in"] - stage.documents["running"]
        stage.seconds_left = max(0.0, left) / stage.documents_per_s


def _progress(logs: Path, rank: int) -> int:
    try:
        return int((logs / "progress" / f"{rank:05d}").read_text(encoding="ascii"))
    except (OSError, ValueError):  # not there yet, or being written at this moment
        return 0


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _last_command(log: Path) -> str | None:
    """Return the command that the last launch began its log with."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return next((line[2:].strip() for line in reversed(file.readlines()) if line.startswith("$ ")), None)
    except FileNotFoundError:
        return None
