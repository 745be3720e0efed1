"""Kill runs of refine, select and tokenize at random moments, let them finish, and compare with runs nobody touched.

python recipes/benchmarks/kill_drill.py --kills 200

The commands themselves run, `hf-curation refine | select | tokenize` with four tasks in two processes, on synthetic
pages with bad records among them. Every stage gets `--kills` SIGKILLs: refine, tokenize, and each pass of a selection,
which starts from the state in which the pass before it left the folder. A run is killed up to 16 times, each time
one of

- group: the launcher and its workers at once, as when a machine goes down
- launcher: it alone; its workers must notice and leave the folder to the next launch
- worker: one of them, as when memory runs out
- rename: a process kills itself (or its group) before or after a random `fsync` or rename, so between the two too

and then let through. A kill counts for the stage that was under way when the process died. Processes are forked from
one that has everything imported, and the digest of the code in plans is fixed, so that an attempt takes a fraction of
a second and somebody may edit the code meanwhile.

The last line is JSON:

- kills: SIGKILLs, in all; `stages` and `kinds` say how many of each
- lost, doubled: documents by id that a finished run has fewer times, or more often, than the clean one
- differences: files of finished runs, manifests included, with another SHA-256 than in the clean run, or in only one
  of the two, plus runs that did not finish
- torn: files at a final name, looked at after every single kill, whose bytes are not those of the clean run
"""

import argparse
import functools
import json
import os
import random
import shutil
import signal
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from character_tokenizer import make_tokenizer
from killing import Stage, Tally, Trap, descendants, digests, ids_of, is_alive, quiet, write_pages

KINDS = ("group", "launcher", "worker", "rename")
COMMANDS = ("refine", "select", "tokenize")
NUM_PAGES, TASKS, WORKERS = 60, 4, 2
DEADLINE_S = 300.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="of every stage (default: 200)")
    parser.add_argument("--stages", default=",".join(COMMANDS), help="commands, or passes such as select/weigh")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(drill(Path(folder), args.kills, args.stages.split(","), args.seed)))


def drill(folder: Path, num_kills: int, names: list[str], seed: int = 0) -> dict[str, Any]:
    """Kill runs until every stage has had `num_kills`; return the figures."""
    freeze()
    rng, trap, tally = random.Random(seed), Trap(), Tally()  # noqa: S311
    for command, arguments in write_inputs(folder).items():
        wanted = [name for name in names if name.partition("/")[0] == command]
        if not wanted:
            continue
        clean = Clean.make(folder / "clean" / command, command, arguments, trap)
        for stage in clean.stages:
            if command not in wanted and stage.name not in wanted:
                continue
            began = time.monotonic()
            while tally.stages[stage.name] < num_kills:
                run_killed(folder / "killed", clean, stage, trap, rng, tally)
            seconds = time.monotonic() - began
            print(f"{stage.name}: {tally.stages[stage.name]} kills, {seconds:.0f} s", json.dumps(tally.figures()))
            sys.stdout.flush()
    return tally.figures()


def freeze() -> None:
    """Make plans independent of edits to the code, and let workers be forked from the process that launches them."""
    from datatrove_steps import code_versions
    from datatrove_steps.executors import LocalRanks

    os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    os.environ["HF_HUB_OFFLINE"] = "1"
    code_versions.code_digest = lambda *_: "0" * 64
    sysconfig.get_path = functools.cache(sysconfig.get_path)  # loguru asks 36 times for every log file: 30 ms
    LocalRanks.start_method = property(lambda _: "fork", lambda *_: None)


def write_inputs(folder: Path) -> dict[str, list[str]]:
    """Write pages, a target, a held-out text and a tokenizer; return command -> its arguments, without the output."""
    pages = str(write_pages(folder / "pages.jsonl", NUM_PAGES, max_sentences=6))
    target = str(write_pages(folder / "target.jsonl", 30, seed=1, max_sentences=4))
    held_out = folder / "held_out.jsonl"
    held_out.write_text(Path(pages).read_text().splitlines()[7] + "\n")
    make_tokenizer().save_pretrained(folder / "tokenizer")
    select = [pages, "--target", target, "--held-out", str(held_out), "--budget", "40%", "--buckets", "500"]
    return {"refine": [pages], "select": select, "tokenize": [pages, "--tokenizer", str(folder / "tokenizer")]}


