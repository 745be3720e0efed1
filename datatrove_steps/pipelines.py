"""`refine_pipeline`: a folder of documents in, a refined dataset out, on this machine or on Slurm by one argument.

    OUTPUT/data/00000.parquet      the documents to train on; what `datasets.load_dataset(OUTPUT)` gives
    OUTPUT/dropped/*.parquet       the documents left out, as they came, with `filter_reason`
    OUTPUT/quarantine/*.jsonl      records and documents that could not be handled, with `reason`
    OUTPUT/manifests/00000.json    per task: what it read, wrote and did; the last file that it writes
    OUTPUT/plan.json               what was asked for; another plan does not touch the folder
    OUTPUT/README.md summary.json  the card and the figures, once every task is finished
    OUTPUT/logs/                   datatrove's logs, statistics and completion markers

Running again goes on where it stopped: a task with a manifest of this plan is not run again. The number of tasks
follows from the input alone, so that two machines make the same files.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.columns import infer_columns
from datatrove_steps.executors import LocalRanks
from datatrove_steps.ledger import Ledger
from datatrove_steps.publish import FinishRun, PublishRank
from datatrove_steps.readers import ReadDocuments
from datatrove_steps.refine import RefineChunks, RefineDocuments
from datatrove_steps.refine_plan import RefineConfig, make_plan, pin_config, refiner_of, refiner_options
from datatrove_steps.tables import Schema
from datatrove_steps.writers import WriteParquet
from hf_curation.files.bad_shards import prepare_source, settle_bad_shards
from hf_curation.files.manifest import finished_ranks
from hf_curation.files.pins import Pins
from hf_curation.files.plans import Plan, claim_folder
from hf_curation.files.sources import Source, find_source
from hf_curation.programs.limits import Limits
from hf_curation.refiners.base import Stage


def refine_pipeline(config: RefineConfig, *, slurm: Mapping[str, Any] | None = None) -> PipelineExecutor:
    """Plan a refining run, claim its folder, and return the executor whose `run()` does it.

    The executor returned writes summary and card; its `depends` is the one that runs the tasks, whose last step knows
    the plan. Both skip what is finished.

    Args:
        config: what to do.
        slurm: arguments of `SlurmPipelineExecutor` (`time` and `partition` at least); None: run on this machine.

    Raises:
        ValueError: for an input that is not there, a refiner that does not exist, or a folder of another run.
    """
    check_slurm(slurm)
    output = Path(config.output).expanduser().absolute()
    pins = Pins.of_run(output, overwrite=config.overwrite)
    config = pin_config(config, pins)
    found = find_source(config.input)
    check_apart(config.input, found, output)
    source = prepare_source(
        found, output, allow_bad_shards=config.allow_bad_shards, limit=config.limit, text_key=config.text_key
    )
    columns = infer_columns(source, text_key=config.text_key, id_key=config.id_key)
    plan = make_plan(config, source, columns, pins)
    claim_folder(output, plan, overwrite=config.overwrite)
    settle_bad_shards(output, source, text_key=config.text_key)
    settle_markers(output, plan)
    ledger = Ledger()
    pipeline = [
        ReadDocuments(
            source, text_key=config.text_key, id_key=config.id_key, quarantine=output / "quarantine", ledger=ledger
        ),
        *_refining_steps(config, output, columns, ledger),
        WriteParquet(output / "data", columns=columns, keep_original=config.keep_original, ledger=ledger),
        PublishRank(output, plan, ledger, progress_folder=output / "logs" / "progress"),
    ]
    return executors_of(pipeline, FinishRun(output, plan), plan, output, config.workers, slurm)


def check_slurm(slurm: Mapping[str, Any] | None) -> None:
    """Refuse arguments of Slurm's executor that lack what every cluster needs.

    Raises:
        ValueError: names what is missing.
    """
    if slurm is not None and (missing := {"time", "partition"} - slurm.keys()):
        raise ValueError(f"slurm needs {' and '.join(sorted(missing))}, as SlurmPipelineExecutor takes them")


def settle_markers(output: Path, plan: Plan) -> None:
    """Make datatrove's completion markers say what the manifests say: a marker alone proves nothing."""
    finished = finished_ranks(output, plan)
    logs = output / "logs"
    for rank in range(plan.world_size):
        marker = logs / "completions" / f"{rank:05d}"
        if rank in finished:
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.touch()
        else:
            marker.unlink(missing_ok=True)
            (logs / "progress" / f"{rank:05d}").unlink(missing_ok=True)
    if len(finished) < plan.world_size or not (output / "summary.json").exists():
        (logs / "finish" / "completions" / "00000").unlink(missing_ok=True)
        (output / "summary.json").unlink(missing_ok=True)


