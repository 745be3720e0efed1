"""Kill training runs at random moments, resume them, and compare with the run that nobody touched.

python recipes/benchmarks/resume_drill.py --kills 50

A tiny Llama with attention dropout trains 16 steps on the CPU, 12 with metadata and 4 without, and saves at steps 5,
10, 12 (the switch), 15 and 16. Each run is killed (SIGKILL) one to three times, resumed each time from
`last_complete_checkpoint`, and at last let through. Runs alternate between 0 and 2 DataLoader workers and between 1
and 2 processes (gloo); moments alternate between any time, a random step, the middle of a save, and the switch. Of two
processes a random one dies first, the other a moment later, as under a launcher.

Processes are forked from one that has torch loaded, with the environment that `accelerate launch` sets, which makes an
attempt take two seconds instead of fifteen; `--train` runs one attempt by itself, for a launcher.

The last line is JSON:

- kills: attempts that were killed before they finished; by moment in `moments`
- runs: runs that were killed at least once and finished
- differences: batches (step, micro-batch, process) that were not those of the undisturbed run, in any attempt, plus
  runs whose final weights are not equal to it bit for bit, plus runs that could not be resumed
"""

import argparse
import json
import multiprocessing
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from hashlib import sha256
from itertools import cycle
from pathlib import Path
from typing import Any

import torch
from resume_run import ACCUMULATION, SAVES, STEPS, SWITCH, make_store, train

from trainer_callbacks import last_complete_checkpoint

MOMENTS = ("any", "step", "save", "switch")
SETTINGS = tuple((workers, processes) for processes in (1, 2) for workers in (0, 2))
DEADLINE_S = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--train", type=Path, metavar="FOLDER", help="run one attempt in this folder, and nothing else"
    )
    parser.add_argument("--workers", type=int, default=0, help="with --train: DataLoader workers")
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.train:
        make_store(args.train / "store")
        train(args.train / "store", args.train / "run", args.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(drill(Path(folder), args.kills, random.Random(args.seed))))  # noqa: S311


def drill(folder: Path, num_kills: int, rng: random.Random) -> dict[str, Any]:
    """Run until `num_kills` kills have been made and their runs have finished."""
    store = folder / "store"
    make_store(store)
    undisturbed = {}
    for setting in SETTINGS:
        undisturbed[setting] = Attempts(store, folder / "undisturbed-{}-{}".format(*setting), setting)
        if not undisturbed[setting].start():
            sys.exit(f"the undisturbed run failed: {undisturbed[setting].why()}")
    moments, kills, runs, differences = cycle(MOMENTS), Counter[str](), 0, 0
    for number, setting in enumerate(cycle(SETTINGS)):
        if kills.total() >= num_kills:
            break
        attempts, original = Attempts(store, folder / f"run-{number}", setting), undisturbed[setting]
        killed = []
        for _ in range(rng.randint(1, 3)):
            moment = next(moments)
            if attempts.start(killer(moment, attempts, original.seconds, rng), rng):
                break  # it finished first
            killed.append(moment)
        finished = attempts.start()
        kills.update(killed)
        runs += bool(killed and finished)
        found = attempts.compare(original) if finished else 1
        differences += found
        print(f"workers, processes {setting}: killed at {killed}, {found} differences", flush=True)
        if found:
            print(attempts.why())
        shutil.rmtree(attempts.folder)
    return {"kills": kills.total(), "runs": runs, "differences": differences, "moments": dict(kills)}


class Attempts:
    """The attempts at one run."""

    def __init__(self, store: Path, folder: Path, setting: tuple[int, int]) -> None:
        self.store, self.folder = store, folder
        self.workers, self.num_processes = setting
        self.seconds = 0.0
        folder.mkdir()

    def start(self, wait: Callable[[], None] | None = None, rng: random.Random | None = None) -> bool:
        """Begin or resume the run; return whether it finished before `wait` returned and it was killed."""
        began = time.monotonic()
        processes = self._fork()
        if wait is not None and rng is not None:
            while wait() is None and all(process.is_alive() for process in processes):
                time.sleep(0.001)
            rng.shuffle(processes)
            for process in processes:
                process.kill()
                process.join(rng.random() * 0.05)
        for process in processes:
            process.join(DEADLINE_S)
            if process.is_alive():
                process.kill()
                process.join()
        self.seconds = time.monotonic() - began
        return all(process.exitcode == 0 for process in processes)

    def _fork(self) -> list[Any]:
        context = multiprocessing.get_context("fork")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        processes = [context.Process(target=self._run, args=(rank, port)) for rank in range(self.num_processes)]
        for process in processes:
            process.start()
        return processes

    def _run(self, rank: int, port: int) -> None:
        with (self.folder / f"output-{rank}.txt").open("a") as output:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        if self.num_processes > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(self.num_processes)}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"}
        train(self.store, self.folder, self.workers)

    def batches(self) -> dict[tuple[int, int, int], set[str]]:
        """Return (step, micro-batch, process) -> digests of what the model got there, over all attempts."""
        found: dict[tuple[int, int, int], set[str]] = {}
        for rank in range(self.num_processes):
            for line in (self.folder / f"batches-{rank}.txt").read_text().splitlines():
                step, micro, digests = line.split(" ", 2)
                found.setdefault((int(step), int(micro), rank), set()).add(digests)
        return found

    def num_lines(self) -> int:
        """Return how many batches the first process has begun, over all attempts."""
        path = self.folder / "batches-0.txt"
        return path.read_bytes().count(b"\n") if path.exists() else 0

    def weights(self) -> str:
        """Return the digest of the final weights."""
        return sha256((self.folder / f"checkpoint-{STEPS}" / "model.safetensors").read_bytes()).hexdigest()

    def compare(self, original: "Attempts") -> int:
        """Return the number of differences from the undisturbed run."""
        ours, theirs = self.batches(), original.batches()
        different = sum(ours.get(key) != theirs.get(key) for key in {*ours, *theirs})
        return different + (self.weights() != original.weights())

    def why(self) -> str:
        """Return the end of what the processes wrote."""
        return "\n".join(path.read_text()[-3000:] for path in sorted(self.folder.glob("output-*.txt")))


def killer(moment: str, attempts: Attempts, seconds: float, rng: random.Random) -> Callable[[], bool | None]:
    """Return a function that gives True when it is time to kill, and None before."""
    began, lines = time.monotonic(), attempts.num_lines()
    done = int((last_complete_checkpoint(attempts.folder) or "-0").rsplit("-", 1)[1])
    left = max((STEPS - done) * ACCUMULATION, 1)  # killed behind its last save, a run has no step left
    if moment == "any":
        at = began + rng.random() * seconds
        return lambda: time.monotonic() >= at or None
    if moment == "save" and done < SAVES[-1]:
        path = attempts.folder / f"checkpoint-{rng.choice([step for step in SAVES if step > done])}"
        for torn in attempts.folder.glob("checkpoint-*"):
            if last_complete_checkpoint(attempts.folder) != str(torn) and torn == path:
                shutil.rmtree(torn)  # so that its being there tells that the save has begun
        return after(path.exists, rng.random() * 0.06)
    target = (SWITCH - done) * ACCUMULATION if moment == "switch" and done < SWITCH else rng.randint(1, left)
    return after(lambda: attempts.num_lines() >= lines + target, rng.random() * (0.08 if moment == "switch" else 0.01))


def after(event: Callable[[], bool], delay_s: float) -> Callable[[], bool | None]:
    """Return a function that gives True from `delay_s` after the event on."""

    def wait() -> bool | None:
        if not event():
            return None
        time.sleep(delay_s)
        return True

    return wait


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    main()