def run_command(command: str, arguments: list[str], output: Path, workers: int = WORKERS) -> int:
    """Run `hf-curation COMMAND` in this process; return the exit code."""
    from hf_curation.cli.main import main as hf_curation

    source, *options = arguments
    shape = ["--tasks", str(TASKS), "--workers", str(workers)]
    return hf_curation([command, source, str(output), *options, *shape])


@dataclass(frozen=True)
class Clean:
    """A run that nobody touched."""

    command: str
    arguments: list[str]
    folder: Path
    files: dict[str, str]
    """Name -> SHA-256."""
    ids: Counter[str]
    stages: list[Stage]

    @classmethod
    def make(cls, folder: Path, command: str, arguments: list[str], trap: Trap) -> "Clean":
        """Run a command by its passes in this process, and keep the folder as it is before each."""
        output, stages = folder / "run", []
        with quiet(folder / "output.txt"):
            # Once as a whole, for what is imported and compiled on the way.
            if run_command(command, arguments, folder / "warm", workers=1):
                raise RuntimeError((folder / "output.txt").read_text())
            for name, logs, executor in passes(command, arguments, output):
                before = folder / f"before-{len(stages)}"
                shutil.copytree(output, before)
                began = time.monotonic()
                trap.set(None)
                executor.run()
                trap.clear()
                stages.append(Stage(name, before, logs, time.monotonic() - began, trap.num_calls))
        files = digests(output)
        if files != digests(folder / "warm"):
            raise RuntimeError(f"two clean runs of {command} differ")
        return cls(command, arguments, output, files, ids_of(output), stages)


def passes(command: str, arguments: list[str], output: Path) -> Iterator[tuple[str, str, Any]]:
    """Plan a run as the command does, and yield name, logs and executor of every pass; of refine and tokenize, one."""
    from datatrove_steps.executors import LocalRanks

    planned: list[Any] = []
    run = LocalRanks.run
    LocalRanks.run = lambda self: planned.append(self)
    try:
        run_command(command, arguments, output, workers=1)  # plans, claims the folder, and runs nothing
    finally:
        LocalRanks.run = run
    if command != "select":
        yield command, "logs", planned[0]
        return
    chain = planned[:1]
    while chain[0].depends is not None:
        chain.insert(0, chain[0].depends)
    for executor in chain:
        name = Path(executor.logging_dir.path).name
        yield f"{command}/{name}", f"logs/{name}", executor


def run_killed(folder: Path, clean: Clean, stage: Stage, trap: Trap, rng: random.Random, tally: Tally) -> None:
    """Kill one run a few times, let it finish, and enter what came of it."""
    shutil.copytree(stage.before, folder)
    attempt = Attempt(folder, clean, trap)
    for _ in range(rng.randint(4, 16)):
        kind, num_kills, is_finished = attempt.start(rng.choice(KINDS), under_way(folder, clean), rng)
        if num_kills:
            tally.stages[under_way(folder, clean).name] += num_kills
            tally.kinds[kind] += num_kills
        if torn := {name for name, digest in digests(folder).items() if clean.files.get(name) != digest}:
            print(f"torn after {kind} in {stage.name}: {', '.join(sorted(torn))}", flush=True)
            tally.found["torn"] += len(torn)
        if is_finished:
            break
    tally.found["runs"] += 1
    if not attempt.finish():
        print(f"{stage.name} did not finish: {attempt.output.read_text()[-2000:]}", flush=True)
        tally.found["differences"] += 1
    compare(folder, clean, tally)
    shutil.rmtree(folder)


