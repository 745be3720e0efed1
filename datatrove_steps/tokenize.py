"""TokenizeDocuments and MergeTokenStore: documents in, one token store out, for every later pack plan.

Each task writes one shard with its documents in the order in which they came, so equal input and equal numbers of
tasks give equal shards byte for byte. A task that is run again replaces its shard as a whole. The last step, with
`tasks=1`, checks that every task is there and writes `store.json`; without that the folder is no store.

Metadata columns go beside the tokens as they are; the prefix is made from them at training time, so that another
template needs no second store.

`tokenize_documents` (`tokenize_pipeline`) puts reader, step and merge together for a whole folder of documents; by
itself the step goes into any pipeline of datatrove's.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.columns import describe_columns
from datatrove_steps.documents import batches, why_unsound
from datatrove_steps.ledger import FinishedPart, Ledger
from datatrove_steps.tables import Schema, make_field, to_batch
from hf_curation.files.accounts import StageAccount
from hf_curation.packing import ShardWriter, token_dtype
from hf_curation.packing.encode import PageEncoder, load_encoder
from hf_curation.packing.merge import ShardManifest, begin_shard, merge_shards

_RESERVED: Final = {"id", "input_ids"}


class TokenizeDocuments(PipelineStep):  # type: ignore[misc]
    """Encode documents and write this task's shard of a token store; documents are passed on.

    Left out and counted: text without a token (`no_tokens`), text that is no string (`text_not_string`) or no Unicode
    (`lone_surrogate`). Statistics: `total`, `forwarded`, `dropped`, `dropped_<reason>`, `tokens`.

    Args:
        output_folder: the store, a local folder.
        tokenizer: name of a repository, or a folder with `tokenizer.json`; loaded where the step runs.
        revision: of the repository.
        columns: metadata columns to keep, by name with their types (`string`, `int64`, `double`, `list<string>`, ...),
            or names of string columns, or a `pyarrow.Schema` (see `infer_columns`).
        strict: raise for a value that its column's type cannot hold; False: null in its place, and the count
            `misfit_<column>`.
        batch_size: the most documents that are encoded together.
        ledger: shared with `PublishRank`, in a pipeline that ends with one; without it the step keeps manifests of
            its own, for `MergeTokenStore`.
    """

    type = "🔢 - TOKENIZER"
    name = "🔢 Tokenize documents"

    def __init__(
        self,
        output_folder: str | Path,
        tokenizer: str,
        *,
        revision: str | None = None,
        columns: Mapping[str, str] | Sequence[str] | Schema = ("url",),
        strict: bool = True,
        batch_size: int = 512,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.output_folder = _local(output_folder)
        self.tokenizer = str(tokenizer)
        self.revision = revision
        self.schema = _schema(columns)
        self.strict = strict
        self.batch_size = batch_size
        self.ledger = ledger

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write the shard of one rank.

        When the caller stops before the end, or anything raises, there is no shard.

        Raises:
            ValueError: if the folder holds shards with other settings, or a value does not fit its column's type.
        """
        encoder = load_encoder(self.tokenizer, revision=self.revision)
        config = {
            "tokenizer": encoder.name,
            "vocabulary_sha256": encoder.vocabulary_sha256,
            "columns": describe_columns(self.schema),
        }
        if self.ledger is None:
            begin_shard(self.output_folder, rank, config)
        path = self.output_folder / "tokens" / f"{rank:05d}.arrow"
        types = {field.name: field.type for field in self.schema}
        writer, account = ShardWriter(path, token_dtype(encoder.max_token_id), types), StageAccount()
        is_done = False
        try:
            for batch in batches(data or (), self.batch_size):
                with self.track_time("batch"):
                    kept = self._write(batch, encoder, writer, account)
                yield from kept
            account.check("tokenize")
            account.totals["tokens"] = writer.num_tokens
            self._finish(writer, account, config, rank, world_size)
            is_done = True
        finally:
            if not is_done:
                writer.discard()
        self._report(account)

    def _finish(
        self, writer: ShardWriter, account: StageAccount, config: Mapping[str, Any], rank: int, world_size: int
    ) -> None:
        """Publish the shard, or hand it to whoever publishes everything of this rank."""
        if self.ledger is None:
            shard = writer.close()
            manifest = ShardManifest(rank=rank, world_size=world_size, config=config, shard=shard, account=account)
            manifest.write(self.output_folder)
            return
        page = self.ledger.page(rank)
        page.parts.append(FinishedPart(writer.finish(), writer.num_documents))
        page.close_stage("tokenize", account)

    def _write(
        self, batch: Sequence[Document], encoder: PageEncoder, writer: ShardWriter, account: StageAccount
    ) -> list[Document]:
        """Write a batch; return the documents that are in the store."""
        account.num_in += len(batch)
        sound = []
        for doc in batch:
            reason = why_unsound(doc.text)
            if reason is None:
                sound.append(doc)
            else:
                account.dropped[reason] += 1
        encoded = zip(sound, encoder.encode([doc.text for doc in sound]), strict=True)
        pairs = [(doc, ids) for doc, ids in encoded if len(ids)]
        if len(pairs) < len(sound):
            account.dropped["no_tokens"] += len(sound) - len(pairs)
        kept = [doc for doc, _ in pairs]
        for (doc, ids), metadata in zip(pairs, self._metadata(kept, account), strict=True):
            writer.add(str(doc.id), ids, metadata)
        account.num_out += len(kept)
        return kept

    def _metadata(self, documents: Sequence[Document], account: StageAccount) -> Iterator[Mapping[str, Any]]:
        """Yield the columns of each document as the store takes them."""
        if self.strict:
            return (doc.metadata for doc in documents)
        if not len(self.schema):  # a batch without columns has no rows either
            return ({} for _ in documents)
        batch = to_batch(documents, self.schema)
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            num_given = sum(doc.metadata.get(name) is not None for doc in documents)
            if misfits := num_given - (len(column) - column.null_count):
                account.totals[f"misfit_{name}"] += misfits
        return iter(batch.to_pylist())

    def _report(self, account: StageAccount) -> None:
        counts = {"total": account.num_in, "forwarded": account.num_out, "dropped": account.num_dropped}
        counts |= {f"dropped_{reason}": count for reason, count in account.dropped.items()} | account.totals
        for name, count in counts.items():
            self.stat_update(name, value=count, unit="task")


