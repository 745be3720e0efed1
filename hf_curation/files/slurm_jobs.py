"""Which job of Slurm's a rank is in, read from a logging folder of datatrove's and from `squeue` where it is there.

datatrove keeps no list of the jobs that it submits. What there is: `ranks_to_run.json`, a row of ranks of which job
`i` of an array runs the `i`-th `tasks_per_job`; `slurm_logs/JOB_INDEX.out`, once a job has started; and in the queue
the path of that file, which names the folder. One more job of the folder, which waits for the others, merges their
statistics and runs no ranks.
"""

import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from hf_curation.files.rank_logs import shorten

_QUEUE_FORMAT: Final = "ArrayJobID:|,ArrayTaskID:|,State:|,Reason:|,Dependency:|,STDOUT:|"
_RUNNING: Final = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "CONFIGURING", "SIGNALING", "STAGE_OUT"}
_TIMEOUT_S: Final = 30
_ERROR: Final = re.compile(r"error: (.*)", re.IGNORECASE)
_CAUSES: Final = tuple(
    re.compile(words, re.IGNORECASE)
    for words in ("memory|oom|time limit|preempt|node fail", "cancelled|killed|terminated|exited", "")
)
"""Slurm tells a death several times, the cause among it; the first of these that any error has is it."""


@dataclass(frozen=True, slots=True)
class QueuedJob:
    """One job of an array in the queue."""

    job_id: int
    index: int
    state: str
    """Slurm's word, such as `PENDING`."""
    reason: str
    """Why it waits."""
    afterok: frozenset[int]
    """Jobs that must end well first."""
    logs: Path
    """The logging folder."""

    @property
    def output(self) -> Path:
        """What it writes, once it runs."""
        return self.logs / "slurm_logs" / f"{self.job_id}_{self.index}.out"


@dataclass(slots=True)
class StageJobs:
    """The jobs of one logging folder, of the last launch."""

    running: dict[int, str] = field(default_factory=dict)
    """Rank -> its job, as `JOB_INDEX`."""
    pending: dict[int, str] = field(default_factory=dict)
    """Rank -> why its job waits."""
    ended: dict[int, str] = field(default_factory=dict)
    """Rank -> what the output of its job, which is over, says last."""


def read_queue() -> list[QueuedJob] | None:
    """Return all jobs in the queue; None where there is no `squeue`, or no answer."""
    program = shutil.which("squeue")
    if program is None:
        return None
    command = [program, "--noheader", "--array", f"--Format={_QUEUE_FORMAT}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return parse_queue(done.stdout)


def parse_queue(text: str) -> list[QueuedJob]:
    """Return the jobs of datatrove's that `squeue` has printed, a line each with `|` after every field."""
    jobs = []
    for line in text.splitlines():
        fields = [part.strip() for part in line.split("|")]
        if len(fields) < 6 or not fields[0].isdigit() or not fields[1].isdigit():
            continue
        job_id, index, state, reason, dependency, stdout = fields[:6]
        output = Path(stdout)
        if output.parent.name == "slurm_logs":
            afterok = frozenset(int(number) for number in re.findall(r"afterok:(\d+)", dependency))
            jobs.append(QueuedJob(int(job_id), int(index), state, reason, afterok, output.parent.parent))
    return jobs


def stage_jobs(logs: Path, queue: list[QueuedJob], launched: float) -> StageJobs:
    """Return which jobs the ranks of a stage are in.

    Args:
        logs: the stage's logging folder.
        queue: of all jobs.
        launched: Unix time of the last launch; outputs of jobs before that are left aside.
    """
    jobs = StageJobs()
    executor, ranks = _read(logs / "executor.json", {}), _read(logs / "ranks_to_run.json", [])
    resolved = logs.resolve()
    queued = [job for job in queue if job.logs.resolve() == resolved]
    outputs = _outputs(logs, launched)
    own = {job.job_id for job in queued} | {job_id for job_id, _ in outputs}
    queued = [job for job in queued if not job.afterok & own and not _merges(job.output)]
    ids = sorted({job.job_id for job in queued} | {job_id for job_id, _ in outputs})

    def ranks_of(job_id: int, index: int) -> list[int]:
        per_job, per_array = executor.get("tasks_per_job", 1), executor.get("max_array_size", -1)
        number = index + (ids.index(job_id) * per_array if per_array > 0 else 0)
        return list(ranks[number * per_job : (number + 1) * per_job])

    for (job_id, index), path in outputs.items():
        jobs.ended.update(dict.fromkeys(ranks_of(job_id, index), last_words(path)))
    for job in queued:
        for rank in ranks_of(job.job_id, job.index):
            jobs.ended.pop(rank, None)
            if job.state in _RUNNING:
                jobs.running[rank] = f"{job.job_id}_{job.index}"
            else:
                jobs.pending[rank] = job.reason if job.reason not in ("", "None") else "its turn"
    return jobs


def last_words(path: Path, start: int = 0) -> str:
    """Return in one line what the output of a job that is over says of its end, from byte `start` on."""
    lines = path.read_bytes()[start:].decode(errors="replace")[-20_000:].splitlines()
    errors = [found[1] for line in lines if (found := _ERROR.search(line))]
    for cause in _CAUSES:
        if told := next((error for error in reversed(errors) if cause.search(error)), None):
            return shorten(told.strip(" *"))
    return shorten(next((line for line in reversed(lines) if line.strip()), "it wrote nothing"))


def _outputs(logs: Path, launched: float) -> dict[tuple[int, int], Path]:
    """Return (job, index) -> output, of the jobs that have run ranks of a stage since its last launch."""
    found = {}
    for path in (logs / "slurm_logs").glob("*_*.out"):
        job, _, index = path.stem.partition("_")
        if job.isdigit() and index.isdigit() and path.stat().st_mtime >= launched and not _merges(path):
            found[int(job), int(index)] = path
    return found


def _merges(output: Path) -> bool:
    """Return whether the job that wrote this merges statistics: the shell tells every command that it runs."""
    try:
        with output.open(encoding="utf-8", errors="replace") as file:
            return "+ merge_stats " in file.read(4000)
    except FileNotFoundError:
        return False


def _read(path: Path, default: Any) -> Any:  # noqa: ANN401 - JSON
    try:
        return orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return default
