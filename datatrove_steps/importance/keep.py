"""KeepChosen: the last pass: reads the corpus once more, beside the sidecar, and copies what was chosen.

Documents and weights are matched by id, row by row: a rank reads the same span of the same files that it weighed, and
one id that differs ends it. Nothing is taken from positions alone: datatrove's readers leave out what they cannot read
without a trace, and positions then slip.

On the way the groups of the evidence are counted: the chosen, a random draw of the same budget, and the plain top.
"""

from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.importance.choose import Choices
from datatrove_steps.importance.kept import Gatherer
from datatrove_steps.importance.layout import ChosenWriter, Layout
from datatrove_steps.importance.readings import Reading, read_account, read_reading
from datatrove_steps.importance.sidecar import RowReader, candidates_of, read_sidecar
from datatrove_steps.importance.stages import Progress, Stage, check_file
from datatrove_steps.importance.texts import Rejects, TextBatch
from datatrove_steps.importance.weigh import CONTAMINATED
from datatrove_steps.ledger import FinishedPart, Ledger
from datatrove_steps.quarantine import Quarantine
from hf_curation.files.accounts import StageAccount
from hf_curation.files.atomic import PartFile
from hf_curation.sampling.choice import Chosen
from hf_curation.sampling.evidence import CHOSEN
from hf_curation.sampling.leakage import LeakIndex
from hf_curation.sampling.spec import FeatureSpec

NOT_CHOSEN: Final = "not_chosen"
TOO_SHORT: Final = "too_short"