def compare(folder: Path, clean: Clean, tally: Tally) -> None:
    """Enter how a finished run differs from the clean one."""
    files = digests(folder)
    different = sorted(name for name in {*files, *clean.files} if files.get(name) != clean.files.get(name))
    if not different:
        return
    ids = ids_of(folder)
    print(f"different: {', '.join(different)}", flush=True)
    tally.found["differences"] += len(different)
    tally.found["lost"] += (clean.ids - ids).total()
    tally.found["doubled"] += (ids - clean.ids).total()


class Attempt:
    """The attempts at one run, each a process group of its own."""

    def __init__(self, folder: Path, clean: Clean, trap: Trap) -> None:
        self.folder, self.clean, self.trap = folder, clean, trap
        self.output = folder.with_suffix(".txt")

    def start(self, kind: str, stage: Stage, rng: random.Random) -> tuple[str, int, bool]:
        """Begin or resume the run and kill; return kind and number of kills, and whether it finished all the same."""
        before = self.trap.num_kills
        if kind == "rename":
            # Every process counts for itself, and a worker has fewer calls than the pass.
            moment = rng.randint(1, stage.num_calls if rng.random() < 0.5 else stage.num_calls // TASKS + 2)
            after, whole_group = rng.random() < 0.5, rng.random() < 0.5
            pid = self._fork(lambda: self.trap.set(moment, after=after, whole_group=whole_group))
            status = self._wait(pid)
            return kind, (self.trap.num_kills - before) % 256, status == 0
        pid = self._fork()
        kind, num_kills = self._strike(pid, kind, stage, rng)
        return kind, num_kills, self._wait(pid) == 0

    def finish(self) -> bool:
        """Let the run through; return whether it said that all is well."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            self.output.unlink(missing_ok=True)
            if self._wait(self._fork()) == 0:
                return True
            if "another process is writing" not in self.output.read_text():  # a worker that is about to go
                return False
            time.sleep(0.01)
        return False

    def _fork(self, prepare: Callable[[], None] = lambda: None) -> int:
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.setpgid(0, 0)
            code = 99
            try:
                with self.output.open("a") as output:
                    os.dup2(output.fileno(), 1)
                    os.dup2(output.fileno(), 2)
                prepare()
                code = run_command(self.clean.command, self.clean.arguments, self.folder)
                sys.stderr.flush()
            finally:
                os._exit(code)
        return pid

    def _strike(self, pid: int, kind: str, stage: Stage, rng: random.Random) -> tuple[str, int]:
        """Kill at a moment of the stage; return the kind of kill, and 1 unless all was over by then."""
        started = self.folder / stage.logs / "executor.json"
        before = started.stat().st_mtime_ns if started.exists() else 0
        if rng.random() < 0.9:  # else while it plans
            while is_alive(pid) and (started.stat().st_mtime_ns if started.exists() else 0) == before:
                time.sleep(0.001)
        time.sleep(rng.random() * stage.seconds * 1.2)
        victim = pid
        if kind == "worker":
            workers = descendants(pid)
            kind, victim = ("worker", rng.choice(workers)) if workers else ("launcher", pid)
        if not is_alive(pid) or not is_alive(victim):
            return kind, 0
        try:
            (os.killpg if kind == "group" else os.kill)(victim, signal.SIGKILL)
        except ProcessLookupError:  # it has ended since
            return kind, 0
        return kind, 1

    def _wait(self, pid: int) -> int:
        deadline = time.monotonic() + DEADLINE_S
        while (ended := os.waitpid(pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
            time.sleep(0.002)
        return os.waitstatus_to_exitcode(ended[1])


def under_way(folder: Path, clean: Clean) -> Stage:
    """Return the stage in which a run died."""
    for stage in clean.stages:
        wanted = {path.name for path in (clean.folder / stage.logs / "completions").iterdir()}
        if not all((folder / stage.logs / "completions" / name).exists() for name in wanted):
            return stage
    return clean.stages[-1]


if __name__ == "__main__":
    main()
