"""Watching a run from outside: how far it is, on stderr, while everything else that would go there goes to a file.

datatrove logs every file and every rank to stderr. That belongs into a log: descriptor 2 itself is pointed at it for
the time of the run, so that worker processes and C libraries are caught too.
"""

import os
import re
import shlex
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO

_POLL_S: Final = 0.5
_LINE_EVERY_S: Final = 10.0


@contextmanager
def stderr_to(log: Path) -> Iterator[TextIO]:
    """Send what this process and its children write to stderr to `log`; yield the stream that was there before.

    Every launch begins with the command that made it, for `hf-curation status` to tell.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    sys.stderr.flush()
    before = sys.stderr
    saved = os.dup(2)
    # Only a terminal, or a file of its own, is worth the old descriptor; a captured sys.stderr is used as it is.
    screen = os.fdopen(os.dup(saved), "w", buffering=1) if _is_descriptor_2(before) else before
    with log.open("a", encoding="utf-8", buffering=1) as file:
        file.writelines(f"$ {command}\n" for command in _command())
        os.dup2(file.fileno(), 2)
        sys.stderr = file
        try:
            yield screen
        finally:
            sys.stderr = before
            os.dup2(saved, 2)
            os.close(saved)
            if screen is not before:
                screen.close()


class Progress:
    """A thread that shows how many documents and tasks are done: a bar on a terminal, else a line every 10 s.

    Args:
        folder: the run's; steps keep one small file per task under `logs/progress`, and manifests as they finish.
        num_tasks: how many there are.
        stream: where to show it.
    """

    def __init__(self, folder: Path, num_tasks: int, stream: TextIO) -> None:
        self.folder = folder
        self.num_tasks = num_tasks
        self.stream = stream
        self.title = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def count(self) -> tuple[int, int]:
        """Return how many documents and how many tasks are through."""
        return _num_documents(self.folder / "logs"), _num_manifests(self.folder / "manifests")

    def _watch(self) -> None:
        bar = self._bar() if self.stream.isatty() else None
        shown_at = time.monotonic()
        while not self._stop.wait(_POLL_S):
            num_documents, num_tasks = self.count()
            if bar is not None:
                bar.set_postfix_str(f"{num_tasks} of {self.num_tasks} tasks", refresh=False)
                bar.set_description_str(self.title, refresh=False)
                bar.update(num_documents - bar.n)
            elif time.monotonic() - shown_at > _LINE_EVERY_S:
                shown_at = time.monotonic()
                line = f"{num_documents:,} documents, {num_tasks} of {self.num_tasks} tasks finished"
                self.stream.write(f"{self.title}: {line}\n" if self.title else f"{line}\n")
        if bar is not None:
            bar.close()

    def _bar(self) -> Any:  # noqa: ANN401 - tqdm has no types
        from tqdm import tqdm

        return tqdm(unit=" documents", file=self.stream, initial=self.count()[0], leave=False)


class StageProgress(Progress):
    """The same for a run in several passes: shows the one that is under way.

    Args:
        folder: the run's; every pass has its manifests in `manifests/NAME` and its logs in `logs/NAME`.
        stages: name and number of tasks of every pass, in order; the manifests of the last one are the folder's own.
        stream: where to show it.
    """

    def __init__(self, folder: Path, stages: Sequence[tuple[str, int]], stream: TextIO) -> None:
        super().__init__(folder, stages[0][1], stream)
        self.stages = list(stages)

    def count(self) -> tuple[int, int]:
        """Return how many documents and tasks of the pass under way are through, and make it the title."""
        last = self.stages[-1][0]
        for name, num_tasks in self.stages:
            done = _num_manifests(self.folder / "manifests" / ("" if name == last else name))
            if done < num_tasks or name == last:
                self.title, self.num_tasks = name, num_tasks
                break
        return _num_documents(self.folder / "logs" / self.title), done


def _num_documents(logs: Path) -> int:
    total = 0
    for path in (logs / "progress").glob("*"):
        try:
            total += int(path.read_text(encoding="ascii"))
        except (OSError, ValueError):  # being written at this moment
            continue
    return total


def _num_manifests(folder: Path) -> int:
    return len(list(folder.glob("*.json")))


def _command() -> Iterator[str]:
    """Yield what this process was called by, if it was `hf-curation VERB`; passwords in URLs are left out."""
    from hf_curation.cli.main import VERBS

    if sys.argv[1:2] and sys.argv[1] in VERBS:
        command = f"{shlex.join(['cd', os.getcwd()])} && {shlex.join(['hf-curation', *sys.argv[1:]])}"
        yield re.sub(r"(//[^/\s:@]*):[^@/\s]*@", r"\1:***@", command)


def _is_descriptor_2(stream: TextIO) -> bool:
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):
        return False
