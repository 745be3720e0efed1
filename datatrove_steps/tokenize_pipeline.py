"""`tokenize_documents`: a folder of documents in, a token store out, on this machine or on Slurm by one argument.

    STORE/tokens/00000.arrow       per task: ids and metadata columns; what `TokenStore` maps
    STORE/store.json               the shards in order, and the tokenizer; there once every task is finished
    STORE/encoder/                 the tokenizer as it was loaded: all tasks encode with the same
    STORE/quarantine/*.jsonl       records that could not be read, with `reason`
    STORE/manifests, plan.json, summary.json, logs     as in every run, see `pipelines`

Running again goes on where it stopped: a task with a manifest of this plan is not run again. Other documents, another
tokenizer (by its rules, whatever its name), other columns or another number of tasks are another plan.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from datatrove.data import DocumentsPipeline
from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.code_versions import versions_of
from datatrove_steps.columns import describe_columns, infer_columns
from datatrove_steps.ledger import Ledger
from datatrove_steps.pipelines import check_apart, check_slurm, executors_of, settle_markers
from datatrove_steps.publish import PublishRank
from datatrove_steps.readers import ReadDocuments
from datatrove_steps.refine_plan import default_tasks
from datatrove_steps.tables import Schema
from datatrove_steps.tokenize import TokenizeDocuments
from hf_curation.files.accounts import add_stages
from hf_curation.files.atomic import remove_parts, write_json
from hf_curation.files.bad_shards import prepare_source, settle_bad_shards
from hf_curation.files.manifest import Manifest, check_run
from hf_curation.files.pins import Pins
from hf_curation.files.plans import Plan, claim_folder
from hf_curation.files.sources import Source, find_source
from hf_curation.files.summary import bad_shards, run_facts
from hf_curation.packing.encode import PageEncoder, load_encoder, save_encoder
from hf_curation.packing.store import Shard, write_store_index

_OUR_CODE: Final = ("hf_curation.files", "hf_curation.packing", "datatrove_steps")
_PACKAGES: Final = ("datatrove", "orjson", "pyarrow", "tokenizers", "transformers")
_TEXTS: Final = {"original_text", "earlier_programs", "filter_reason"}
"""Columns of refined documents that are as long as their texts, or are about them alone."""


@dataclass(kw_only=True, slots=True, frozen=True)
class TokenizeConfig:
    """What `tokenize_documents` and `hf-curation tokenize` are asked for."""

    input: str
    """A file, a folder, a pattern, or `hf://datasets/NAME@REV/...`: JSONL (plain, .gz, .zst, .bz2) and Parquet."""
    output: str
    """A local folder: new, empty, or begun by the same run."""
    tokenizer: str
    """A repository, also as `you/name@revision`, or a folder with `tokenizer.json`."""
    revision: str | None = None
    """Of the repository."""
    columns: Sequence[str] | None = None
    """Metadata columns to keep beside the tokens; None: all that hold numbers, texts or lists of texts, but not what
    refining adds."""
    tasks: int | None = None
    """Number of tasks, and of shards; None: by the size of the input, see `default_tasks`."""
    workers: int | None = None
    """How many tasks run at a time; None: one per processor, on Slurm no limit."""
    text_key: str = "text"
    """Column or key of the text."""
    id_key: str = "id"
    """Column or key of the id."""
    limit: int | None = None
    """The most documents to read in all."""
    allow_bad_shards: int = 0
    """How many files that cannot be decoded may be left out, see `hf_curation.files.bad_shards`; to find them each
    file is read through first. With more of them, or 0, their tasks fail."""
    batch_size: int = 512
    """The most documents that are encoded together."""
    overwrite: bool = False
    """Remove what a run has written to `output` before."""

    def __post_init__(self) -> None:
        for name in ("tasks", "workers", "limit", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.allow_bad_shards < 0:
            raise ValueError(f"allow_bad_shards must be at least 0, got {self.allow_bad_shards}")
        if "://" in self.output:
            raise ValueError(f"output {self.output!r} is no local folder; a token store is read by memory map")


def tokenize_documents(config: TokenizeConfig, *, slurm: Mapping[str, Any] | None = None) -> PipelineExecutor:
    """Plan a tokenizing run, claim its folder, and return the executor whose `run()` does it.

    The executor returned makes the folder a store; its `depends` is the one that runs the tasks. Both skip what is
    finished.

    Args:
        config: what to do.
        slurm: arguments of `SlurmPipelineExecutor` (`time` and `partition` at least); None: run on this machine.

    Raises:
        ValueError: for an input or a column that is not there, or a folder of another run.
    """
    check_slurm(slurm)
    output = Path(config.output).expanduser().absolute()
    pins = Pins.of_run(output, overwrite=config.overwrite)
    tokenizer, revision = pins.model(config.tokenizer, config.revision)
    config = replace(config, input=pins.url(config.input), tokenizer=tokenizer, revision=revision)
    found = find_source(config.input)
    check_apart(config.input, found, output)
    source = prepare_source(
        found, output, allow_bad_shards=config.allow_bad_shards, limit=config.limit, text_key=config.text_key
    )
    columns = _choose_columns(config, source)
    encoder = load_encoder(config.tokenizer, revision=config.revision)
    plan = _make_plan(config, source, columns, encoder, pins)
    claim_folder(output, plan, overwrite=config.overwrite)
    settle_bad_shards(output, source, text_key=config.text_key)
    save_encoder(encoder, output / "encoder")
    settle_markers(output, plan)
    if not (output / "summary.json").exists():
        (output / "store.json").unlink(missing_ok=True)
    pipeline = _steps(config, source, columns, plan, output)
    finish = FinishStore(output, plan, encoder.name, encoder.vocabulary_sha256)
    return executors_of(pipeline, finish, plan, output, config.workers, slurm)


def _steps(config: TokenizeConfig, source: Source, columns: Schema, plan: Plan, output: Path) -> list[PipelineStep]:
    """Return what every rank does."""
    ledger, encoder = Ledger(), str(output / "encoder")
    return [
        ReadDocuments(
            source, text_key=config.text_key, id_key=config.id_key, quarantine=output / "quarantine", ledger=ledger
        ),
        TokenizeDocuments(output, encoder, columns=columns, strict=False, batch_size=config.batch_size, ledger=ledger),
        PublishRank(output, plan, ledger, progress_folder=output / "logs" / "progress"),
    ]


class FinishStore(PipelineStep):  # type: ignore[misc]
    """Check a whole run against its manifests and make its folder a store. Runs as one task, at the end.

    Args:
        output_folder: the run's folder.
        plan: the run's.
        tokenizer: its name, for `store.json`.
        vocabulary_sha256: of the tokenizer.
    """

    type = "🔢 - TOKENIZER"
    name = "🧷 Finish token store"

    def __init__(self, output_folder: Path, plan: Plan, tokenizer: str, vocabulary_sha256: str) -> None:
        super().__init__()
        self.output_folder = output_folder
        self.plan = plan
        self.tokenizer = tokenizer
        self.vocabulary_sha256 = vocabulary_sha256

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write `store.json`, then `summary.json`; yields nothing.

        Raises:
            ValueError: if a task is not finished, or the folder is not what the manifests say.
            ConservationError: if documents appeared or vanished.
        """
        yield from data or ()
        with self.track_time("run"):
            manifests = check_run(self.output_folder, self.plan)
            remove_parts(self.output_folder)  # of attempts that were killed
            shards = [_shard(manifest) for manifest in manifests]
            write_store_index(
                self.output_folder, shards, tokenizer=self.tokenizer, vocabulary_sha256=self.vocabulary_sha256
            )
            write_json(self.output_folder / "summary.json", _summarise(manifests, shards), keep_order=True)


