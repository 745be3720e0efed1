"""`importance_sampling`: a target and a raw corpus in, the documents chosen towards it out, here or on Slurm.

    OUTPUT/data/00000.parquet            the chosen documents; what `datasets.load_dataset(OUTPUT)` gives
    OUTPUT/weights/00000.parquet         a log weight for every document of the corpus: the sidecar
    OUTPUT/model.npz choice.json         the table of log ratios; the thresholds
    OUTPUT/counts/{target,raw,kept}/     n-gram counts and the figures of the evidence
    OUTPUT/leakage.npz                   the index of held-out passages, where there are such
    OUTPUT/quarantine/*.jsonl            records that are no documents, with `reason`
    OUTPUT/plan.json manifests/          what was asked for; what every task read, wrote and did
    OUTPUT/README.md summary.json evidence.json    the card and the figures, once every task is finished
    OUTPUT/logs/STAGE/                   datatrove's logs, statistics and completion markers

Running again goes on where it stopped: a task with a manifest of its stage's plan is not run again. The chosen
documents, in the order of the input, the model and the thresholds do not depend on the number of tasks; only the cut
of documents and weights into files does.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.executors import LocalRanks
from datatrove_steps.importance.choose import ChooseThreshold
from datatrove_steps.importance.config import SelectConfig
from datatrove_steps.importance.count import CountNgrams
from datatrove_steps.importance.finish import FinishSelection
from datatrove_steps.importance.fit import BuildLeakIndex, FitImportance
from datatrove_steps.importance.keep import KeepChosen
from datatrove_steps.importance.plan import SelectPlan, make_select_plan
from datatrove_steps.importance.stages import Stage
from datatrove_steps.importance.weigh import WeighDocuments
from datatrove_steps.pipelines import check_apart, check_slurm
from hf_curation.files.bad_shards import settle_bad_shards
from hf_curation.files.plans import claim_folder

_SUMMARY = "summary.json"
_PASSES = ("count_raw", "fit", "weigh", "choose", "")
"""Of the corpus, and what is built on them; the last one's manifests lie beside the folders of the others."""


class _WarmRanks(LocalRanks):
    preload = ("datatrove_steps.importance.preload",)


def importance_sampling(config: SelectConfig, *, slurm: Mapping[str, Any] | None = None) -> PipelineExecutor:
    """Plan a selection, claim its folder, and return the executor whose `run()` does all of it.

    The executor returned writes summary, evidence and card; by `depends` it hangs on those of the passes before. All
    skip what is finished.

    Args:
        config: what to do.
        slurm: arguments of `SlurmPipelineExecutor` (`time` and `partition` at least); None: run on this machine.

    Raises:
        ValueError: for an input or a tokenizer that is not there, a folder of another run, or weights of another run
            that do not fit.
    """
    check_slurm(slurm)
    plan = make_select_plan(config)
    _check_folders(plan)
    claim_folder(plan.output, plan.stages["keep"].plan, overwrite=config.overwrite)
    settle_bad_shards(plan.output, plan.raw, text_key=config.text_key, passes=_PASSES)
    steps = _steps(plan)
    _settle_markers(plan, [plan.stages[name] for name in steps])
    if not plan.reuses_weights:
        for one in (*plan.targets, *plan.held_out):
            one.materialise()
    executor: PipelineExecutor | None = None
    for name, step in steps.items():
        stage = plan.stages[name]
        executor = _executor(step, stage.plan.world_size, stage.logs, config.workers, slurm, executor, stage.title)
    return _executor(FinishSelection(plan), 1, plan.output / "logs" / "finish", 1, slurm, executor, "finish")


def _steps(plan: SelectPlan) -> dict[str, PipelineStep]:
    """Return the step of every stage that this run has to do, in order."""
    config, stages, columns = plan.config, plan.stages, tuple(plan.weight_columns)
    steps: dict[str, PipelineStep] = {} if plan.reuses_weights else _scoring_steps(plan)
    steps["choose"] = ChooseThreshold(
        plan.output / "choice.json",
        weigh=stages["weigh"],
        columns=columns,
        lane_names=config.lane_names,
        rules=config.rules,
        stage=stages["choose"],
    )
    steps["keep"] = KeepChosen(
        plan.output,
        plan.raw_readings,
        layout=plan.layout,
        weigh=stages["weigh"],
        choose=stages["choose"],
        columns=columns,
        spec=config.spec,
        leak_index_path=plan.scored("leakage.npz") if plan.held_out else None,
        stage=stages["keep"],
    )
    return steps


