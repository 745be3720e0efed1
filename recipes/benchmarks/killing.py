"""What drills and tests that kill runs share: pages to work on, ways to kill, and a look at what is left.

Needs Linux: processes are found in /proc.
"""

import json
import mmap
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

_WORDS = ["the", "sea", "was", "calm", "and", "ships", "went", "out", "while", "gulls", "cried", "over", "walls"]
_MENU = ["Home", "Login", "Cart (0)", "Share on Facebook", "Cookie settings"]
_ID_FOLDERS = ("data", "dropped", "weights", "tokens")


def write_pages(path: Path, num_pages: int = 245, *, seed: int = 0, max_sentences: int = 40) -> Path:
    """Write pages with menus as JSON lines; every fiftieth line is no record. Returns `path`."""
    rng = random.Random(seed)  # noqa: S311

    def page(i: int) -> dict[str, Any]:
        num_sentences = rng.randint(3, max_sentences)
        sentences = [" ".join(rng.choices(_WORDS, k=rng.randint(8, 60))) for _ in range(num_sentences)]
        menu = rng.sample(_MENU, 3)
        text = "\n".join([*menu, *sentences, *menu])
        return {"id": str(i), "text": text, "url": f"https://example.org/{i}", "source": f"site {i % 3}"}

    path.write_text("\n".join(json.dumps(page(i)) if i % 50 else "not json" for i in range(num_pages)) + "\n")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Return name -> bytes of every file of a run, logs aside."""
    found = {}
    for path in folder.rglob("*"):
        if "logs" not in path.relative_to(folder).parts and path.is_file():
            found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def digests(folder: Path) -> dict[str, str]:
    """Return name -> SHA-256 of every file of a run at its final name, logs aside."""
    return {name: sha256(data).hexdigest() for name, data in contents(folder).items() if not name.endswith(".part")}


def descendants(pid: int) -> list[int]:
    """Return the processes that come from `pid`, the youngest last."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:  # gone in the meantime
            continue
        for child in children:
            found += [int(child), *descendants(int(child))]
    return found


def is_alive(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def ids_of(folder: Path) -> Counter[str]:
    """Return how often each document is in each part of a run's output."""
    import pyarrow as pa
    from pyarrow import parquet

    ids = Counter[str]()
    for part in _ID_FOLDERS:
        for path in sorted((folder / part).glob("*.*")):
            if path.suffix == ".parquet":
                ids.update(f"{part} {id_}" for id_ in parquet.read_table(path, columns=["id"])["id"].to_pylist())
            elif path.suffix == ".arrow":
                ids.update(f"{part} {id_}" for id_ in pa.ipc.open_file(path).read_all()["id"].to_pylist())
    return ids


@contextmanager
def quiet(path: Path) -> Iterator[None]:
    """Send descriptors 1 and 2 to the end of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    saved = [os.dup(1), os.dup(2)]
    with path.open("a") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        for at, before in enumerate(saved, 1):
            os.dup2(before, at)
            os.close(before)


@dataclass(frozen=True)
class Stage:
    """A pass of a command, the folder as it is before it, and what it takes undisturbed."""

    name: str
    before: Path
    logs: str
    """Of the pass, in the run's folder."""
    seconds: float
    num_calls: int
    """Calls of `fsync` and rename."""


@dataclass
class Tally:
    """What the drill has found so far."""

    stages: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)

    def figures(self) -> dict[str, Any]:
        """Return the last line."""
        kinds = ("lost", "doubled", "differences", "torn")
        figures = {"kills": self.stages.total(), **{kind: self.found[kind] for kind in kinds}}
        return figures | {"runs": self.found["runs"], "stages": dict(self.stages), "kinds": dict(self.kinds)}


class Trap:
    """Kills a process at one of the calls that make files safe: `os.fsync` and `os.replace`, before or after it.

    Set it in a forked child; processes forked from there inherit it, each with a count of its own. `num_kills` is
    shared with the parent, which reads there whether the trap has closed.
    """

    def __init__(self) -> None:
        self.num_calls = 0
        self._calls = {name: getattr(os, name) for name in ("fsync", "replace")}
        self._shared = mmap.mmap(-1, 1)

    @property
    def num_kills(self) -> int:
        """How often the trap has closed, in whichever process; modulo 256."""
        return self._shared[0]

    def set(self, kill_at: int | None, *, after: bool = False, whole_group: bool = False) -> None:
        """Count calls from now on.

        Args:
            kill_at: the number of the call; None only counts.
            after: once the call is done, rather than before it.
            whole_group: kill every process of the group, not this one alone.
        """
        self.num_calls = 0

        def wrapped(call: Callable[..., Any]) -> Callable[..., Any]:
            def trapped(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                self.num_calls += 1
                is_due = self.num_calls == kill_at
                if is_due and not after:
                    self._close(whole_group)
                result = call(*args, **kwargs)
                if is_due:
                    self._close(whole_group)
                return result

            return trapped

        for name, call in self._calls.items():
            setattr(os, name, wrapped(call))

    def clear(self) -> None:
        """Put the calls back."""
        for name, call in self._calls.items():
            setattr(os, name, call)

    def _close(self, whole_group: bool) -> None:
        self._shared[0] = (self._shared[0] + 1) % 256
        if whole_group:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
