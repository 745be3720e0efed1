"""What is finished: `OUTPUT/stages/NAME.json` says with which settings a stage was run, on what, and what came of it.

A record is the last thing that a stage writes. The settings in it hold those of the stages that it reads from, so that
a change anywhere above is seen; a stage that has a record of the same settings is not run again.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hf_curation.files.atomic import write_json


class Records:
    """The records of a run.

    Args:
        output: The run's folder.
    """

    def __init__(self, output: Path) -> None:
        self.folder = output / "stages"

    def read(self, stage: str) -> dict[str, Any] | None:
        """Return a finished stage's record: `settings`, `facts`, `seconds`; None where it is not finished."""
        path = self._path(stage)
        return dict(json.loads(path.read_bytes())) if path.exists() else None

    def facts(self, stage: str) -> dict[str, Any]:
        """Return what came of a finished stage; nothing where it is not finished."""
        return dict((self.read(stage) or {"facts": {}})["facts"])

    def is_finished(self, stage: str, settings: Mapping[str, Any]) -> bool:
        """Tell whether a stage was run with these settings.

        Raises:
            ValueError: if it was run with others; says which.
        """
        record = self.read(stage)
        if record is None:
            return False
        if differences := list(_differences(record["settings"], settings)):
            name, before, now = differences[0]
            more = f" (and {len(differences) - 1} more)" if len(differences) > 1 else ""
            raise ValueError(
                f"{stage} was run with {name} {before!r}, and now it is {now!r}{more}: "
                "give another --output, or --overwrite to run it and what follows afresh"
            )
        return True

    def differs(self, stage: str, settings: Mapping[str, Any]) -> bool:
        """Tell whether a stage was run with other settings."""
        record = self.read(stage)
        return record is not None and any(True for _ in _differences(record["settings"], settings))

    def write(self, stage: str, settings: Mapping[str, Any], facts: Mapping[str, Any], seconds: float) -> None:
        """Say that a stage is finished."""
        write_json(self._path(stage), {"settings": settings, "facts": facts, "seconds": round(seconds, 1)})

    def forget(self, stage: str) -> None:
        """Take a record away: the stage is not finished."""
        self._path(stage).unlink(missing_ok=True)

    def _path(self, stage: str) -> Path:
        return self.folder / f"{stage}.json"


def _differences(before: Any, now: Any, name: str = "") -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """Yield name, former and present value of what differs."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in sorted({*before, *now}):
            yield from _differences(before.get(key), now.get(key), f"{name}.{key}" if name else key)
    elif before != now:
        yield name, before, now
