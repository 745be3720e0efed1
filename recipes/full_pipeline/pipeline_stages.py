"""The stages that make data: read, refine, adapt, select, tokenize. Each is a function that returns facts.

`facts` of a stage that changes documents has `in` and `out` with `documents` and `chars`, as far as they are known
without another pass over a remote input.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline_config import DEBIAN_DOCS, Config
from pipeline_corpus import inputs_of, write_corpus
from pipeline_settings import digest_of

if TYPE_CHECKING:
    from pipeline_paths import Paths

    from datatrove_steps.importance.config import SelectConfig
    from datatrove_steps.refine_plan import RefineConfig
    from hf_curation.files.sources import Source

POLL_S = 20.0
"""How often the queue of a cluster is asked how far a stage is; at first more often."""


def read(config: Config, paths: "Paths") -> dict[str, Any]:
    """Fetch the default corpus, or look at what was given."""
    if config.read.documents == DEBIAN_DOCS:
        write_corpus(config.read, paths.folder("read"))
    inputs = inputs_of(config.read, paths.folder("read"))
    facts: dict[str, Any] = {"inputs": asdict(inputs)}
    return facts | ({"out": measure(inputs.documents)} if config.read.documents == DEBIAN_DOCS else {})


def check_options(config: Config, paths: "Paths") -> None:
    """Raise a ValueError for options that a stage would refuse, before anything is run."""
    from datatrove_steps.tokenize_pipeline import TokenizeConfig
    from hf_curation.vocabulary.settings import AdaptSettings

    AdaptSettings(**config.adapt)
    _refine_config(config, paths)
    if config.is_in("select"):
        _select_config(config, paths)
    TokenizeConfig(input="", output="", tokenizer="", **config.tokenize)


def refine(config: Config, paths: "Paths") -> dict[str, Any]:
    """Refine documents, then their lines, in one run."""
    from datatrove_steps.pipelines import refine_pipeline

    output = paths.folder("refine")
    summary = run_tasks(config, refine_pipeline, _refine_config(config, paths), output)
    before = {"documents": summary["documents"]["in"], "chars": summary["chars"]["in"]}
    counts = {name: summary["documents"][name] for name in ("edited", "dropped", "fallback", "quarantined")}
    return {"in": before, "out": measure(output / "data"), "counts": counts}


def adapt(config: Config, paths: "Paths") -> dict[str, Any]:
    """Adapt the base vocabulary to the target."""
    from hf_curation.vocabulary import adapt_tokenizer

    target = paths.inputs.target
    if target is None or target.startswith("benchmark:"):
        raise ValueError("adapt takes read.target as a file or a folder; or --skip adapt")
    base = base_tokenizer(config, paths)
    sample: list[str] = []

    def texts() -> Iterator[str]:
        for text in texts_of(target, config.select.get("target_text_key") or "text"):
            if len(sample) < 500:
                sample.append(text)
            yield text

    adapted = adapt_tokenizer(base, texts(), **config.adapt)
    adapted.save(paths.folder("adapt"), texts=sample)
    before, after = adapted.bytes_per_token
    return {
        "ids": {"in": adapted.base.size, "out": adapted.bpe.size},
        "bytes_per_token_on_target": {"in": round(before, 3), "out": round(after, 3)},
        "counts": {"added": len(adapted.added), "removed": len(adapted.removed)},
    }


def select(config: Config, paths: "Paths") -> dict[str, Any]:
    """Leave out what holds passages of held-out texts; of the rest choose what is like the target."""
    from datatrove_steps.importance import importance_sampling

    output = paths.folder("select")
    summary = run_tasks(config, importance_sampling, _select_config(config, paths), output)
    before = {**paths.facts_before("select").get("out", {}), "documents": summary["documents"]["in"]}
    counts = {name: summary["documents"][name] for name in ("excluded", "quarantined", "not_chosen")}
    return {"in": before, "out": measure(output / "data"), "counts": counts, "kl": summary["kl"]["probe"]}


def tokenize(config: Config, paths: "Paths") -> dict[str, Any]:
    """Tokenize what is left, with its metadata beside it."""
    from datatrove_steps.tokenize_pipeline import TokenizeConfig, tokenize_documents

    output = paths.folder("tokenize")
    made = TokenizeConfig(
        input=paths.documents_before("tokenize"),
        output=str(output),
        tokenizer=tokenizer_of(config, paths),
        **config.tokenize,
    )
    summary = run_tasks(config, tokenize_documents, made, output)
    documents, chars = summary["documents"], summary["chars"]
    return {
        "in": {"documents": documents["in"], "chars": chars},
        "out": {"documents": documents["tokenized"], "chars": chars},
        "tokens": summary["tokens"],
        "counts": {name: documents[name] for name in ("dropped", "quarantined")},
    }


def tokenizer_of(config: Config, paths: "Paths") -> str:
    """Return the tokenizer that documents are tokenized with."""
    return str(paths.folder("adapt")) if config.is_in("adapt") else base_tokenizer(config, paths)


def base_tokenizer(config: Config, paths: "Paths") -> str:
    """Return the base's name or folder; `train:N` is trained on the refined documents, once."""
    name = config.tokenizer.base
    if not name.startswith("train:"):
        return name
    before = paths.stage_before("select")
    folder = paths.output / "base_tokenizer" / f"{name.removeprefix('train:')}-{digest_of(before, config, paths)}"
    if not (folder / "tokenizer.json").exists():
        from byte_bpe import train_tokenizer

        texts = texts_after(before, config, paths)
        train_tokenizer(texts, int(name.removeprefix("train:"))).save_pretrained(folder)
    return str(folder)


