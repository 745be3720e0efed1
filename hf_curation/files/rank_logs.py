"""What datatrove's log of a rank says: when it started, and what it died of.

datatrove opens `logs/task_00000.log` anew at every attempt, and logs the exception that ends one. `LocalRanks` adds
what only the launcher knows, such as that a process was killed. So a log is of the last attempt, and a reason in it
is the reason why that failed.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TAIL_BYTES: Final = 64 * 1024
_MAX_CHARS: Final = 300
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")
_STAMP: Final = re.compile(r"(?:\[NODE -?\d+\] )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(\.\d+)? \| ")
_FAILED: Final = re.compile(_STAMP.pattern + r"(?:ERROR|CRITICAL) *\| [\w.]*executor[\w.:<>]* - (?P<told>.*)")
_EXCEPTION: Final = re.compile(r"(?:\w+\.)*(?P<name>[A-Z]\w*): (?P<told>.+)")
_SAYS_IT_ITSELF: Final = {"OSError", "RuntimeError", "ShardError", "ValueError"}


@dataclass(frozen=True, slots=True)
class RankLog:
    """The log of a rank's last attempt."""

    started: float
    """Unix time."""
    written: float
    """Unix time of the last line."""
    failure: str | None
    """Why the attempt failed, in one line; None while it runs, when it ended well, or when it just stopped."""


def read_rank_log(logs: Path, rank: int, *, since: float = 0.0) -> RankLog | None:
    """Read a rank's log; None where there is none that was written to after `since` (Unix time)."""
    path = logs / "logs" / f"task_{rank:05d}.log"
    try:
        written = path.stat().st_mtime
        with path.open("rb") as file:
            head = file.readline(1000)
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            tail = file.read()
    except FileNotFoundError:
        return None
    if written < since:
        return None
    started = _time_of(head.decode(errors="replace"), written)
    return RankLog(started, written, failure_in(tail.decode(errors="replace")))


def failure_in(log: str) -> str | None:
    """Return in one line why the attempt failed whose log (or its end) this is; None if it does not say."""
    lines = _COLOUR.sub("", log).splitlines()
    at = next((i for i in range(len(lines) - 1, -1, -1) if _FAILED.match(lines[i])), None)
    if at is None:
        return None
    # A message may be as vague as that of a KeyError; the end of the traceback has the exception's name before it.
    last = next((line for line in reversed(lines[at:]) if line.strip()), "")
    if exception := _EXCEPTION.fullmatch(last):
        name, told = exception["name"], exception["told"]
        return shorten(told if name in _SAYS_IT_ITSELF else f"{name}: {told}")
    found = _FAILED.match(lines[at])
    assert found is not None
    return shorten(found["told"])


def shorten(text: str) -> str:
    """Return `text` in one line of at most 300 characters."""
    text = " ".join(text.split())
    return text if len(text) <= _MAX_CHARS else f"{text[: _MAX_CHARS - 3]}..."


def _time_of(line: str, default: float) -> float:
    """Return the Unix time that a log line begins with."""
    if found := _STAMP.match(_COLOUR.sub("", line)):
        return time.mktime(time.strptime(found[1], "%Y-%m-%d %H:%M:%S")) + float(found[2] or 0)
    return default
