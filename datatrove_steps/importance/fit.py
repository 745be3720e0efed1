"""FitImportance and BuildLeakIndex: the two small things that weighing reads, each made once, by one task."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.importance.count import read_counts
from datatrove_steps.importance.readings import Reading, read_reading
from datatrove_steps.importance.stages import Stage
from datatrove_steps.importance.texts import Rejects
from datatrove_steps.ledger import RankLedger
from hf_curation.files.accounts import StageAccount
from hf_curation.sampling.importance import ImportanceModel
from hf_curation.sampling.leakage import DEFAULT_N, LeakIndex
from hf_curation.sampling.smoothing import Smoothing
from hf_curation.sampling.spec import FeatureSpec


class FitImportance(PipelineStep):  # type: ignore[misc]
    """Make the table of log ratios out of the counts of all ranks. Runs as one task.

    Args:
        model_path: gets the model.
        target: the stage that counted the targets.
        raw: the stage that counted the raw corpus.
        spec: what was counted.
        target_names: one for each target.
        separate: keep a table for each target.
        proportions: shares of the mixture, in the order of the names.
        smoothing: None for the default of `ImportanceModel.fit`.
        stage: the stage of a selection that this is.
    """

    type = "📊 - COUNT"
    name = "⚖️ Fit importance"

    def __init__(
        self,
        model_path: str | Path,
        *,
        target: Stage,
        raw: Stage,
        spec: FeatureSpec,
        target_names: Sequence[str],
        separate: bool = False,
        proportions: Sequence[float] | None = None,
        smoothing: Smoothing | None = None,
        stage: Stage,
    ) -> None:
        super().__init__()
        self.model_path = Path(model_path).absolute()
        self.target = target
        self.raw = raw
        self.spec = spec
        self.target_names = tuple(target_names)
        self.separate = separate
        self.proportions = proportions
        self.smoothing = smoothing
        self.stage = stage

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write the model; yields nothing.

        Raises:
            ValueError: if counts are missing or of another plan, or a target or the raw corpus holds no n-gram.
        """
        yield from data or ()
        self.stage.check_world(world_size)
        with self.track_time("model"):
            targets = read_counts(self.target, self.spec, len(self.target_names))
            [raw] = read_counts(self.raw, self.spec)
            empty = [name for name, one in zip(self.target_names, targets, strict=True) if not one.features_B.any()]
            if empty:
                raise ValueError(f"target {empty[0]!r} holds no n-gram; look at its texts and at --target-text-key")
            model = ImportanceModel.fit(
                np.stack([one.features_B for one in targets]),
                raw.features_B,
                self.spec,
                target_names=self.target_names,
                separate=self.separate,
                proportions=self.proportions,
                smoothing=self.smoothing,
            )
            model.save(self.model_path)
        self.stage.publish(RankLedger(rank), [self.stage.describe(self.model_path, len(self.target_names))])


class BuildLeakIndex(PipelineStep):  # type: ignore[misc]
    """Index the passages of held-out sets, so that documents which hold one can be left out. Runs as one task.

    Args:
        index_path: gets the index.
        readings: what is held out; one for each set.
        names: of the sets.
        n: words of a passage.
        stage: the stage of a selection that this is.
    """

    type = "📊 - COUNT"
    name = "🔎 Index held-out texts"

    def __init__(
        self,
        index_path: str | Path,
        readings: Sequence[Reading],
        names: Sequence[str],
        *,
        n: int = DEFAULT_N,
        stage: Stage,
    ) -> None:
        super().__init__()
        self.index_path = Path(index_path).absolute()
        self.readings = tuple(readings)
        self.names = tuple(names)
        self.n = n
        self.stage = stage

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write the index; yields nothing."""
        yield from data or ()
        self.stage.check_world(world_size)
        page, rejects = RankLedger(rank), Rejects()
        with self.track_time("index"):
            index = LeakIndex.build(self._texts(rejects, page), n=self.n)
            index.save(self.index_path)
        num_texts = sum(one.num_texts for one in index.sets)
        num_records = num_texts + rejects.counts.total()
        page.close_stage("read", StageAccount(num_in=num_records, num_out=num_texts, quarantined=rejects.counts))
        self.stage.publish(page, [self.stage.describe(self.index_path, num_texts)])

    def _texts(self, rejects: Rejects, page: RankLedger) -> Iterator[tuple[str, str]]:
        for name, reading in zip(self.names, self.readings, strict=True):
            for batch in read_reading(reading, rejects, page):
                texts = batch.texts if isinstance(batch.texts, list) else batch.texts.to_pylist()
                yield from ((name, text) for text in texts)