def _shard(manifest: Manifest) -> Shard:
    (file,) = (output for output in manifest.outputs if output.name.startswith("tokens/"))
    return Shard(
        name=file.name.removeprefix("tokens/"),
        num_documents=file.num_rows,
        num_tokens=manifest.stages["tokenize"].totals["tokens"],
        sha256=file.sha256,
    )


def _summarise(manifests: Sequence[Manifest], shards: Sequence[Shard]) -> dict[str, Any]:
    """Return the figures of the run; `documents` adds up: `in` = `tokenized` + `dropped` + `quarantined`."""
    stages = add_stages(manifest.stages for manifest in manifests)
    read, tokenize = stages["read"], stages["tokenize"]
    misfits = {name: number for name, number in tokenize.totals.items() if name.startswith("misfit_")}
    return {
        **run_facts(manifests[0]),
        "documents": {
            "in": read.num_in,
            "tokenized": tokenize.num_out,
            "dropped": tokenize.num_dropped,
            "quarantined": read.num_quarantined,
        },
        "bad_shards": bad_shards(manifests),
        "tokens": sum(shard.num_tokens for shard in shards),
        "chars": read.totals["chars_out"],
        "dropped": dict(tokenize.dropped),
        "quarantined": dict(read.quarantined),
        "misfits": {name.removeprefix("misfit_"): number for name, number in sorted(misfits.items())},
        "shards": [asdict(shard) for shard in shards],
    }


def _choose_columns(config: TokenizeConfig, source: Source) -> Schema:
    """Return the columns to keep, with the types that the input has."""
    found = {field.name: field for field in infer_columns(source, text_key=config.text_key, id_key=config.id_key)}
    found.pop("input_ids", None)
    if config.columns is None:
        # Marked fields hold JSON: nested values, which no prefix is made of.
        return pa.schema([field for name, field in found.items() if name not in _TEXTS and not field.metadata])
    if missing := [name for name in config.columns if name not in found]:
        raise ValueError(f"the input has no column {missing[0]!r}; it has {', '.join(found) or 'none'}")
    return pa.schema([found[name] for name in config.columns])


def _make_plan(config: TokenizeConfig, source: Source, columns: Schema, encoder: PageEncoder, pins: Pins) -> Plan:
    resolved = {
        "source": Path(config.input).name if source.is_local else config.input,
        "tokenizer": encoder.name,
        "tokenizer_sha256": encoder.sha256,
        "vocabulary_sha256": encoder.vocabulary_sha256,
        "columns": describe_columns(columns),
        "text_key": config.text_key,
        "id_key": config.id_key,
        "limit": config.limit,
        "batch_size": config.batch_size,
        **pins.as_config(),
    }
    tasks = config.tasks or default_tasks(source, config.limit)
    return Plan.of("tokenize", resolved, source, tasks, versions_of(_OUR_CODE, _PACKAGES))
