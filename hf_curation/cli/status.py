"""`hf-curation status RUN_DIR`: how far a run is, what failed, and what to do; on this machine or on Slurm.

It only reads. Exit code 1 when something failed, so that a script can wait for the end: 0 is finished or at work.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hf_curation.files.left_out import left_out_in_words

if TYPE_CHECKING:
    from hf_curation.files.status import RunStatus, StageStatus

_MAX_SHOWN = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("folder", metavar="RUN_DIR", type=Path, help="the OUTPUT of refine, select or tokenize")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(args: argparse.Namespace) -> int:
    """Show the status; return the exit code."""
    from hf_curation.files.status import read_status

    status = read_status(args.folder)
    if args.json:
        import orjson

        print(orjson.dumps(status.to_dict()).decode())
    else:
        print("\n".join(table(status)))
        print(hint(status), file=sys.stderr)
    return 1 if status.state in ("failed", "stopped") else 0


def table(status: "RunStatus") -> list[str]:
    """Return the lines that a person reads."""
    where = "on Slurm" if status.on_slurm else "on this machine"
    lines = [f"{status.step}, {where}: {status.state}"]
    if not status.has_queue:
        lines.append("there is no squeue here: what has begun and not failed is shown as running")
    lines += left_out_in_words(status.bad_shards, most=3)
    lines.append(f"{'pass':<14}{'tasks':>7}{'finished':>10}{'running':>9}{'failed':>8}{'waiting':>9}  documents")
    for stage in status.stages:
        counts = [len(stage.finished), len(stage.running), len(stage.failed), len(stage.waiting)]
        numbers = "".join(f"{n or '-':>{width}}" for n, width in zip(counts, (10, 9, 8, 9), strict=True))
        tasks = "?" if stage.num_tasks is None else stage.num_tasks
        lines.append(f"{stage.name:<14}{tasks:>7}{numbers}  {_documents(stage)}".rstrip())
    for stage in status.stages:
        told = [f"task {rank} of {stage.name} failed: {reason}" for rank, reason in sorted(stage.failed.items())]
        lines += told[:_MAX_SHOWN] + ([f"and {len(told) - _MAX_SHOWN} more"] if len(told) > _MAX_SHOWN else [])
        waits = sorted({reason for reason in stage.waiting.values() if reason})
        if waits:
            lines.append(f"{stage.name} waits: {', '.join(waits[:_MAX_SHOWN])}")
    return lines


def hint(status: "RunStatus") -> str:
    """Return what to do next, in one line."""
    if status.state == "finished":
        return f"Hint: hf-curation report {status.folder} --html report.html" if status.step != "tokenize" else "done"
    if status.is_at_work and status.state != "failed":
        return "Hint: it goes on by itself"
    when = "once the rest is through, run" if status.is_at_work else "what is finished stays; for the rest, run"
    again = f":\n  {status.command}" if status.command else " the same command again"
    return f"Hint: {when}{again}\nLogs: {status.folder / 'logs'}"


def _documents(stage: "StageStatus") -> str:
    """Return documents, rate and time left of a pass, as far as they are known."""
    counts = stage.documents
    if not counts["in"] and not counts["running"]:
        return ""
    parts = [f"{counts['in'] + counts['running']:,}"]
    parts += [f"{counts[name]:,} {name}" for name in ("dropped", "quarantined") if counts[name]]
    if stage.documents_per_s:
        parts.append(f"{stage.documents_per_s:,.0f}/s")
    if stage.seconds_left is not None:
        parts.append(f"{_duration(stage.seconds_left)} left")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h"
