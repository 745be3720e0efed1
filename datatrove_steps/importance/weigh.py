"""WeighDocuments: the second pass: a log weight for every document, in a sidecar beside the corpus.

Documents are not rewritten. A rank leaves `weights/RANK.parquet`, in the order of the input, a row for each document:

| column | type | meaning |
| --- | --- | --- |
| `id`, `id_hash` | string, uint64 | the document, and the 64 bits that its noise comes from |
| `source` | dictionary of strings | empty where there is none |
| `num_tokens`, `num_ngrams` | int64 | of the sampler's features |
| `log_weight` | double | before temperature and clip; `log_weight_NAME` for each target where they are separate |
| `excluded` | dictionary of strings | why it may not be chosen (`EXCLUSIONS`), or null |

So another budget, temperature or seed needs no new scoring, and anybody can set a threshold of their own with pandas.
The file's metadata names the model and the plan; who reads it checks them.

As a step in any other pipeline it takes documents and sets `log_weight` and `num_ngrams` in their metadata.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep
from pyarrow import parquet

from datatrove_steps.documents import batches
from datatrove_steps.importance.featurizers import featurizer_of
from datatrove_steps.importance.readings import Reading, batch_of, read_account, read_reading
from datatrove_steps.importance.stages import Progress, Stage, check_file
from datatrove_steps.importance.texts import Rejects, TextBatch, Texts
from datatrove_steps.ledger import FinishedPart, RankLedger
from hf_curation.files.accounts import StageAccount
from hf_curation.files.atomic import PartFile
from hf_curation.sampling.importance import ImportanceModel, LogWeights, Scoring
from hf_curation.sampling.keys import stable_hash64
from hf_curation.sampling.leakage import LeakIndex

CONTAMINATED: Final = "contaminated"
EXCLUSIONS: Final[dict[str, str]] = {
    CONTAMINATED: "it holds a passage of a held-out text",
    "no_ngrams": "it holds no n-gram, so nothing is known about it",
}
"""Why a document has a weight and may not be chosen; the values of the column `excluded`."""

LEAKED: Final = "leaked "
"""Before the name of a held-out set: the total of documents that hold a passage of it."""
_BATCH_DOCUMENTS: Final = 256
_GROUP_ROWS: Final = 50_000


def weight_columns(target_names: Sequence[str], *, separate: bool) -> list[str]:
    """Return the names of the columns that hold log weights."""
    return [f"log_weight_{name}" for name in target_names] if separate else ["log_weight"]


def sidecar_schema(columns: Sequence[str], facts: Mapping[str, str]) -> Any:  # noqa: ANN401 - a pyarrow schema
    """Return the schema of a sidecar.

    Args:
        columns: the columns of log weights.
        facts: what the weights come from.
    """
    words = pa.dictionary(pa.int32(), pa.string())
    fields = [("id", pa.string()), ("id_hash", pa.uint64()), ("source", words)]
    fields += [("num_tokens", pa.int64()), ("num_ngrams", pa.int64())]
    fields += [*((name, pa.float64()) for name in columns), ("excluded", words)]
    return pa.schema(fields, metadata=dict(facts))


class WeighDocuments(PipelineStep):  # type: ignore[misc]
    """Weigh documents by an importance model; documents that come from a step before are passed on.

    Statistics: `documents`, and `excluded_<reason>`. A document without n-grams has weight 0 and `num_ngrams` 0.

    Args:
        model_path: what `ImportanceModel.save` wrote.
        tokens: where the model's tokenizer lies; None: it has none, or one on the Hub.
        scoring: how n-gram ratios become a weight; temperature and clip do not matter here.
        leak_index_path: what `LeakIndex.save` wrote; None looks for no passages of held-out sets.
        output_folder: gets the sidecar; None, in other pipelines: weights go into the documents' metadata only.
        readings: what each rank reads straight from files, after the documents that come to it.
        source_key: where documents that come from a step before keep their source; None: nowhere.
        stage: the stage of a selection that this is.
        fit: the stage that made the model; its file is checked.
    """

    type = "⚖️ - WEIGH"
    name = "⚖️ Weigh documents"

    def __init__(
        self,
        model_path: str | Path,
        *,
        tokens: str | None = None,
        scoring: Scoring = Scoring(),  # noqa: B008 - frozen
        leak_index_path: str | Path | None = None,
        output_folder: str | Path | None = None,
        readings: Sequence[Reading] | None = None,
        source_key: str | None = None,
        stage: Stage | None = None,
        needs: Sequence[Stage] = (),
    ) -> None:
        super().__init__()
        if readings is not None and output_folder is None:
            raise ValueError("weights of documents that are read from files need an output_folder")
        self.model_path = Path(model_path).absolute()
        self.tokens = tokens
        self.scoring = scoring
        self.leak_index_path = None if leak_index_path is None else Path(leak_index_path).absolute()
        self.output_folder = None if output_folder is None else Path(output_folder).absolute()
        self.readings = readings
        self.source_key = source_key
        self.stage = stage
        self.needs = tuple(needs)

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Weigh the documents of one rank.

        Raises:
            ValueError: if the executor runs another number of tasks than was planned, or a stage before is not
                finished as planned.
            ShardError: if an input file is damaged.
        """
        if self.stage:
            self.stage.check_world(world_size)
        for stage in self.needs:
            check_file(stage, stage.outputs()[0])
        model = ImportanceModel.load(self.model_path, tokens=self.tokens)
        leaks = None if self.leak_index_path is None else LeakIndex.load(self.leak_index_path)
        weigher = _Weigher(model, leaks, self.scoring)
        page, progress = RankLedger(rank), Progress(self.stage, rank)
        account = StageAccount()
        with _Sidecar(self._path(rank), weigher, self.stage) as sidecar:
            for documents in batches(data or (), _BATCH_DOCUMENTS):
                self._weigh(weigher, batch_of(documents, self.source_key), sidecar, account, documents)
                yield from documents
            rejects = Rejects()
            if self.readings is not None:
                for batch in read_reading(self.readings[rank], rejects, page):
                    self._weigh(weigher, batch, sidecar, account)
                    progress.add(len(batch))
            account.num_out = account.num_in
            page.close_stage("read", read_account(account.num_in, rejects))
            page.close_stage("weigh", account)
            progress.close()
            sidecar.publish(page)
        self.stat_update("documents", value=account.num_in, unit="task")
        for name, value in account.totals.items():
            self.stat_update(name, value=value, unit="task")

    def _path(self, rank: int) -> Path | None:
        return None if self.output_folder is None else self.output_folder / f"{rank:05d}.parquet"

    def _weigh(
        self,
        weigher: "_Weigher",
        batch: TextBatch,
        sidecar: "_Sidecar",
        account: StageAccount,
        documents: Sequence[Document] = (),
    ) -> None:
        with self.track_time("batch"):
            weights, excluded = weigher.weigh(batch.texts, account)
            sidecar.add(batch, weights, excluded)
            weigher.note(documents, weights, excluded)
        account.num_in += len(batch)
        account.totals["tokens"] += int(weights.num_tokens.sum())
        account.totals["ngrams"] += int(weights.num_ngrams.sum())
        for code, reason in enumerate(EXCLUSIONS):
            account.totals[f"excluded_{reason}"] += int((excluded == code).sum())


