"""The plan of a selection: one for each pass, each holding what it builds on, and one of the run as a whole.

    count_target, count_raw -> fit -> (held_out) -> weigh -> choose -> keep

A pass is reused if and only if its plan is equal, so another budget, temperature or seed leaves everything up to
`weigh` as it is: in another folder by `weights_of`, which reads counts, model and weights where they lie.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from datatrove_steps.code_versions import versions_of
from datatrove_steps.importance.config import SelectConfig, describe_config
from datatrove_steps.importance.inputs import TextSet, default_tasks, find_held_out, find_raw, find_targets, pin_config
from datatrove_steps.importance.layout import Layout, find_layout
from datatrove_steps.importance.readings import Reading
from datatrove_steps.importance.stages import Stage
from datatrove_steps.importance.texts import Keys
from datatrove_steps.importance.weigh import weight_columns
from hf_curation.files.bad_shards import read_bad_shards
from hf_curation.files.manifest import Manifest, manifest_path
from hf_curation.files.pins import Pins
from hf_curation.files.plans import Plan, read_json, told_differences
from hf_curation.files.reading import is_parquet, open_parquet
from hf_curation.files.sources import Source
from hf_curation.files.spans import Span, deal_spans

_OUR_CODE: Final = (
    "hf_curation.sampling",
    "hf_curation.vocabulary",
    "hf_curation.files",
    "datatrove_steps.importance",
)
_PACKAGES: Final = ("datatrove", "numpy", "orjson", "pyarrow")
_PROBE_BYTES: Final = 256 * 2**20
"""Of a corpus up to this size all documents are probed for the evidence, of a larger one a share."""
SCORING_STAGES: Final = ("count_target", "count_raw", "fit", "held_out", "weigh")


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectPlan:
    """A selection, worked out: what every stage reads, where it writes, and under which plan."""

    config: SelectConfig
    output: Path
    scores: Path
    """The folder with counts, model and weights: the output, or that of another run."""
    keys: Keys
    raw: Source
    raw_spans: list[list[Span]]
    targets: list[TextSet]
    target_readings: list[Reading]
    held_out: list[TextSet]
    layout: Layout
    probe_share: float
    pins: Pins
    stages: dict[str, Stage]

    @property
    def reuses_weights(self) -> bool:
        """Whether nothing is counted, fitted and weighed here."""
        return self.scores != self.output

    @property
    def raw_readings(self) -> list[Reading]:
        """What each rank reads of the corpus."""
        return [Reading(source=self.raw, spans=spans, keys=self.keys) for spans in self.raw_spans]

    @property
    def weight_columns(self) -> list[str]:
        """The columns of log weights."""
        return weight_columns(self.config.lane_names, separate=self.config.separate)

    def scored(self, name: str) -> Path:
        """Return the place of a file or folder of the scoring passes."""
        return self.scores / name


def make_select_plan(config: SelectConfig) -> SelectPlan:
    """Work out a selection; writes nothing.

    Raises:
        ValueError: for an input or a tokenizer that is not there, or weights of another run that do not fit.
        ShardError: if a file that has to be split is damaged.
    """
    output = Path(config.output).expanduser().absolute()
    scores = output if config.weights_of is None else Path(config.weights_of).expanduser().absolute()
    pins = Pins.of_run(output, config.weights_of, overwrite=config.overwrite)
    config = pin_config(config, pins)
    raw, targets, held_out = find_raw(config, scores), find_targets(config, scores), find_held_out(config, scores)
    keys = Keys(text=config.text_key, id=config.id_key, source=config.source_key or _default_source_key(raw))
    if keys.source is None and (config.source_caps or config.source_quotas):
        raise ValueError("caps and quotas need source_key, the column or key of the source: RAW has no 'source'")
    tasks = config.tasks or _tasks_of(scores, output) or default_tasks(raw, uses_words=config.spec.uses_words)
    columns = weight_columns(config.lane_names, separate=config.separate)
    readings = [
        reading
        for group, one in enumerate(targets)
        for reading in one.readings(default_tasks(one.source, uses_words=config.spec.uses_words), group)
    ]
    plan = SelectPlan(
        config=config,
        output=output,
        scores=scores,
        keys=keys,
        raw=raw,
        raw_spans=deal_spans(raw, tasks),
        targets=targets,
        target_readings=readings,
        held_out=held_out,
        layout=find_layout(raw, keys, columns, with_repeats=config.max_repeats > 1),
        probe_share=min(1.0, _PROBE_BYTES / max(1, raw.num_bytes)),
        pins=pins,
        stages={},
    )
    plan = replace(plan, stages=_stages(plan))
    if plan.reuses_weights:
        _check_weights(plan)
    return plan


def _stages(plan: SelectPlan) -> dict[str, Stage]:
    """Return the stages in the order in which they run, the last one under the name `keep`."""
    versions, num_tasks = versions_of(_OUR_CODE, _PACKAGES), len(plan.raw_spans)
    reads = {"count_target": _joined(plan.targets), "held_out": _joined(plan.held_out)}
    tasks = {"count_target": len(plan.target_readings), **dict.fromkeys(("count_raw", "weigh", "keep"), num_tasks)}
    stages = {}
    for name, values in _configs(plan).items():
        step = "select" if name == "keep" else f"select/{name}"
        stage_plan = Plan.of(step, values, reads.get(name, plan.raw), tasks.get(name, 1), versions)
        folder = plan.scores if name in SCORING_STAGES else plan.output
        stages[name] = Stage("" if name == "keep" else name, folder, stage_plan)
    return stages


def _configs(plan: SelectPlan) -> dict[str, dict[str, Any]]:
    """Return for every stage what decides its output, what it builds on included."""
    config, scoring = plan.config, plan.config.scoring
    features = config.spec.describe()
    targets: dict[str, Any] = {f"target {one.name}": one.describe() for one in plan.targets}
    sets: dict[str, Any] = {f"held out {one.name}": one.describe() for one in plan.held_out}
    count_target = {"features": features, **targets}
    count_raw: dict[str, Any] = {
        "features": features,
        "text_key": config.text_key,
        "id_key": config.id_key,
        "source_key": plan.keys.source,
    }
    count_raw |= {"limit": config.limit, "probe_share": plan.probe_share}
    fit = {**count_target, **count_raw, "raw": plan.raw.fingerprint, "smoothing": config.smoothing.describe()}
    fit |= {"separate": config.separate, "mixture": config.mixture}
    held_out = {"leak_words": config.leak_words, **sets} if sets else {}
    weigh = {**fit, **held_out, "alpha": scoring.length_exponent, "chunk_tokens": scoring.chunk_tokens}
    keep = {
        "source": Path(config.raw).name if plan.raw.is_local else config.raw,
        **describe_config(config),
        **{name: value for name, value in weigh.items() if name not in {"raw", "mixture", "probe_share"}},
        "decontaminate": bool(sets),
        "columns": plan.layout.describe(),
        **plan.pins.as_config(),
    }
    choose = {**weigh, "rules": config.rules.to_dict()}
    configs = {"count_target": count_target, "count_raw": count_raw, "fit": fit, "held_out": held_out}
    configs |= {"weigh": weigh, "choose": choose, "keep": keep}
    return {name: values for name, values in configs.items() if values}


def _joined(sets: Sequence[TextSet]) -> Source:
    """Return the files of several sets as one source, for a plan; it is not read from."""
    files = [replace(file, name=f"{one.name}/{file.name}") for one in sets for file in one.source.files]
    return Source("", tuple(sorted(files, key=lambda file: file.name)))


def _default_source_key(raw: Source) -> str | None:
    """Return `source` where the first file of the corpus that is not left out has such a column or key."""
    file = next(file for file in raw.files if file.bad is None)
    if is_parquet(file.name):
        with raw.open(file) as stream:
            return "source" if "source" in open_parquet(stream, file.name).schema_arrow.names else None
    from datatrove_steps.columns import infer_columns  # noqa: PLC0415

    return "source" if "source" in infer_columns(replace(raw, files=(file,))).names else None


def _tasks_of(scores: Path, output: Path) -> int | None:
    """Return the number of tasks of the run whose weights are taken."""
    path = scores / "plan.json"
    if scores == output:
        return None
    if not path.exists():
        raise ValueError(f"{scores} holds no selection; weights_of takes the output folder of one")
    return int(read_json(path)["world_size"])


def _check_weights(plan: SelectPlan) -> None:
    """Check that another run has weighed the same documents by the same model, for every rank.

    Raises:
        ValueError: says what differs.
    """
    stage = plan.stages["weigh"]
    path = manifest_path(stage.folder, 0, stage.name)
    if not path.exists():
        raise ValueError(f"{stage.folder} holds no weights yet; let that selection finish weighing first")
    manifest = Manifest.read(path)
    if manifest.plan_sha256 != stage.plan.sha256:
        told = [
            *told_differences(manifest.config, stage.plan.config),
            *told_differences(manifest.versions, stage.plan.versions),
        ]
        if manifest.input_fingerprint != stage.plan.input_fingerprint:
            told.append("the files of RAW have changed")
        if manifest.world_size != stage.plan.world_size:
            told.append(f"number of tasks was {manifest.world_size} and is {stage.plan.world_size}")
        raise ValueError(
            f"the weights of {stage.folder} are not those of this selection: {'; '.join(told[:3])}. "
            "Only what comes after weighing may differ; leave --weights-of out to weigh again"
        )
    if (theirs := read_bad_shards(stage.folder).keys()) != plan.raw.bad_shards.keys():
        raise ValueError(
            f"the weights of {stage.folder} are without the shards {', '.join(sorted(theirs)) or '(none)'}, and this "
            f"selection without {', '.join(sorted(plan.raw.bad_shards)) or '(none)'}; give the same --allow-bad-shards"
        )
    stage.outputs()
