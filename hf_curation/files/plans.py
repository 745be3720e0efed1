"""The plan of a run: everything that decides the bytes of its output, written before anything else.

A folder belongs to one plan. Running the same plan again goes on where it stopped; any other plan (options, input,
number of tasks, code) is refused with the first differences, or replaces the folder where that is asked for. datatrove
0.10, launched again with 2 tasks instead of 4, says that all is done, and half of the documents are missing.
"""

import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, Final, Self

import orjson

from hf_curation.files.atomic import PART_SUFFIX, canonical_json, write_json
from hf_curation.files.sources import Source

SCHEMA_VERSION: Final = 1
OUTPUT_PARTS: Final = ("data", "tokens", "dropped", "quarantine")
"""Sub-folders whose files must all be in a manifest."""
_OF_SELECTION: Final = (
    *("targets", "held_out", "leakage.npz", "counts", "model.npz", "weights", "choice.json", "evidence.json"),
)
_OF_STORE: Final = ("encoder", "prefixes", "store.json")
BAD_SHARDS: Final = "bad_shards.json"
_FILES: Final = (BAD_SHARDS, "README.md", "summary.json", "plan.json")
_OURS: Final = ("manifests", *OUTPUT_PARTS, *_OF_SELECTION, *_OF_STORE, "logs", *_FILES)
_CODE_SUFFIXES: Final = {".py", ".lark", ".json", ".safetensors", ".txt", ".model"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that decides the bytes of a run's output."""

    step: str
    """Which command or builder made the run, such as `refine`."""
    config: dict[str, Any]
    """Resolved options, as plain data."""
    world_size: int
    """Number of tasks."""
    inputs: list[list[Any]]
    """Name, bytes, digest and limit of every input file."""
    input_fingerprint: str
    versions: dict[str, str]
    """Of this package and its code, and of the packages that shape the output."""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, step: str, config: dict[str, Any], source: Source, world_size: int, versions: dict[str, str]) -> Self:
        """Return the plan for a source that `fingerprint` has gone over."""
        return cls(
            step=step,
            config=config,
            world_size=world_size,
            inputs=[[file.name, file.num_bytes, file.digest, file.stop] for file in source.files],
            input_fingerprint=source.fingerprint,
            versions=versions,
        )

    @property
    def sha256(self) -> str:
        """What a manifest calls its plan by."""
        return sha256(canonical_json(asdict(self))).hexdigest()


def claim_folder(folder: Path, plan: Plan, *, overwrite: bool = False) -> None:
    """Make `folder` the place of this plan: a new folder, or one that the same plan has begun.

    Args:
        folder: where output goes.
        plan: what is about to run.
        overwrite: remove what a run has written there before.

    Raises:
        ValueError: if the folder holds another plan's output (it says what differs) or something that is not ours.
    """
    path = folder / "plan.json"
    if path.exists() and overwrite:
        for name in _OURS:
            _remove(folder / name)
    elif path.exists():
        if not (told := list(_differences(read_json(path), plan))):
            return
        other = "another OUTPUT"
        if plan.step == "select":  # where only the choice is another, an hour of scoring need not be lost
            other += f" (with --weights-of {folder} nothing is weighed again)"
        raise ValueError(
            f"{folder} holds another run: {'; '.join(told[:3])}. Give {other}, or --overwrite to start afresh"
        )
    elif folder.is_dir() and any(map(_is_strange, folder.iterdir())):
        raise ValueError(f"{folder} holds files, and no run of ours; give a new or empty folder")
    write_json(path, asdict(plan))


def _is_strange(entry: Path) -> bool:
    """Return whether an entry of a folder without a plan is not what a run killed at its first write leaves."""
    return entry.name not in {".lock", "logs"} and entry.suffix != PART_SUFFIX


def code_digest(*folders: Path) -> str:
    """Return a digest over the source and model files of packages: other code, other digest."""
    digest = sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix in _CODE_SUFFIXES and path.is_file():
                digest.update(f"{folder.name}/{path.relative_to(folder).as_posix()}\0".encode())
                with path.open("rb") as file:
                    digest.update(file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _differences(old: dict[str, Any], new: Plan) -> Iterator[str]:
    """Yield in words what distinguishes a plan on disk from a new one."""
    current = orjson.loads(canonical_json(asdict(new)))
    for key in ("schema_version", "step", "world_size"):
        if old.get(key) != current[key]:
            name = "number of tasks" if key == "world_size" else key
            yield f"{name} was {old.get(key)} and is {current[key]}"
    for group in ("config", "versions"):
        yield from told_differences(old.get(group) or {}, current[group])
    before = {row[0]: row[1:] for row in old.get("inputs") or ()}
    after = {row[0]: row[1:] for row in current["inputs"]}
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            verb = "is new" if name not in before else "is gone" if name not in after else "has changed"
            yield f"input file {name} {verb}"


def told_differences(old: dict[str, Any], new: dict[str, Any], within: str = "") -> Iterator[str]:
    """Yield in words where two plain configurations differ, down to the entry of a dictionary in them.

    >>> list(told_differences({"features": {"order": 2, "seed": 0}}, {"features": {"order": 3, "seed": 0}}))
    ['features.order was 2 and is 3']
    """
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            yield from told_differences(before, after, f"{within}{key}.")
        elif before != after:
            yield f"{within}{key} was {_short(before)} and is {_short(after)}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object that this module or `manifest` wrote.

    Raises:
        ValueError: if it is not JSON, or of another schema version.
    """
    try:
        data = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{path} is not JSON ({error}); remove it and run again") from error
    if not isinstance(data, dict) or data.get("schema_version") != SCHEMA_VERSION:
        raise ValueError(f"{path} was written by another version of hf-curation; use that, or another OUTPUT")
    return data


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