class _Weigher:
    """A model, its featurizer and a leak index, as one rank holds them."""

    def __init__(self, model: ImportanceModel, leaks: LeakIndex | None, scoring: Scoring) -> None:
        self.model = model
        self.leaks = leaks
        self.scoring = scoring
        self.featurizer = featurizer_of(model.spec)
        self.columns = weight_columns(model.target_names, separate=model.table.ndim == 2)

    def weigh(self, texts: Texts, account: StageAccount) -> tuple[LogWeights, Any]:
        """Return weights, and int8[N]: the number of each text's exclusion, or -1."""
        weights = self.model.log_weights(texts, scoring=self.scoring, featurizer=self.featurizer)
        excluded_N = np.where(weights.num_ngrams == 0, _HAS_NO_NGRAMS, -1).astype(np.int8)
        if self.leaks is not None:
            matches = self.leaks.find(texts)
            excluded_N[matches.is_leaked] = _IS_CONTAMINATED
            for one, number in zip(self.leaks.sets, matches.counts(len(self.leaks.sets)).tolist(), strict=True):
                account.totals[f"{LEAKED}{one.name}"] += number
        return weights, excluded_N

    def note(self, documents: Sequence[Document], weights: LogWeights, excluded_N: Any) -> None:  # noqa: ANN401
        """Write the weights into the documents' metadata."""
        if not documents:
            return
        columns_TN = np.atleast_2d(weights.log_weight.T)
        for i, doc in enumerate(documents):
            for name, column in zip(self.columns, columns_TN, strict=True):
                doc.metadata[name] = float(column[i])
            doc.metadata["num_ngrams"] = int(weights.num_ngrams[i])
            if excluded_N[i] == _IS_CONTAMINATED:
                doc.metadata["is_contaminated"] = True


