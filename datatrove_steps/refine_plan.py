"""What a refining run is asked for, and the plan that follows from it: data that decides every byte of the output."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from datatrove_steps.code_versions import versions_of
from datatrove_steps.columns import describe_columns
from datatrove_steps.tables import Schema
from hf_curation.files.pins import Pins, portable_name, split_revision
from hf_curation.files.plans import Plan, code_digest
from hf_curation.files.reading import is_parquet, is_warc
from hf_curation.files.sources import Source
from hf_curation.programs.limits import DEFAULT_LIMITS, Limits
from hf_curation.refiners.base import Refiner, Stage
from hf_curation.refiners.load import TAGGER, load_refiner

_SMALL_TASK_BYTES: Final = 4 * 2**20
_LARGE_TASK_BYTES: Final = 256 * 2**20
_SMALL_TASKS: Final = 16
_TASK_RECORDS: Final = 2_000
_OUR_CODE: Final = ("hf_curation.programs", "hf_curation.refiners", "hf_curation.files", "datatrove_steps")
_PACKAGES: Final = ("datatrove", "numpy", "orjson", "pyarrow")


@dataclass(kw_only=True, slots=True, frozen=True)
class RefineConfig:
    """What `refine_pipeline` and `hf-curation refine` are asked for."""

    input: str
    """A file, a folder, a pattern, or `hf://datasets/NAME@REVISION/...`: JSONL, WARC (plain, .gz, .zst, .bz2) and
    Parquet."""
    output: str
    """A local folder: new, empty, or begun by the same run."""
    doc_refiner: str | Refiner | None = "tagger"
    """Who keeps or drops documents; None leaves the stage out."""
    chunk_refiner: str | Refiner | None = "tagger"
    """Who edits lines; None leaves the stage out."""
    model: str | None = None
    """The model's name on a server, for refiners that are http(s) addresses."""
    preset: str | None = None
    """The prompt format of `chunk_refiner`, where it is a model that brings none."""
    tasks: int | None = None
    """Number of tasks, and of output files; None: by the size of the input, see `default_tasks`."""
    workers: int | None = None
    """How many tasks run at a time, each with refiners of its own; None: one per processor, on Slurm no limit."""
    text_key: str = "text"
    """Column or key of the text."""
    id_key: str = "id"
    """Column or key of the id."""
    limit: int | None = None
    """The most documents to read in all."""
    allow_bad_shards: int = 0
    """How many files that cannot be decoded may be left out, see `hf_curation.files.bad_shards`; to find them each
    file is read through first. With more of them, or 0, their tasks fail."""
    keep_original: bool = False
    """Keep the text as it came in the column `original_text`."""
    max_removed_fraction: float = DEFAULT_LIMITS.max_removed_fraction
    """Share of a page's non-space characters that edits may remove; beyond it the page is kept as it came."""
    batch_size: int = 64
    """The most documents that go to a refiner together."""
    overwrite: bool = False
    """Remove what a run has written to `output` before."""

    def __post_init__(self) -> None:
        if self.doc_refiner is None and self.chunk_refiner is None:
            raise ValueError("both doc_refiner and chunk_refiner are None, so there is nothing to do; name one")
        for name in ("tasks", "workers", "limit", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if self.allow_bad_shards < 0:
            raise ValueError(f"allow_bad_shards must be at least 0, got {self.allow_bad_shards}")
        Limits(max_removed_fraction=self.max_removed_fraction)
        if "://" in self.output:
            raise ValueError(f"output {self.output!r} is no local folder; write locally, then push it in one commit")


def default_tasks(source: Source, limit: int | None = None) -> int:
    """Return a number of tasks that follows from the input alone.

    One per 4 MiB up to 16 tasks, then one per 256 MiB; with a limit, not more than one per 2,000 documents. Remote
    JSON lines are not split: every part would download the whole file.
    """
    num_bytes = source.num_bytes
    tasks = max(min(-(-num_bytes // _SMALL_TASK_BYTES), _SMALL_TASKS), -(-num_bytes // _LARGE_TASK_BYTES), 1)
    if limit is not None:
        tasks = min(tasks, -(-limit // _TASK_RECORDS))
    if not source.is_local and not all(is_parquet(file.name) for file in source.files):
        tasks = min(tasks, len(source.files))
    return tasks


def pin_config(config: RefineConfig, pins: Pins) -> RefineConfig:
    """Return the configuration with commits in what comes from the Hub: the input, and models in process.

    Raises:
        ValueError: if a refiner's name means nothing, or a repository or revision is not there.
        OSError: if the Hub does not answer, and no copy is kept here.
    """
    doc, chunk = (_pin_refiner(config, stage, pins) for stage in (Stage.DOCUMENT, Stage.CHUNK))
    return replace(config, input=pins.url(config.input), doc_refiner=doc, chunk_refiner=chunk)


def _pin_refiner(config: RefineConfig, stage: Stage, pins: Pins) -> str | Refiner | None:
    given = refiner_of(config, stage)
    if given is None or given == TAGGER:
        return given
    from hf_curation.refiners.causal_lm import CausalLMRefiner  # noqa: PLC0415

    name = given if isinstance(given, str) else ""
    refiner = load_refiner(name, stage=stage, **refiner_options(config, stage)) if name else given
    if not isinstance(refiner, CausalLMRefiner) or Path(name or refiner.model).is_dir():
        return given
    if name and refiner.adapter:
        adapter, commit = pins.model(refiner.adapter)  # it names its base, with the revision that it was made from
        return f"{adapter}@{commit}"
    model, commit = pins.model(refiner.model, refiner.revision)
    if name:
        return given if commit is None else f"{split_revision(name)[0]}@{commit}"
    return replace(refiner, model=model, revision=commit)


def make_plan(config: RefineConfig, source: Source, columns: Schema, pins: Pins | None = None) -> Plan:
    """Return everything that decides the bytes of the output, as data.

    Raises:
        ValueError: if a refiner's name means nothing.
    """
    resolved = {
        "source": Path(config.input).name if source.is_local else config.input,
        "doc_refiner": _describe_refiner(config, Stage.DOCUMENT),
        "chunk_refiner": _describe_refiner(config, Stage.CHUNK),
        "text_key": config.text_key,
        "id_key": config.id_key,
        "limit": config.limit,
        "keep_original": config.keep_original,
        "max_removed_fraction": config.max_removed_fraction,
        "batch_size": config.batch_size,
        "columns": describe_columns(columns),
        **(pins or Pins()).as_config(),
    }
    tasks = config.tasks or default_tasks(source, config.limit)
    extractor = ("resiliparse",) if any(is_warc(file.name) for file in source.files) else ()
    return Plan.of("refine", resolved, source, tasks, versions_of(_OUR_CODE, (*_PACKAGES, *extractor)))


def refiner_of(config: RefineConfig, stage: Stage) -> str | Refiner | None:
    """Return who writes the programs of a stage; None where the stage is left out."""
    return config.doc_refiner if stage is Stage.DOCUMENT else config.chunk_refiner


def refiner_options(config: RefineConfig, stage: Stage) -> dict[str, Any]:
    """Return what `load_refiner` is told beside the name."""
    refiner = refiner_of(config, stage)
    if not isinstance(refiner, str):
        return {}
    options: dict[str, Any] = {}
    if config.model is not None and refiner.startswith(("http://", "https://")):
        options["model"] = config.model
    if config.preset is not None and stage is Stage.CHUNK:
        options["preset"] = config.preset
    return options


def _describe_refiner(config: RefineConfig, stage: Stage) -> dict[str, Any] | None:
    """Return a refiner as data that changes when its programs would; a local model is known by its files."""
    refiner = refiner_of(config, stage)
    if refiner is None:
        return None
    if not isinstance(refiner, str):
        return _describe_object(refiner)
    options = refiner_options(config, stage)
    name = load_refiner(refiner, stage=stage, **options).name
    folder = Path(refiner)
    if folder.is_dir():
        return {"name": portable_name(refiner), "digest": code_digest(folder), **options}
    return {"name": name, **options}


def _describe_object(refiner: Refiner) -> dict[str, Any]:
    """Return a refiner that was made by the caller as data; its models that lie here go by their files as well."""
    found: dict[str, Any] = {"name": refiner.name}
    for part in ("model", "adapter"):
        path = str(getattr(refiner, part, None) or "")
        if path and Path(path).is_dir():
            found["name"] = found["name"].replace(path, portable_name(path))
            found[f"{part}_digest"] = code_digest(Path(path))
    return found
