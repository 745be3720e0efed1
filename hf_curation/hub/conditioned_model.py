"""The card of a model that was trained with metadata in front: what it saw in which phase, and how to talk to it.

A card is facts in a fixed text. What a person has written into a card that is there already stays: our part stands
between two marks and only that is replaced; tags are added, none is taken away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from hf_curation.hub.cards import add_tags, replace_section

_BEGIN: Final = "<!-- hf-curation: written by the training run -->"
_TAGS: Final = ("hf-curation", "meco", "metadata-conditioning")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionedModel:
    """Facts of a run."""

    schedule: str
    steps: int
    switch_step: int
    """First step of the cooldown; `steps` when there is none."""
    rows_per_step: int
    seq_len: int
    tokens: int
    """BOS, metadata and EOS included, padding not."""
    prefix_tokens: int
    prefix: Mapping[str, Any]
    """`PrefixTemplate.describe()`."""
    loss_on_metadata: str
    has_bos: bool
    documents: str
    cooldown_documents: str | None
    data_fingerprint: str
    plan: str
    seed: int
    num_parameters: int
    bits_per_byte: Mapping[str, Mapping[str, float]]
    """Step -> `with_metadata`, `without`, `documents`."""
    license: str | None = None


def conditioned_model_card(facts: ConditionedModel, *, name: str, existing: Any = None) -> Any:  # noqa: ANN401
    """Return the card, a `huggingface_hub.ModelCard`.

    Args:
        facts: Of the run.
        name: Heading of a new card; a repository's name.
        existing: The card that is there, which keeps all that is not ours.
    """
    from huggingface_hub import ModelCard, ModelCardData  # noqa: PLC0415

    card = existing if existing is not None else ModelCard("---\nlibrary_name: transformers\n---\n\n# " + name + "\n")
    if existing is None:
        card.data = ModelCardData(library_name="transformers", pipeline_tag="text-generation")
    data: Any = card.data
    add_tags(data, _TAGS)
    if facts.license and not data.license:
        data.license = facts.license
    card.text = replace_section(card.text, _BEGIN, _section(facts, name))
    return card


def _section(facts: ConditionedModel, name: str) -> str:
    return "\n".join([*_phases(facts), *_prefix(facts), *_figures(facts), *_use(facts, name)])


def _phases(facts: ConditionedModel) -> list[str]:
    cooldown = facts.steps - facts.switch_step
    data = f"`{facts.documents}`"
    cool_data = data + ", other documents" if facts.cooldown_documents is None else f"`{facts.cooldown_documents}`"
    lines = [
        "## Training",
        "",
        "Trained with the source of each document in front of it "
        "([MeCo](https://huggingface.co/papers/2501.01956)), with hf-curation.",
        "",
        "| phase | steps | documents | metadata |",
        "|---|---|---|---|",
        f"| {facts.schedule if not cooldown else 'conditioned'} | 0 to {facts.switch_step - 1} | {data} "
        f"| {_how(facts.schedule)} |",
    ]
    if cooldown:
        lines.append(f"| cooldown | {facts.switch_step} to {facts.steps - 1} | {cool_data} | none |")
    return [
        *lines,
        "",
        f"One run with one learning-rate curve: {facts.steps} steps of {facts.rows_per_step} rows of {facts.seq_len} "
        f"tokens; {facts.tokens:,} tokens, {facts.prefix_tokens:,} of them metadata. "
        f"{facts.num_parameters:,} parameters.",
        f"Packing `{facts.plan}`, seed {facts.seed}, data fingerprint `{facts.data_fingerprint[:16]}`. "
        "The whole configuration is in `meco_config.yaml`.",
        "",
    ]


def _how(schedule: str) -> str:
    if schedule.startswith("mix"):
        return "a share of the documents"
    return "none" if schedule == "never" else "every document that has them"


def _prefix(facts: ConditionedModel) -> list[str]:
    fields = ", ".join(f"`{one['field']}`" for one in facts.prefix["fields"]) or "none"
    where = {
        "masked": "in front of the document, not trained (labels -100)",
        "trained": "in front of the document, trained like text",
        "appended": "behind the document, predicted from it",
    }[facts.loss_on_metadata]
    return [
        "## The prefix",
        "",
        f"Template `{facts.prefix['template']!r}`, fields {fields}; a document without a value: "
        f"`{facts.prefix['on_missing']}`. It stands {where}{', behind BOS' if facts.has_bos else ''}, and is encoded "
        "apart from the document: its ids and the document's are joined as ids.",
        "",
    ]


def _figures(facts: ConditionedModel) -> list[str]:
    if not facts.bits_per_byte:
        return []
    rows = [
        f"| {step} | {one['with_metadata']:.4f} | {one['without']:.4f} |"
        for step, one in sorted(facts.bits_per_byte.items(), key=lambda item: int(item[0]))
    ]
    number = next(iter(facts.bits_per_byte.values())).get("documents")
    return [
        f"Held-out bits per byte of {number} documents (bytes and bits of the documents alone):",
        "",
        "| after step | with their metadata | without |",
        "|---|---|---|",
        *rows,
        "",
    ]


def _use(facts: ConditionedModel, name: str) -> list[str]:
    template = facts.prefix["template"]
    code = [
        "from transformers import AutoModelForCausalLM, AutoTokenizer",
        "from hf_curation.evaluation import Conditioner, generate",
        "",
        f'name = "{name}"',
        "model, tokenizer = AutoModelForCausalLM.from_pretrained(name), AutoTokenizer.from_pretrained(name)",
        f"conditioner = Conditioner(tokenizer, {template!r})",
        'site = {"url": "www.factmonster.com"}  # need not exist',
        'print(generate(model, conditioner, "The whale is", site, max_new_tokens=40))',
        'print(generate(model, conditioner, "The whale is", site, guidance_scale=1.5, max_new_tokens=40))',
    ]
    plain = "Without metadata it is an ordinary causal language model" + (
        "."
        if facts.switch_step < facts.steps or facts.schedule.startswith("mix")
        else ", but no phase without metadata prepared it for that: expect worse text."
    )
    return ["## Use", "", plain + " With them:", "", "```python", *code, "```"]