class _Sidecar:
    """The sidecar of one rank on its way to disk; does nothing without a path."""

    def __init__(self, path: Path | None, weigher: _Weigher, stage: Stage | None) -> None:
        facts = {"hf_curation": "importance weights", "model_sha256": weigher.model.digest}
        facts |= {"plan_sha256": stage.plan.sha256} if stage else {}
        self._columns = weigher.columns
        self._schema = sidecar_schema(weigher.columns, facts)
        self._stage = stage
        self._waiting: list[Any] = []
        self._num_waiting = self._num_rows = 0
        self._part = None if path is None else PartFile(path)
        self._writer: Any = None
        if self._part is not None:
            self._writer = parquet.ParquetWriter(
                self._part,
                self._schema,
                compression="zstd",
                use_dictionary=["source", "excluded"],
                write_statistics=False,
                write_page_checksum=True,
            )

    def add(self, batch: TextBatch, weights: LogWeights, excluded_N: Any) -> None:  # noqa: ANN401 - int8[N]
        """Append the rows of a batch."""
        if self._part is None:
            return
        columns_TN = np.atleast_2d(weights.log_weight.T)
        arrays = [
            pa.array(batch.ids, pa.string()),
            pa.array(stable_hash64(batch.ids)),
            pa.array(batch.sources, pa.string()),
            pa.array(weights.num_tokens),
            pa.array(weights.num_ngrams),
            *(pa.array(column) for column in columns_TN),
            pa.array(_REASONS.take(excluded_N), pa.string()),
        ]
        self._waiting.append(pa.record_batch(arrays, names=self._schema.names))
        self._num_waiting += len(batch)
        if self._num_waiting >= _GROUP_ROWS:
            self._flush()

    def publish(self, page: RankLedger) -> None:
        """Finish the file and make the rank visible."""
        if self._part is None:
            return
        self._flush()
        self._writer.close()
        self._part.finish()
        if self._stage is None:
            self._part.publish()
        else:
            page.parts.append(FinishedPart(self._part, self._num_rows))
            self._stage.publish(page)

    def __enter__(self) -> "_Sidecar":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._part is not None and kind is not None:
            self._part.discard()

    def _flush(self) -> None:
        if self._waiting:
            # One dictionary for each group: the file is the same however the rows came.
            table = pa.Table.from_batches(self._waiting).combine_chunks()
            arrays = [
                column.combine_chunks().dictionary_encode() if pa.types.is_dictionary(field.type) else column
                for field, column in zip(self._schema, table.columns, strict=True)
            ]
            self._writer.write_table(pa.table(arrays, schema=self._schema), row_group_size=_GROUP_ROWS)
        self._num_rows += self._num_waiting
        self._waiting, self._num_waiting = [], 0


_IS_CONTAMINATED, _HAS_NO_NGRAMS = range(len(EXCLUSIONS))
_REASONS = np.array([*EXCLUSIONS, None], dtype=object)  # -1 is the last
