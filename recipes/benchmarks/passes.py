"""The passes of a run one by one in processes of their own, and what each takes: for benchmarks of memory and time."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ENVIRONMENT = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")}
"""One thread each, so that CPU time is that of one core."""


def chain_of(executor: Any) -> list[Any]:  # noqa: ANN401
    """Return an executor and those that it depends on, the first to run first."""
    chain = [executor]
    while chain[0].depends is not None:
        chain.insert(0, chain[0].depends)
    return chain


def run_steps(executor: Any) -> None:  # noqa: ANN401
    """Run the steps of one executor in this process, as its only rank."""
    data = None
    for step in executor.pipeline:
        data = step.run(data, 0, 1)
    for _ in data or ():
        pass


def peak_mib() -> float:
    """Return the peak resident memory of this process; `ru_maxrss` would hand a parent's peak down (Linux only)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def print_cost(work: Callable[[], None]) -> None:
    """Do the work; print its CPU seconds and the peak of this process as JSON, the last line."""
    started = time.process_time()
    work()
    print(json.dumps({"cpu_s": round(time.process_time() - started, 3), "peak_mib": round(peak_mib(), 1)}))


def cost_of(script: str, arguments: Sequence[str]) -> dict[str, float]:
    """Run a script that ends with `print_cost` in a process of its own; return what it printed."""
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