def _scoring_steps(plan: SelectPlan) -> dict[str, PipelineStep]:
    config, stages, output = plan.config, plan.stages, plan.output
    counts = output / "counts"
    steps: dict[str, PipelineStep] = {
        "count_target": CountNgrams(
            config.spec,
            counts / "target",
            readings=plan.target_readings,
            stage=stages["count_target"],
        ),
        "count_raw": CountNgrams(
            config.spec,
            counts / "raw",
            readings=plan.raw_readings,
            probe_share=plan.probe_share,
            stage=stages["count_raw"],
        ),
        "fit": FitImportance(
            output / "model.npz",
            target=stages["count_target"],
            raw=stages["count_raw"],
            spec=config.spec,
            target_names=tuple(config.named_targets),
            separate=config.separate,
            proportions=config.mixture,
            smoothing=config.smoothing,
            stage=stages["fit"],
        ),
    }
    if plan.held_out:
        steps["held_out"] = BuildLeakIndex(
            output / "leakage.npz",
            [reading for one in plan.held_out for reading in one.readings(1)],
            [one.name for one in plan.held_out],
            n=config.leak_words,
            stage=stages["held_out"],
        )
    steps["weigh"] = _weigh_step(plan)
    return steps


def _weigh_step(plan: SelectPlan) -> PipelineStep:
    stages, output = plan.stages, plan.output
    return WeighDocuments(
        output / "model.npz",
        tokens=plan.config.features,
        scoring=plan.config.scoring,
        leak_index_path=output / "leakage.npz" if plan.held_out else None,
        output_folder=output / "weights",
        readings=plan.raw_readings,
        stage=stages["weigh"],
        needs=[stages[name] for name in ("fit", "held_out") if name in stages],
    )


def _executor(
    step: PipelineStep,
    tasks: int,
    logs: Path,
    workers: int | None,
    slurm: Mapping[str, Any] | None,
    depends: PipelineExecutor | None,
    title: str,
) -> PipelineExecutor:
    if slurm is None:
        workers = min(workers or _num_processors(), tasks)
        return _WarmRanks([step], tasks=tasks, workers=workers, logging_dir=str(logs), depends=depends)
    from datatrove_steps.slurm_ranks import SlurmRanks  # noqa: PLC0415 - half a second, for clusters only

    # Without this, a failed task leaves the jobs behind it pending for ever.
    shared = {**slurm, "sbatch_args": {"kill-on-invalid-dep": "yes", **slurm.get("sbatch_args", {})}}
    return SlurmRanks(
        [step],
        tasks=tasks,
        workers=workers or -1,
        logging_dir=str(logs),
        job_name=f"select-{title}",
        depends=depends,
        **shared,
    )


def _check_folders(plan: SelectPlan) -> None:
    config = plan.config
    check_apart(config.raw, plan.raw, plan.output)
    for one in (*plan.targets, *plan.held_out):
        if one.path is None:
            check_apart(one.origin, one.source, plan.output)
    if config.weights_of is not None and not plan.reuses_weights:
        raise ValueError(f"weights_of is the output folder {plan.output} itself; give another OUTPUT")


def _settle_markers(plan: SelectPlan, stages: list[Stage]) -> None:
    """Make datatrove's completion markers say what the manifests say: a marker alone proves nothing."""
    last = plan.stages["keep"]
    is_done = len(last.finished()) == last.plan.world_size and (plan.output / _SUMMARY).exists()
    for stage in stages:
        # A finished selection stays finished, even when its weights were removed to save space.
        finished = set(range(stage.plan.world_size)) if is_done else stage.finished()
        for rank in range(stage.plan.world_size):
            marker = stage.logs / "completions" / f"{rank:05d}"
            if rank in finished:
                marker.parent.mkdir(parents=True, exist_ok=True)
                marker.touch()
            else:
                marker.unlink(missing_ok=True)
                (stage.logs / "progress" / f"{rank:05d}").unlink(missing_ok=True)
    if not is_done:
        (plan.output / "logs" / "finish" / "completions" / "00000").unlink(missing_ok=True)
        (plan.output / _SUMMARY).unlink(missing_ok=True)


def _num_processors() -> int:
    # Containers and batch systems give a process fewer processors than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
