"""CountNgrams: the first pass, over target and raw corpus alike: n-grams by bucket, and what evidence needs.

Counts are whole numbers and add up in any order, so the model does not depend on the number of tasks. A rank leaves
`RANK.npz`: the counts, the group's figures for the evidence (`GroupCounts`), and which target it belongs to.
"""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.documents import batches
from datatrove_steps.importance.featurizers import featurizer_of
from datatrove_steps.importance.kept import PROBES, take_texts
from datatrove_steps.importance.readings import Reading, batch_of, read_account, read_reading
from datatrove_steps.importance.stages import Progress, Stage, check_file
from datatrove_steps.importance.texts import Rejects, TextBatch
from datatrove_steps.ledger import FinishedPart, RankLedger
from hf_curation.files.accounts import StageAccount
from hf_curation.files.atomic import PartFile
from hf_curation.sampling.arrays import read_arrays
from hf_curation.sampling.features import TextSizes
from hf_curation.sampling.groups import GroupCounts
from hf_curation.sampling.keys import stable_hash64, uniforms
from hf_curation.sampling.spec import FeatureSpec

_BATCH_DOCUMENTS: Final = 256


class CountNgrams(PipelineStep):  # type: ignore[misc]
    """Count the n-grams of documents by bucket; documents that come from a step before are passed on.

    Args:
        spec: what the n-grams are.
        output_folder: gets `RANK.npz`.
        readings: what each rank reads straight from files, after the documents that come to it.
        source_key: where documents that come from a step before keep their source; None: nowhere.
        probe_share: of these documents (by a hash of their ids) features are counted that the sampler does not use.
        stage: the stage of a selection that this is; None: files are published one by one, without manifests.
    """

    type = "📊 - COUNT"
    name = "🧮 Count n-grams"

    def __init__(
        self,
        spec: FeatureSpec,
        output_folder: str | Path,
        *,
        readings: Sequence[Reading] | None = None,
        source_key: str | None = None,
        probe_share: float = 1.0,
        stage: Stage | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.output_folder = Path(output_folder).absolute()
        self.readings = readings
        self.source_key = source_key
        self.probe_share = probe_share
        self.stage = stage

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Count, then write the rank's file.

        Raises:
            ValueError: if the executor runs another number of tasks than was planned.
            ShardError: if an input file is damaged.
        """
        if self.stage:
            self.stage.check_world(world_size)
        featurizer = featurizer_of(self.spec)
        page, progress, rejects = RankLedger(rank), Progress(self.stage, rank), Rejects()
        group = GroupCounts.empty(self.spec.num_buckets, PROBES)
        account = StageAccount()
        reading = self.readings[rank] if self.readings else None
        for batch, documents in _batches(data, reading, self.source_key, rejects, page):
            with self.track_time("batch"):
                sizes = featurizer.count(batch.texts, group.features_B)
                self._add(group, batch, sizes)
            account.num_in += len(batch)
            account.totals["tokens"] += int(sizes.num_tokens.sum())
            account.totals["ngrams"] += int(sizes.num_ngrams.sum())
            progress.add(len(batch))
            yield from documents
        account.num_out = account.num_in
        page.close_stage("read", read_account(account.num_in, rejects))
        page.close_stage("count", account)
        for name, value in account.totals.items():
            self.stat_update(name, value=value, unit="task")
        progress.close()
        self._write(page, group, reading.group if reading else 0, account.num_in)

    def _add(self, group: GroupCounts, batch: TextBatch, sizes: TextSizes) -> None:
        """Count all but the n-grams, which have been; the probes of some documents only where the corpus is large."""
        group.add(batch.texts, sizes, batch.sources, probes=PROBES if self.probe_share >= 1 else None)
        if self.probe_share < 1:
            drawn = uniforms(stable_hash64(batch.ids), 0, "probes") < self.probe_share
            if drawn.any():
                PROBES.count(take_texts(batch.texts, np.flatnonzero(drawn)), group.probes_P)

    def _write(self, page: RankLedger, group: GroupCounts, number: int, num_documents: int) -> None:
        facts = {"kind": "ngram_counts", "group": number, "features": self.spec.describe()}
        header = np.frombuffer(json.dumps(facts, sort_keys=True).encode(), np.uint8)
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, header=header, **group.arrays())
        part = PartFile(self.output_folder / f"{page.rank:05d}.npz")
        try:
            part.write(buffer.getvalue())
            part.finish()
            if self.stage:
                page.parts.append(FinishedPart(part, num_documents))
                self.stage.publish(page)
            else:
                part.publish()
        except BaseException:
            part.discard()
            raise


def read_counts(stage: Stage, spec: FeatureSpec, num_groups: int = 1) -> list[GroupCounts]:
    """Add up what the ranks of a stage counted, group by group.

    Raises:
        ValueError: if a rank is missing, or its file is not what its manifest says.
    """
    groups = [GroupCounts.empty(spec.num_buckets, PROBES) for _ in range(num_groups)]
    for output in stage.outputs():
        path = check_file(stage, output)
        arrays = read_arrays(path, ("features", "header"), "a file of n-gram counts")
        header = json.loads(arrays.pop("header").tobytes())
        if header["features"] != spec.describe() or header["group"] >= num_groups:
            raise ValueError(f"{path} holds counts of other features; remove it and run again")
        groups[header["group"]].merge(GroupCounts.from_arrays(arrays))
    return groups


def _batches(
    data: DocumentsPipeline, reading: Reading | None, source_key: str | None, rejects: Rejects, page: RankLedger
) -> Iterator[tuple[TextBatch, list[Document]]]:
    """Yield the documents that come from a step before, then those of the rank's own files."""
    for documents in batches(data or (), _BATCH_DOCUMENTS):
        yield batch_of(documents, source_key), documents
    if reading is not None:
        for batch in read_reading(reading, rejects, page):
            yield batch, []
