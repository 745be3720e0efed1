"""Where rates come from: the manifests and logs of runs, or the last line of `recipes/benchmarks/scaling.py`.

A run's seconds are those of its ranks' logs, from the first line to the last of the attempt that finished: the wall
clock of processes with one thread each, interpreter and imports included. So a run of many documents a task gives the
better rates, on a machine with a core for every worker. `scaling.py` measures CPU time, without what starting costs.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from hf_curation.files.accounts import add_stages
from hf_curation.files.manifest import Manifest
from hf_curation.files.plans import read_json
from hf_curation.files.rank_logs import read_rank_log
from hf_curation.reports.planning import Rate

CHARS_PER_TOKEN: Final = 4.0
"""Where no store says it."""
_ONE_PROCESS: Final = {"choose", "pack", "report"}
"""Stages whose one process looks at all documents; the others are cut into tasks."""
_FIXED: Final = {"adapt", "count_target", "edit", "evidence", "fit", "store", "summary"}
"""Stages of `scaling.py` that do not grow with the corpus in a run (they look at a target, or at figures), or are a
part of another."""
_PASSES: Final = ("count_raw", "weigh", "choose", "keep")
"""Of a selection, those that take longer for more documents."""
_ARTIFACTS: Final = {"refine": "refined text", "weigh": "sidecar of weights", "tokenize": "token store"}
_FOLDERS: Final = {
    "refine": {"data": ("refine", "refined text"), "dropped": ("refine", "dropped text")},
    "select": {"weights": ("weigh", "sidecar of weights"), "data": ("keep", "chosen text")},
    "tokenize": {"tokens": ("tokenize", "token store")},
}
"""Step -> folder of its outputs -> the pass that writes it, and what it is."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Rates, and what else is known of the documents."""

    origin: str
    """What was measured, in words."""
    rates: list[Rate]
    documents: int = 0
    chars: int | None = None
    tokens: int | None = None
    """Of a tokenizer's, in all documents."""
    refiner_tokens: Counter[str] = field(default_factory=Counter)
    """`prompt_tokens` and `output_tokens` of a refiner that counts them."""


def read_run(folder: Path) -> Measured:
    """Return the rates of a finished run of `refine`, `select` or `tokenize`.

    Raises:
        ValueError: if there is no finished run.
    """
    if not (folder / "summary.json").is_file():
        raise ValueError(f"{folder} holds no finished run: there is no summary.json; run it to its end first")
    step = str(read_json(folder / "plan.json")["step"])
    stages = list(add_stages(manifest.stages for manifest in _manifests(folder, "*.json")).values())
    documents = stages[0].num_in
    places = {name: folder / "logs" / name for name in _PASSES} if step == "select" else {step: folder / "logs"}
    sizes = _bytes_written(folder, step)
    summary = orjson.loads((folder / "summary.json").read_bytes())
    chars = summary.get("chars")
    return Measured(
        f"{step} of {documents:,} documents",
        [
            Rate(
                stage=name,
                documents=documents,
                core_seconds=_seconds(place),
                num_bytes=dict(sizes[name]),
                is_one_process=name in _ONE_PROCESS,
            )
            for name, place in places.items()
            if place.is_dir()  # a selection by the weights of another has not weighed
        ],
        documents,
        chars["in"] if isinstance(chars, dict) else chars,
        summary["tokens"] if step == "tokenize" else None,
        Counter({name: sum(stage.totals[name] for stage in stages) for name in ("prompt_tokens", "output_tokens")}),
    )


def read_scaling(path: Path) -> Measured:
    """Return the marginal rates that `scaling.py` printed: its output, or the JSON line alone.

    Raises:
        ValueError: if the file has no such line.
    """
    try:
        found: dict[str, Any] = orjson.loads(path.read_text(encoding="utf-8").strip().rpartition("\n")[2])
        numbers, rates = found["documents"], found["us_per_document"]
        chars, written = found["chars_of_text"][-1], found.get("output_bytes_per_document", {})
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} does not end with the JSON line of recipes/benchmarks/scaling.py") from error
    last = numbers[-1]
    made = [
        Rate(
            stage=stage,
            documents=last,
            core_seconds=us * last / 1e6,
            num_bytes={_ARTIFACTS[stage]: round(written[stage] * last)} if stage in written else {},
            is_one_process=stage in _ONE_PROCESS,
        )
        for stage, us in rates.items()
        if stage not in _FIXED
    ]
    return Measured(f"scaling.py: {last:,} documents", made, last, chars)


def tokens_per_document(found: list[Measured]) -> tuple[float, str]:
    """Return tokens a document, and where the figure is from: a store's, else characters by `CHARS_PER_TOKEN`.

    Raises:
        ValueError: if nothing that was given counts tokens or characters.
    """
    counted = [one for one in found if one.tokens]
    if counted:
        figure = sum(one.tokens or 0 for one in counted) / sum(one.documents for one in counted)
        return figure, f"counted by {', '.join(one.origin for one in counted)}"
    counted = [one for one in found if one.chars]
    if counted:
        figure = sum(one.chars or 0 for one in counted) / sum(one.documents for one in counted) / CHARS_PER_TOKEN
        return figure, f"characters / {CHARS_PER_TOKEN:g}, by {', '.join(one.origin for one in counted)}"
    raise ValueError(
        "a selection counts no tokens of a tokenizer: name a refine or tokenize run too, or say --tokens-per-document"
    )


def _manifests(folder: Path, pattern: str) -> list[Manifest]:
    return [Manifest.read(path) for path in sorted((folder / "manifests").glob(pattern))]


def _bytes_written(folder: Path, step: str) -> defaultdict[str, Counter[str]]:
    """Return pass -> artifact -> bytes."""
    found: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for output in (output for manifest in _manifests(folder, "**/*.json") for output in manifest.outputs):
        name, artifact = _FOLDERS.get(step, {}).get(output.name.partition("/")[0], (step, ""))
        if artifact:
            found[name][artifact] += output.num_bytes
    return found


def _seconds(place: Path) -> float:
    """Return the seconds of the ranks of one pass."""
    logs = [read_rank_log(place, int(path.stem.rpartition("_")[2])) for path in place.glob("logs/task_*.log")]
    return sum(max(log.written - log.started, 0.0) for log in logs if log is not None)
