# /// script
# dependencies = ["hf-curation[fast,report,select,train]"]
# ///
r"""Raw pages to a model that was trained on the best of them, and a report of what every step did; one command.

python recipes/full_pipeline/run.py --config recipes/full_pipeline/config.yaml
python recipes/full_pipeline/run.py --config recipes/full_pipeline/config.yaml --documents crawl/ --target laws.jsonl
python recipes/full_pipeline/run.py --config ... --only select,tokenize      # these stages, on what is there
python recipes/full_pipeline/run.py --config ... --skip adapt,compare        # all others

Stages: read, refine, adapt, select, tokenize, train, evaluate, compare, report, and push where a namespace is given.
Settings: `pipeline_config.py`; a key may be written with or without its section. The same command again goes on where
it stopped, at any point; finished stages say so. Everything is under `output`; the last line is JSON.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any

from pipeline_compare import compare
from pipeline_config import STAGES, Config
from pipeline_paths import FOLDERS, Paths
from pipeline_push import push
from pipeline_report import draw_report, summary_of
from pipeline_settings import LAST, settings_of
from pipeline_stages import adapt, check_options, read, refine, select, tokenize
from pipeline_training import THREADS, evaluate, train

from hf_curation.config import resolve, split_config_path, write_yaml

Stage = Callable[[Config, Paths], dict[str, Any]]
RUN: dict[str, Stage] = {
    "read": read,
    "refine": refine,
    "adapt": adapt,
    "select": select,
    "tokenize": tokenize,
    "train": train,
    "evaluate": evaluate,
    "compare": compare,
    "report": draw_report,
    "push": push,
}


def main(arguments: list[str]) -> None:
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return
    for name in THREADS:  # threads of workers would fight for the processors
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    path, settings = split_config_path(arguments)
    config = resolve(Config, path, settings)
    paths = Paths(config)
    check_options(config, paths)
    if not config.overwrite:
        for stage in stages_to_run(config):
            if stage not in LAST:
                paths.records.is_finished(stage, settings_of(stage, config, paths))
    paths.output.mkdir(parents=True, exist_ok=True)
    write_yaml(paths.output / "config.yaml", config)  # after the checks: it stays that of what is there
    for stage in stages_to_run(config):
        run_stage(stage, config, paths)
    print(summary_of(paths))


def stages_to_run(config: Config) -> list[str]:
    """Return the stages of this launch, in order; `push` only where it was asked for."""
    wanted = config.stages("only") or STAGES
    is_asked = config.push.namespace is not None or "push" in config.stages("only")
    return [name for name in STAGES if name in wanted and config.is_in(name) and (name != "push" or is_asked)]


def run_stage(stage: str, config: Config, paths: Paths) -> None:
    """Run a stage unless it is finished.

    Raises:
        ValueError: if a stage that it needs is not finished, or it was run with other settings.
    """
    for name in paths.needs(stage):
        if paths.records.read(name) is None:
            raise ValueError(f"{stage} needs {name}, which is not finished; run it first")
    settings = settings_of(stage, config, paths)
    is_stale = stage in LAST or config.overwrite  # these two follow whatever the others made
    if is_stale and paths.records.differs(stage, settings):
        paths.records.forget(stage)
        if stage in FOLDERS:
            shutil.rmtree(paths.folder(stage), ignore_errors=True)
    if paths.records.is_finished(stage, settings):
        print(f"{stage}: finished before", file=sys.stderr)
        return
    print(f"{stage} ...", file=sys.stderr, flush=True)
    started = time.monotonic()
    facts = RUN[stage](config, paths)
    seconds = time.monotonic() - started
    paths.records.write(stage, settings, facts, seconds)
    print(f"{stage}: {seconds:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    from datatrove_steps.executors import RanksFailedError

    try:
        main(sys.argv[1:])
    except (ValueError, OSError, ImportError, RanksFailedError, RuntimeError) as error:
        hint = "" if isinstance(error, ValueError) else "\nwhat is finished stays; the same command runs the rest"
        raise SystemExit(f"run.py: {error}{hint}") from error