class MergeTokenStore(PipelineStep):  # type: ignore[misc]
    """Make a folder of shards a token store; for an executor with `tasks=1` that depends on the tokenizing one.

    Args:
        output_folder: the store.
    """

    type = "🔢 - TOKENIZER"
    name = "🧷 Merge token store"

    def __init__(self, output_folder: str | Path) -> None:
        super().__init__()
        self.output_folder = _local(output_folder)

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Check every shard and write `store.json`; passes on what came, usually nothing.

        Raises:
            ValueError: if a task is missing, or the executor has more than one.
        """
        if world_size != 1:
            raise ValueError(f"MergeTokenStore runs once, in an executor with tasks=1; this one has {world_size}")
        yield from data or ()
        with self.track_time():
            store = merge_shards(self.output_folder)
        self.stat_update("documents", value=len(store), unit="task")
        self.stat_update("tokens", value=int(store.lengths_D.sum()), unit="task")


def _local(folder: str | Path) -> Path:
    if "://" in str(folder):
        raise ValueError(f"{folder} is not a local folder; a token store is read by memory map")
    return Path(folder).absolute()


def _schema(columns: Mapping[str, str] | Sequence[str] | Schema) -> Schema:
    if isinstance(columns, str):
        raise ValueError(f"columns takes a list of names or a mapping, got the string {columns!r}")
    if not isinstance(columns, pa.Schema):
        named = columns if isinstance(columns, Mapping) else dict.fromkeys(columns, "string")
        columns = pa.schema([make_field(name, kind) for name, kind in named.items()])
    if taken := sorted(_RESERVED & set(columns.names)):
        raise ValueError(f"the store has a column {taken[0]!r} of its own; leave it out of columns")
    return columns
