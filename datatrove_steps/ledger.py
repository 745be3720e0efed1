"""What the steps of one rank tell the last of them, so that a rank is published as a whole or not at all.

Steps of a pipeline share one `Ledger`; executors copy and pickle pipelines as a whole, so it stays shared. Under
Slurm's `tasks_per_job > 1` the same objects run several ranks in turn: `PublishRank`, which starts first because
generators start from the far end, opens a new page for each. Without a ledger every step works by itself and publishes
its own files.
"""

from dataclasses import dataclass, field
from pathlib import Path

from hf_curation.files.accounts import StageAccount
from hf_curation.files.atomic import PartFile
from hf_curation.files.manifest import InputShare, OutputFile


@dataclass(slots=True)
class FinishedPart:
    """A file whose bytes are complete and on disk, and which still has its temporary name."""

    part: PartFile
    num_rows: int
    content_sha256: str | None = None

    def describe(self, folder: Path) -> OutputFile:
        """Return the manifest's line on this file; `folder` is the run's."""
        return OutputFile(
            name=self.part.target.relative_to(folder).as_posix(),
            num_bytes=self.part.num_bytes,
            sha256=self.part.sha256,
            num_rows=self.num_rows,
            content_sha256=self.content_sha256,
        )


@dataclass(slots=True)
class RankLedger:
    """One rank's page of the ledger; stages appear in the order in which they finish, which is the pipeline's."""

    rank: int
    stages: dict[str, StageAccount] = field(default_factory=dict)
    inputs: list[InputShare] = field(default_factory=list)
    parts: list[FinishedPart] = field(default_factory=list)
    refiners: dict[str, str] = field(default_factory=dict)

    def close_stage(self, name: str, account: StageAccount) -> None:
        """Enter the finished account of a stage; a second stage of that name gets a number."""
        names = (name, *(f"{name}_{i}" for i in range(2, len(self.stages) + 3)))
        self.stages[next(free for free in names if free not in self.stages)] = account

    def discard(self) -> None:
        """Remove every part that was not published."""
        for finished in self.parts:
            finished.part.discard()


class Ledger:
    """Holds the page of the rank that is running."""

    def __init__(self) -> None:
        self._page: RankLedger | None = None

    def open(self, rank: int) -> RankLedger:
        """Start a new page for `rank`."""
        self._page = RankLedger(rank)
        return self._page

    def page(self, rank: int) -> RankLedger:
        """Return the open page of `rank`.

        Raises:
            ValueError: if no `PublishRank` at the end of the pipeline has opened it.
        """
        if self._page is None or self._page.rank != rank:
            raise ValueError("steps that share a ledger need PublishRank(ledger=...) as the last step of the pipeline")
        return self._page


def deliver(finished: FinishedPart, ledger: Ledger | None, rank: int) -> None:
    """Publish a finished file now or, where there is a ledger, with everything else of its rank."""
    if ledger is None:
        finished.part.publish()
    else:
        ledger.page(rank).parts.append(finished)
