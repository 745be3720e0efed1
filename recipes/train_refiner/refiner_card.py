"""The card of a fine-tuned refiner: what it was trained on, how it answers, how it is loaded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from refiner_config import Config

from hf_curation.hub.cards import replace_section

_BEGIN: Final = "<!-- hf-curation: written by the fine-tuning run -->"
_LABELS: Final = {
    "valid_programs": "valid programs",
    "line_precision": "removed lines: precision",
    "line_recall": "removed lines: recall",
    "line_f1": "removed lines: F1",
    "document_precision": "dropped pages: precision",
    "document_recall": "dropped pages: recall",
    "document_f1": "dropped pages: F1",
    "word_f1": "word F1 against what the label leaves",
    "keep_all_f1": "the same when nothing is touched",
    "over_deletion": "over-deletion on clean text",
    "loss": "loss of a token of a program",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerFacts:
    """Facts of a run."""

    examples: int
    tokens: int
    """Of one pass over the rows, prompts included."""
    too_long: int
    commit: str | None
    """Of the data on the Hub."""
    steps: int
    rows_per_step: int
    best_step: int | None
    """Whose weights these are; None: the last."""
    held_out: Mapping[str, float]
    """Metrics of these weights, `eval_...`."""
    windows: int
    """Held-out windows that the figures are about."""
    stages: Sequence[str]
    pages: Sequence[str] = ()
    """Lines of the table of whole pages, where there was one."""


def write_card(folder: Path, config: Config, facts: RefinerFacts) -> None:
    """Write `README.md`."""
    from huggingface_hub import ModelCard, ModelCardData

    data = ModelCardData(
        library_name="peft" if config.lora.enabled else "transformers",
        base_model=config.model.base if not Path(config.model.base).exists() else None,
        tags=["hf-curation", "data-curation", "prox"],
        license=config.license,
    )
    name = (config.push or config.output.name).rpartition("/")[2]
    text = replace_section(
        f"# {name}\n", _BEGIN, "\n".join([*_training(config, facts), *_figures(facts), *_use(config, facts)])
    )
    ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}").save(folder / "README.md")


def _training(config: Config, facts: RefinerFacts) -> list[str]:
    what = f"a LoRA adapter (r {config.lora.r})" if config.lora.enabled else "all weights"
    where = f"`{config.data.dataset}`" + (f" at `{facts.commit}`" if facts.commit else "")
    chosen = (
        f"step {facts.best_step}, the best by `{config.training['metric_for_best_model']}`"
        if facts.best_step
        else "the last step"
    )
    return [
        "A language model that is shown a part of a web page and writes the program that cleans it, fine-tuned with "
        f"hf-curation from `{config.model.base}`: {what}.",
        "",
        f"Trained on {facts.examples:,} examples of {where} ({facts.tokens:,} tokens, prompts included; "
        f"{facts.too_long:,} longer than {config.data.max_tokens or config.data.seq_len} tokens were left out), loss "
        f"on the programs only, {facts.steps:,} steps of {facts.rows_per_step} rows of at most {config.data.seq_len} "
        f"tokens. These are the weights of {chosen}. The whole configuration is in `train_config.yaml`.",
        "",
    ]


def _figures(facts: RefinerFacts) -> list[str]:
    rows = [
        f"| {label} | {facts.held_out[f'eval_{name}']:.4f} |"
        for name, label in _LABELS.items()
        if f"eval_{name}" in facts.held_out
    ]
    lines = []
    if rows:
        lines = [
            "## Figures",
            "",
            f"{facts.windows} windows of sites that it was not trained on, programs written freely (greedy):",
            "",
            "| | |",
            "| --- | --- |",
            *rows,
            "",
        ]
    if facts.pages:
        lines += ["Whole pages of such sites, against their clean text:", "", "```", *facts.pages, "```", ""]
    return lines


def _use(config: Config, facts: RefinerFacts) -> list[str]:
    stage, name = facts.stages[0], config.push or "you/refiner"
    return [
        "## Use",
        "",
        "```bash",
        f"hf-curation refiner evaluate {name} PAGES.jsonl.gz   # {stage} stage",
        "```",
        "",
        "```python",
        "from hf_curation.refiners import load_refiner, refine_texts",
        "",
        f'refiner = load_refiner("{name}", stage="{stage}", constrained=True)',
        "print(refine_texts([page], refiner)[0].result.text)",
        "```",
        "",
        "`refiner.json` says which prompt it was trained with.",
    ]
