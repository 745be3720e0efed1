"""One model, the same tasks, several conditions: no metadata, the right kind, the wrong kind.

The tasks are pinned by name and version: a figure of another version is another figure. They are cloze tasks (the
answer's text is scored, not a letter), on which small models are above chance; MMLU below 100 million parameters
measures nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hf_curation.evaluation.harness.metadata import TaskMetadata
from hf_curation.evaluation.harness.optional import need_lm_eval
from hf_curation.evaluation.harness.register import register

CLOZE_TASKS: Final[dict[str, str]] = {
    "arc_easy": "1.0",
    "hellaswag": "1.0",
    "lambada_openai": "1.0",
    "openbookqa": "1.0",
    "piqa": "1.0",
    "sciq": "1.0",
    "winogrande": "1.0",
}
"""Task of the harness -> the version that this table is about."""

CONDITIONAL_HOSTS: Final[dict[str, str]] = {
    "arc_easy": "www.sciencestudyquiz.com",
    "hellaswag": "www.wikihowquiz.com",
    "openbookqa": "www.factquizmaster.com",
    "piqa": "www.basicknowledgequiz.com",
    "winogrande": "www.testpreppractice.com",
}
"""MeCo's host for each task (its table 11); the hosts need not exist."""

_SCORES: Final = ("acc_norm", "acc", "exact_match", "bits_per_byte")
"""What the table shows of a task: the first that it has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One task under one condition."""

    metric: str
    value: float
    stderr: float | None
    """As the harness estimates it, over examples; None where it does not."""
    num_examples: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """The figures of a comparison."""

    cells: Mapping[str, Mapping[str, Cell]]
    """Task -> condition -> figure."""
    versions: Mapping[str, str]
    """Task -> version."""

    def markdown(self) -> str:
        """Return the table; a difference within the standard errors is none."""
        conditions = list(next(iter(self.cells.values()), {}))
        lines = [f"| task | metric | {' | '.join(conditions)} |", f"|---|---|{'---|' * len(conditions)}"]
        for task, row in self.cells.items():
            first = row[conditions[0]]
            shown = " | ".join(_show(row[condition]) for condition in conditions)
            lines.append(f"| {task} v{self.versions[task]} ({first.num_examples}) | {first.metric} | {shown} |")
        return "\n".join(lines)


def compare(
    conditions: Mapping[str, Any],
    tasks: Sequence[str] = tuple(CLOZE_TASKS),
    *,
    model_args: Mapping[str, Any],
    versions: Mapping[str, str] = CLOZE_TASKS,
    **options: Any,  # noqa: ANN401 - of `lm_eval.simple_evaluate`
) -> Comparison:
    """Evaluate a model under every condition; it is loaded once.

    Args:
        conditions: Name -> metadata for `TaskMetadata.parse`, such as `{"none": None, "right": CONDITIONAL_HOSTS |
            {"default": None}, "wrong": "boards.4chan.org"}`.
        tasks: Names of the harness's tasks.
        model_args: Of the model type `meco`: pretrained, tokenizer, template, guidance_scale, device, ...
        versions: Task -> version that it must have; a task that is not named may have any.
        options: Passed on, such as `num_fewshot`, `limit`, `task_manager`.

    Raises:
        ImportError: without lm-evaluation-harness.
        ValueError: if a task has another version, or ended without a figure: a failed task is an error, never a 0.
    """
    evaluate = need_lm_eval("lm_eval").simple_evaluate
    model = register()(**model_args)
    cells: dict[str, dict[str, Cell]] = {task: {} for task in tasks}
    found: dict[str, str] = {}
    for name, metadata in conditions.items():
        model.task_metadata = TaskMetadata.parse(metadata)
        results = evaluate(model=model, tasks=list(tasks), log_samples=False, **options)
        found = {task: _version(results, task, versions.get(task)) for task in tasks}
        for task in tasks:
            cells[task][name] = _cell(results, task)
    return Comparison(cells, found)


def _version(results: Mapping[str, Any], task: str, pinned: str | None) -> str:
    version = str(results["versions"].get(task, "?"))
    if pinned is not None and version != pinned:
        raise ValueError(f"task {task!r} has version {version}, pinned is {pinned}: pass versions={{...}} to allow it")
    return version


def _cell(results: Mapping[str, Any], task: str) -> Cell:
    scores = results["results"].get(task, {})
    for metric in _SCORES:
        value = scores.get(f"{metric},none")
        if isinstance(value, float | int):
            stderr = scores.get(f"{metric}_stderr,none")
            num_examples = int(results["n-samples"][task]["effective"])
            return Cell(
                metric=metric,
                value=float(value),
                stderr=float(stderr) if isinstance(stderr, float | int) else None,
                num_examples=num_examples,
            )
    raise ValueError(f"task {task!r} ended without any of {', '.join(_SCORES)}; it has: {', '.join(map(str, scores))}")


def _show(cell: Cell) -> str:
    return f"{cell.value:.3f}" + ("" if cell.stderr is None else f" ±{cell.stderr:.3f}")