def _refine_config(config: Config, paths: "Paths") -> "RefineConfig":
    from datatrove_steps.refine_plan import RefineConfig

    options = {"keep_original": True, **config.refine}
    return RefineConfig(input=paths.inputs.documents, output=str(paths.folder("refine")), **options)


def _select_config(config: Config, paths: "Paths") -> "SelectConfig":
    from datatrove_steps.importance.config import SelectConfig

    inputs, options = paths.inputs, dict(config.select)
    if options.get("features") == "adapted":
        options["features"] = str(paths.folder("adapt"))
    return SelectConfig(
        raw=paths.documents_before("select"),
        output=str(paths.folder("select")),
        targets={"target": str(inputs.target)},
        held_out=() if inputs.held_out is None else (inputs.held_out,),
        **options,
    )


def run_tasks(config: Config, plan: Any, made: Any, output: Path) -> dict[str, Any]:  # noqa: ANN401
    """Run a stage's tasks, here or on Slurm, until its summary is there; return that.

    Raises:
        RanksFailedError: if tasks failed here.
        RuntimeError: if tasks failed on Slurm.
    """
    import orjson
    from datatrove.utils.logging import setup_default_logger

    from hf_curation.cli.watching import stderr_to
    from hf_curation.files.atomic import remove_parts
    from hf_curation.files.lock import lock_folder
    from hf_curation.files.status import read_status

    slurm = slurm_arguments(config)
    with lock_folder(output) if slurm is None else nullcontext():
        executor = plan(made, slurm=slurm)
        if slurm is None:
            remove_parts(output)
        if slurm is not None and read_status(output).is_at_work:
            print(f"{output.name}: its jobs are in the queue; waiting for them", file=sys.stderr)
        else:
            with stderr_to(output / "logs" / "stderr.log"):
                executor.run()
            setup_default_logger()  # after its run datatrove's logger holds the stage's file, closed by now
    if slurm is not None:
        wait_for(output)
    return dict(orjson.loads((output / "summary.json").read_bytes()))


def slurm_arguments(config: Config) -> dict[str, Any] | None:
    """Return the arguments of datatrove's Slurm executor; None: run here."""
    if config.executor == "local":
        return None
    return {"venv_path": str(Path(sys.prefix, "bin", "activate")), **config.slurm}


def wait_for(output: Path, poll_s: float = POLL_S) -> None:
    """Return when a stage on the cluster is finished.

    Raises:
        RuntimeError: if its jobs have ended without, and nothing has come of them one poll later: what a job wrote
            last may be seen here after the job has left the queue.
    """
    from hf_curation.files.status import read_status

    pause, was_at_work = min(1.0, poll_s), True
    while not (output / "summary.json").exists():
        status = read_status(output)
        is_at_work = status.is_at_work or not status.has_queue  # no answer says nothing
        if not is_at_work and not was_at_work:
            raise RuntimeError(f"{status.step} on Slurm: {status.state}; see `hf-curation status {output}`")
        was_at_work = is_at_work
        time.sleep(pause)
        pause = min(1.5 * pause, poll_s)


def texts_after(stage: str, config: Config, paths: "Paths") -> Iterator[str]:
    """Yield the texts that a stage passes on; of the input, those of the shards that are not left out."""
    documents = paths.documents_of(stage)
    if stage != "read":  # what we write is whole, and has `text`
        return texts_of(documents)
    from hf_curation.files.bad_shards import prepare_source
    from hf_curation.files.sources import find_source

    settings: dict[str, dict[str, Any]] = {name: getattr(config, name) for name in ("refine", "select", "tokenize")}
    reader = next((name for name in settings if config.is_in(name)), "refine")
    text_key = settings[reader].get("text_key", "text")
    allowed = settings[reader].get("allow_bad_shards", 0)
    found = find_source(documents)
    source = prepare_source(found, paths.folder(reader), allow_bad_shards=allowed, text_key=text_key)
    return texts_of(source, text_key)


def texts_of(source: "Source | str", text_key: str = "text") -> Iterator[str]:
    """Yield the texts of JSONL or Parquet."""
    from datatrove_steps import ReadDocuments

    for doc in ReadDocuments(source, text_key=text_key).run():
        yield doc.text


def measure(path: str | Path) -> dict[str, int]:
    """Return the number of documents and of characters of local JSONL or Parquet."""
    files = sorted(Path(path).glob("*.parquet")) if Path(path).is_dir() else []
    if not files:
        lengths = [len(text) for text in texts_of(str(path))] if not Path(path).is_dir() else []
        return {"documents": len(lengths), "chars": sum(lengths)}
    import pyarrow.compute as pc

    from hf_curation.files.reading import open_parquet

    found = {"documents": 0, "chars": 0}
    for file in files:
        with file.open("rb") as raw:
            for batch in open_parquet(raw, file.name).iter_batches(columns=["text"]):
                found["documents"] += batch.num_rows
                found["chars"] += pc.sum(pc.utf8_length(batch["text"])).as_py() or 0
    return found
