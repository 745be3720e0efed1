"""The last steps: a rank becomes visible as a whole, and a run gets its card.

A rank is published in this order: check the accounts, give all files their final names, write the manifest. A run is
finished when every rank has its manifest, every file is in one, and the accounts balance over all ranks.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.ledger import Ledger, RankLedger
from hf_curation.files.accounts import check_chain
from hf_curation.files.atomic import remove_parts, write_json, write_whole
from hf_curation.files.manifest import Manifest, OutputFile, check_run
from hf_curation.files.plans import Plan
from hf_curation.files.summary import readme, summarise

_PROGRESS_S: Final = 0.5


class PublishRank(PipelineStep):  # type: ignore[misc]
    """Publish a rank as a whole: nothing of it is at a final name before its documents add up.

    Goes last into a pipeline whose reader, refining steps and writers share its ledger. On any error, or when the
    pipeline is not run to its end, the rank's files are removed and there is no manifest.

    Args:
        output_folder: the run's folder; every file of the rank lies in it.
        plan: the run's.
        ledger: shared with the other steps.
        progress_folder: where to keep a file per rank with the number of documents so far, for who watches the run.
    """

    type = "💽 - WRITER"
    name = "📜 Publish rank"

    def __init__(
        self, output_folder: str | Path, plan: Plan, ledger: Ledger, *, progress_folder: str | Path | None = None
    ) -> None:
        super().__init__()
        self.output_folder = Path(output_folder).absolute()
        self.plan = plan
        self.ledger = ledger
        self.progress_folder = None if progress_folder is None else Path(progress_folder).absolute()

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Pass all documents on, then publish.

        Raises:
            ValueError: if the executor runs another number of tasks than was planned.
            ConservationError: if the accounts of the rank's stages do not balance.
        """
        if world_size != self.plan.world_size:
            raise ValueError(f"planned for {self.plan.world_size} tasks and launched with {world_size}; plan again")
        page = self.ledger.open(rank)
        try:
            num_documents, reported_at = 0, 0.0
            for doc in data or ():
                yield doc
                num_documents += 1
                if self.progress_folder and time.monotonic() - reported_at > _PROGRESS_S:
                    self._report(rank, num_documents)
                    reported_at = time.monotonic()
            with self.track_time("rank"):
                publish_page(page, self.output_folder, self.plan)
            self._report(rank, num_documents)
        except BaseException:
            page.discard()
            raise

    def _report(self, rank: int, num_documents: int) -> None:
        if self.progress_folder:
            report_progress(self.progress_folder, rank, num_documents)


def publish_page(
    page: RankLedger, folder: Path, plan: Plan, *, stage: str = "", files: Sequence[OutputFile] = ()
) -> None:
    """Give the files of a rank their final names and write its manifest, in this order, if its accounts balance.

    Args:
        page: what the rank did.
        folder: the run's folder, in which all its files lie.
        plan: the run's, or the stage's.
        stage: a stage before the last one, where a run has several.
        files: what lies at its final name already.

    Raises:
        ConservationError: if the accounts do not balance; nothing is published.
    """
    check_chain(page.stages)
    manifest = Manifest.of(plan, page.rank)
    manifest.inputs = page.inputs
    manifest.stages = page.stages
    manifest.refiners = page.refiners
    outputs = [*files, *(finished.describe(folder) for finished in page.parts)]
    manifest.outputs = sorted(outputs, key=lambda output: output.name)
    for finished in page.parts:
        finished.part.publish()
    manifest.write(folder, stage)


def report_progress(folder: Path, rank: int, num_documents: int) -> None:
    """Tell how far a rank is. Only for the eye: written in place, read tolerantly."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{rank:05d}").write_text(str(num_documents), encoding="ascii")


class FinishRun(PipelineStep):  # type: ignore[misc]
    """Check a whole run against its manifests and write `summary.json` and `README.md`. Runs as one task, at the end.

    Args:
        output_folder: the run's folder.
        plan: the run's.
    """

    type = "💽 - WRITER"
    name = "🧾 Finish run"

    def __init__(self, output_folder: str | Path, plan: Plan) -> None:
        super().__init__()
        self.output_folder = Path(output_folder).absolute()
        self.plan = plan

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write card and figures; yields nothing.

        Raises:
            ValueError: if a task is not finished, or the folder is not what the manifests say.
            ConservationError: if documents appeared or vanished.
        """
        yield from data or ()
        with self.track_time("run"):
            manifests = check_run(self.output_folder, self.plan)
            remove_parts(self.output_folder)  # of attempts that were killed; every task has published
            summary = summarise(manifests)
            has_dropped = any(output.name.startswith("dropped/") for m in manifests for output in m.outputs)
            write_whole(self.output_folder / "README.md", readme(summary, has_dropped=has_dropped).encode("utf-8"))
            write_json(self.output_folder / "summary.json", summary, keep_order=True)
