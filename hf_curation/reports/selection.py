"""Gathering the report of a selection: its evidence, and what its plan says of it.

All figures were counted while the run went over the corpus, so this reads two small files and no document.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from hf_curation.files.bad_shards import read_bad_shards
from hf_curation.sampling.evidence import Evidence

STEP: Final = "select"
DEFAULT_DOCUMENTS: Final = 8
MAX_DOCUMENTS: Final = 50


@dataclass(frozen=True, slots=True)
class SelectionReport:
    """What the page of a selection shows."""

    evidence: Evidence
    versions: dict[str, str] = field(default_factory=dict)
    input_fingerprint: str | None = None
    num_tasks: int | None = None
    bad_shards: dict[str, str] = field(default_factory=dict)
    """Name -> reason of the files of the input that were left out."""
    documents: int = DEFAULT_DOCUMENTS
    """Sample documents shown of each kind, at most."""

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        run = {"versions": self.versions, "input_fingerprint": self.input_fingerprint, "tasks": self.num_tasks}
        run |= {"bad_shards": self.bad_shards}
        return {"run": run, **self.evidence.to_json()}


def is_selection(folder: Path) -> bool:
    """Whether a selection has begun in `folder`, as its plan says."""
    return _plan(folder).get("step") == STEP


def gather_selection(folder: Path, *, documents: int = DEFAULT_DOCUMENTS) -> SelectionReport:
    """Read what a selection wrote.

    Args:
        folder: the OUTPUT folder of `hf-curation select`.
        documents: sample documents shown of each kind, 0 to `MAX_DOCUMENTS`.

    Raises:
        ValueError: if the run is not finished, its evidence is of another version, or `documents` is out of range.
    """
    if not 0 <= documents <= MAX_DOCUMENTS:
        raise ValueError(f"sample must be 0 to {MAX_DOCUMENTS} for a selection, got {documents}")
    path = folder / "evidence.json"
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no evidence.json: the selection is not finished; run `hf-curation select` again"
        )
    plan = _plan(folder)
    return SelectionReport(
        evidence=Evidence.read(path),
        versions={str(name): str(version) for name, version in (plan.get("versions") or {}).items()},
        input_fingerprint=plan.get("input_fingerprint"),
        num_tasks=plan.get("world_size"),
        bad_shards=read_bad_shards(folder),
        documents=documents,
    )


def _plan(folder: Path) -> dict[str, Any]:
    try:
        plan = orjson.loads((folder / "plan.json").read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return plan if isinstance(plan, dict) else {}
