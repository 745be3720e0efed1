"""A stage of a selection: what it was asked for, where its files lie, and how a rank of it becomes visible.

Every pass has a plan of its own, which holds the plans that it builds on, and manifests in `manifests/STAGE/`. A pass
reads what the pass before left through `Stage.manifests`, which raises unless every task is there, of that very plan,
with files of the right size: datatrove's own reducers take as many files as they happen to find.

A run may take its weights from another folder, as far as the plans are equal; a stage therefore knows its folder.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Final

from datatrove_steps.ledger import RankLedger
from datatrove_steps.publish import publish_page, report_progress
from hf_curation.files.manifest import Manifest, OutputFile, check_run, finished_ranks
from hf_curation.files.plans import Plan

_PROGRESS_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Stage:
    """One pass of a selection."""

    name: str
    """Empty for the last one, whose manifests make the folder a dataset."""
    folder: Path
    """The run's."""
    plan: Plan

    @property
    def title(self) -> str:
        """What logs and messages call it."""
        return self.name or "keep"

    @property
    def logs(self) -> Path:
        """Where datatrove keeps its logs and completion markers."""
        return self.folder / "logs" / self.title

    def finished(self) -> set[int]:
        """Return the ranks that need not run again."""
        return finished_ranks(self.folder, self.plan, self.name)

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all ranks, in order.

        Raises:
            ValueError: if a rank is not finished, or a file is not as its manifest says.
        """
        try:
            return check_run(self.folder, self.plan, self.name)
        except ValueError as error:
            raise ValueError(f"{self.title}: {error}") from error

    def outputs(self) -> list[OutputFile]:
        """Return the one file of each rank, in order.

        Raises:
            ValueError: if the stage is not finished, or files lie beside the ones it wrote.
        """
        outputs = [manifest.outputs[0] for manifest in self.manifests()]
        listed = {self.folder / output.name for output in outputs}
        for parent in {path.parent for path in listed} - {self.folder}:
            if strangers := [path for path in parent.iterdir() if path.suffix != ".part" and path not in listed]:
                raise ValueError(f"{self.title}: {strangers[0]} is in no manifest; move it away and run again")
        return outputs

    def publish(self, page: RankLedger, files: Sequence[OutputFile] = ()) -> None:
        """Make a rank visible; see `publish_page`."""
        publish_page(page, self.folder, self.plan, stage=self.name, files=files)

    def check_world(self, world_size: int) -> None:
        """Check that the executor runs as many tasks as were planned.

        Raises:
            ValueError: if it does not.
        """
        if world_size != self.plan.world_size:
            raise ValueError(f"planned for {self.plan.world_size} tasks and launched with {world_size}; plan again")

    def describe(self, path: Path, num_rows: int) -> OutputFile:
        """Return the manifest's line on a file at its final name."""
        with path.open("rb") as file:
            digest = file_digest(file, "sha256").hexdigest()
        name = path.relative_to(self.folder).as_posix()
        return OutputFile(name=name, num_bytes=path.stat().st_size, sha256=digest, num_rows=num_rows)


class Progress:
    """Tells now and then how many documents a rank has gone through."""

    def __init__(self, stage: Stage | None, rank: int) -> None:
        self.num_documents = 0
        self._folder = None if stage is None else stage.logs / "progress"
        self._rank = rank
        self._reported_at = 0.0

    def add(self, num_documents: int) -> None:
        """Count documents."""
        self.num_documents += num_documents
        if time.monotonic() - self._reported_at > _PROGRESS_S:
            self.close()

    def close(self) -> None:
        """Report the number as it is."""
        if self._folder is not None:
            report_progress(self._folder, self._rank, self.num_documents)
            self._reported_at = time.monotonic()


def check_file(stage: Stage, output: OutputFile) -> Path:
    """Return the path of a stage's file whose bytes are those of its manifest.

    Raises:
        ValueError: if they are not.
    """
    path = stage.folder / output.name
    if stage.describe(path, 0).sha256 != output.sha256:
        raise ValueError(f"{path} was changed after it was written; remove it and run again")
    return path
