"""The manifest of a rank: what it read, wrote and did; written last, after its files are at their final names.

A rank is finished when its manifest names the plan and its files are there with the sizes it says; everything else in
the folder is left-over. Nothing here holds a time, a host name or a path outside the folder, so that two runs of one
plan are equal byte for byte.

    OUTPUT/plan.json  data/00000.parquet  dropped/00000.parquet  quarantine/read-00000.jsonl  manifests/00000.json
"""

from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from hf_curation.files.accounts import StageAccount, check_chain
from hf_curation.files.atomic import PART_SUFFIX, canonical_json, write_json
from hf_curation.files.plans import OUTPUT_PARTS, SCHEMA_VERSION, Plan, read_json


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """A finished file of a run."""

    name: str
    """Relative to the output folder, with `/`."""
    num_bytes: int
    sha256: str
    num_rows: int
    content_sha256: str | None = None
    """Of the decompressed bytes, for formats that have such a thing; equal contents may be compressed differently."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InputShare:
    """What a rank read of one input file."""

    name: str
    part: int
    num_parts: int
    num_records: int
    left_out: str | None = None
    """Why it was not read, a key of `BAD_SHARD_REASONS`."""


@dataclass(slots=True, kw_only=True)
class Manifest:
    """What one rank read, wrote and did; the last file that it writes."""

    plan_sha256: str
    step: str
    config: dict[str, Any]
    config_sha256: str
    versions: dict[str, str]
    input_fingerprint: str
    rank: int
    world_size: int
    inputs: list[InputShare] = field(default_factory=list)
    outputs: list[OutputFile] = field(default_factory=list)
    stages: dict[str, StageAccount] = field(default_factory=dict)
    """In the order in which documents pass them."""
    refiners: dict[str, str] = field(default_factory=dict)
    """Stage -> name of the refiner that was loaded, with its revision where it has one."""
    schema_version: int = SCHEMA_VERSION

    @classmethod
    def of(cls, plan: Plan, rank: int) -> Self:
        """Return an empty manifest of one rank of a plan."""
        return cls(
            plan_sha256=plan.sha256,
            step=plan.step,
            config=plan.config,
            config_sha256=sha256(canonical_json(plan.config)).hexdigest(),
            versions=plan.versions,
            input_fingerprint=plan.input_fingerprint,
            rank=rank,
            world_size=plan.world_size,
        )

    def write(self, folder: Path, stage: str = "") -> None:
        """Write the manifest at its place in a run's folder."""
        stages = [{"name": name, **stage.to_dict()} for name, stage in self.stages.items()]
        body = {name: getattr(self, name) for name in self.__slots__ if name != "stages"}
        write_json(manifest_path(folder, self.rank, stage), body | {"stages": stages})

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a manifest.

        Raises:
            ValueError: if it is none, or of another schema version.
        """
        data = read_json(path)
        try:
            return cls(
                **data
                | {
                    "inputs": [InputShare(**share) for share in data["inputs"]],
                    "outputs": [OutputFile(**output) for output in data["outputs"]],
                    "stages": {stage.pop("name"): StageAccount.from_dict(stage) for stage in data["stages"]},
                }
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path} is no manifest of this version ({error}); remove it and run again") from error


def manifest_path(folder: Path, rank: int, stage: str = "") -> Path:
    """Return where the manifest of a rank lies; the stages before the last have a folder each."""
    return folder / "manifests" / stage / f"{rank:05d}.json"


def finished_ranks(folder: Path, plan: Plan, stage: str = "") -> set[int]:
    """Return the ranks of this plan that need not run again: manifest there, files there with the right sizes."""
    return {rank for rank in range(plan.world_size) if _is_finished(folder, plan, rank, stage)}


def check_run(folder: Path, plan: Plan, stage: str = "") -> list[Manifest]:
    """Return the manifests of a finished run, checked against the folder and against the conservation law.

    Parts that killed attempts left (`remove_parts`) are not of the run: on a cluster nobody sweeps before a launch.

    Args:
        folder: the run's.
        plan: the run's, or that of one of its stages.
        stage: a stage before the last one, where a run has several; its files may lie anywhere in the folder.

    Raises:
        ValueError: if a rank is missing or of another plan, or a file is missing, changed in size or in no manifest.
        ConservationError: if documents appeared or vanished.
    """
    missing = sorted(set(range(plan.world_size)) - finished_ranks(folder, plan, stage))
    if missing:
        ranks = ", ".join(map(str, missing[:8])) + (", ..." if len(missing) > 8 else "")
        raise ValueError(f"{len(missing)} of {plan.world_size} tasks are not finished (task {ranks}); run it again")
    manifests = [Manifest.read(manifest_path(folder, rank, stage)) for rank in range(plan.world_size)]
    listed = {output.name for manifest in manifests for output in manifest.outputs}
    for part in () if stage else OUTPUT_PARTS:
        for file in sorted((folder / part).rglob("*")):
            name = file.relative_to(folder).as_posix()
            if file.is_file() and file.suffix != PART_SUFFIX and name not in listed:
                raise ValueError(f"{name} in {folder} is in no manifest; move it away and run again")
    for manifest in manifests:
        check_chain(manifest.stages)
    return manifests


def _is_finished(folder: Path, plan: Plan, rank: int, stage: str) -> bool:
    path = manifest_path(folder, rank, stage)
    if not path.exists():
        return False
    manifest = Manifest.read(path)
    if manifest.plan_sha256 != plan.sha256:
        return False
    sizes = {output.name: output.num_bytes for output in manifest.outputs}
    return all((folder / name).is_file() and (folder / name).stat().st_size == n for name, n in sizes.items())