def check_apart(given: str, source: Source, output: Path) -> None:
    """Refuse an output that the next listing of the input would find, or whose removal would remove the input.

    Raises:
        ValueError: if input and output lie one in the other.
    """
    if not source.is_local:
        return
    root, folder = Path(source.root).resolve(), output.resolve()
    holds_output = Path(given).expanduser().is_dir() and (root == folder or root in folder.parents)
    if holds_output or folder == root or folder in root.parents:
        raise ValueError(f"INPUT {given} and OUTPUT {output} lie one in the other; give folders side by side")


def _num_processors() -> int:
    # Containers and batch systems give a process fewer processors than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _refining_steps(config: RefineConfig, output: Path, columns: Schema, ledger: Ledger) -> list[PipelineStep]:
    steps: list[PipelineStep] = []
    for stage, kind in ((Stage.DOCUMENT, RefineDocuments), (Stage.CHUNK, RefineChunks)):
        refiner = refiner_of(config, stage)
        if refiner is None:
            continue
        writer = WriteParquet(
            output / "dropped",
            prefix=f"{stage}-",
            columns=columns,
            keep_original=config.keep_original,
            is_dropped=True,
            ledger=ledger,
        )
        step = kind(
            refiner,
            refiner_options=refiner_options(config, stage),
            limits=Limits(max_removed_fraction=config.max_removed_fraction),
            batch_size=config.batch_size,
            exclusion_writer=writer,
            quarantine=output / "quarantine",
            keep_original=config.keep_original,
            ledger=ledger,
        )
        steps.append(step)
    return steps


def executors_of(
    pipeline: list[PipelineStep],
    finish: PipelineStep,
    plan: Plan,
    output: Path,
    workers: int | None,
    slurm: Mapping[str, Any] | None,
) -> PipelineExecutor:
    """Return the executor of `finish`, one task, that depends on the one of `pipeline`, a task per rank of the plan.

    Args:
        pipeline: of every rank.
        finish: the last step of all.
        plan: the run's.
        output: its folder; logs go to `logs` in it.
        workers: ranks at a time; None: one per processor, on Slurm no limit.
        slurm: arguments of `SlurmPipelineExecutor`; None: on this machine.
    """
    logs = output / "logs"
    if slurm is None:
        workers = min(workers or _num_processors(), plan.world_size)
        ranks = LocalRanks(pipeline, tasks=plan.world_size, workers=workers, logging_dir=str(logs))
        return LocalRanks([finish], tasks=1, workers=1, logging_dir=str(logs / "finish"), depends=ranks)
    from datatrove_steps.slurm_ranks import SlurmRanks  # noqa: PLC0415 - half a second, for clusters only

    # Without this, a failed task leaves the last job pending for ever.
    shared = {**slurm, "sbatch_args": {"kill-on-invalid-dep": "yes", **slurm.get("sbatch_args", {})}}
    ranks = SlurmRanks(
        pipeline, tasks=plan.world_size, workers=workers or -1, logging_dir=str(logs), job_name=plan.step, **shared
    )
    return SlurmRanks(
        [finish], tasks=1, logging_dir=str(logs / "finish"), job_name=f"{plan.step}-finish", depends=ranks, **shared
    )