class KeepChosen(PipelineStep):  # type: ignore[misc]
    """Copy the chosen documents of one rank, with what was found out about them, in their order.

    Args:
        output_folder: the run's; documents go to `data/`, bad records to `quarantine/`.
        readings: what each rank has weighed.
        layout: the columns of the output.
        weigh: the stage that weighed.
        choose: the stage that chose.
        columns: of log weights.
        spec: the sampler's features, for the evidence.
        leak_index_path: what documents were searched with, to show the passages.
        stage: the stage of a selection that this is.
    """

    type = "💽 - WRITER"
    name = "🎯 Keep chosen"

    def __init__(
        self,
        output_folder: str | Path,
        readings: list[Reading],
        *,
        layout: Layout,
        weigh: Stage,
        choose: Stage,
        columns: tuple[str, ...],
        spec: FeatureSpec,
        leak_index_path: str | Path | None = None,
        stage: Stage,
    ) -> None:
        super().__init__()
        self.output_folder = Path(output_folder).absolute()
        self.readings = readings
        self.layout = layout
        self.weigh = weigh
        self.choose = choose
        self.columns = columns
        self.spec = spec
        self.leak_index_path = None if leak_index_path is None else Path(leak_index_path).absolute()
        self.stage = stage

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write the rank's files; yields nothing.

        Raises:
            ValueError: if the executor runs another number of tasks than was planned, or weights, choice and documents
                are not of each other.
            ShardError: if an input file is damaged.
        """
        yield from data or ()
        self.stage.check_world(world_size)
        choices = Choices.read(self.choose)
        rows = self._open_sidecar(rank, choices)
        ledger, progress = Ledger(), Progress(self.stage, rank)
        page = ledger.open(rank)
        part = PartFile(self.output_folder / "data" / f"{rank:05d}.parquet")
        try:
            with Quarantine(self.output_folder / "quarantine", "read", rank, ledger) as quarantine:
                rejects = Rejects(quarantine)
                work = _RankWork(self, choices, ChosenWriter(part, self.layout.schema))
                for batch in read_reading(self.readings[rank], rejects, page, whole=True):
                    with self.track_time("batch"):
                        work.add(batch, rows)
                    progress.add(len(batch))
                if not rows.is_at_end():
                    raise ValueError(f"{self.weigh.folder} has weights for more documents than were read; weigh again")
                page.close_stage("read", read_account(work.account.num_in, rejects))
                page.close_stage("choose", work.account)
                work.writer.close()
                part.finish()
                page.parts.append(FinishedPart(part, work.writer.num_rows))
            paths = work.gatherer.kept.save(self.output_folder / "counts" / "kept", rank)
            self.stage.publish(page, [self.stage.describe(path, work.account.num_out) for path in paths])
        except BaseException:
            page.discard()
            part.discard()
            raise
        progress.close()
        self.stat_update("documents", value=work.account.num_in, unit="task")
        self.stat_update("chosen", value=work.account.num_out, unit="task")

    def _open_sidecar(self, rank: int, choices: Choices) -> RowReader:
        output = self.weigh.outputs()[rank]
        if len(choices.weights_sha256) != len(self.readings) or choices.weights_sha256[rank] != output.sha256:
            raise ValueError(f"{self.choose.folder} has a choice by other weights than {output.name}; choose again")
        return read_sidecar(check_file(self.weigh, output), self.columns)


class _RankWork:
    """What one rank has kept so far."""

    def __init__(self, step: KeepChosen, choices: Choices, writer: ChosenWriter) -> None:
        self.account = StageAccount()
        leaks = None if step.leak_index_path is None else LeakIndex.load(step.leak_index_path)
        names = (CHOSEN, *choices.compared)
        self.gatherer = Gatherer(step.spec, names, seed=choices.chosen.rules.seed, leaks=leaks)
        self.writer = writer
        self._choices = choices
        self._columns = step.columns
        self._layout = step.layout
        self._lanes = np.array(["general", *choices.chosen.target_names], dtype=object)
        self._codes = {name: code for code, name in enumerate(choices.chosen.source_names)}

    def add(self, batch: TextBatch, rows: RowReader) -> None:
        """Choose among the documents of a batch and write those that are in."""
        weights = rows.take(len(batch))
        if weights is None or weights.column("id").to_pylist() != batch.ids:
            found = None if weights is None else weights.column("id").to_pylist()
            raise ValueError(f"documents and weights do not match: {_first_difference(batch.ids, found)}; weigh again")
        candidates = candidates_of(weights, self._columns, self._codes)
        chosen = self._choices.chosen.of(candidates)
        copies = {CHOSEN: chosen.copies}
        copies |= {name: choice.of(candidates).copies for name, choice in self._choices.compared.items()}
        is_leaked = pc.fill_null(pc.equal(weights.column("excluded"), CONTAMINATED), False)
        self.gatherer.add(batch, weights, copies, is_leaked.to_numpy(zero_copy_only=False))
        wanted = np.flatnonzero(chosen.copies)
        self._count(weights, chosen)
        if len(wanted):
            self.writer.add(self._layout.rows(batch, wanted, self._ours(weights, chosen, wanted)))

    def _ours(self, weights: Any, chosen: Chosen, wanted: Any) -> dict[str, Any]:  # noqa: ANN401 - rows; int64[K]
        """Return the selection's columns of the rows that are in."""
        rows = weights.take(pa.array(wanted))
        columns = {name: rows.column(name) for name in (*self._columns, "num_ngrams")}
        columns["importance_lane"] = pa.array(self._lanes[chosen.lane[wanted]], pa.string())
        if "repeats" in self._layout.ours:
            columns["repeats"] = pa.array(chosen.copies[wanted])
        return columns

    def _count(self, weights: Any, chosen: Chosen) -> None:  # noqa: ANN401 - rows of a sidecar
        account, tokens_N = self.account, weights.column("num_tokens").to_numpy()
        copies_N = chosen.copies.astype(np.int64)
        is_out = copies_N == 0
        reasons = Counter(reason for reason in weights.column("excluded").to_pylist() if reason)
        is_excluded = weights.column("excluded").is_valid().to_numpy(zero_copy_only=False)
        too_short = int((~is_excluded & (tokens_N < self._choices.chosen.rules.min_tokens)).sum())
        account.num_in += len(copies_N)
        account.num_out += int((~is_out).sum())
        account.dropped.update(reasons)
        account.dropped[TOO_SHORT] += too_short
        account.dropped[NOT_CHOSEN] += int(is_out.sum()) - reasons.total() - too_short
        for number in np.unique(chosen.lane[~is_out]).tolist():
            is_lane = ~is_out & (chosen.lane == number)
            account.status[str(self._lanes[number])] += int(is_lane.sum())
        account.totals["tokens_in"] += int(tokens_N.sum())
        account.totals["tokens_chosen"] += int((tokens_N * copies_N).sum())
        account.totals["copies_chosen"] += int(copies_N.sum())


def _first_difference(ids: list[str], others: list[str] | None) -> str:
    for id_, other in zip(ids, others or [], strict=False):
        if id_ != other:
            return f"the document {id_!r} stands where {other!r} was weighed"
    return f"{len(others or [])} weights for {len(ids)} documents"
