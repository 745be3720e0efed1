"""The `README.md` that makes the folder of a selection a dataset: a card out of `summary.json`, and nothing else."""

from typing import Any, Final

from hf_curation.files.summary import told_bad_shards

_COLUMNS: Final = {
    "num_ngrams": "n-grams that the weight is made of",
    "importance_lane": "what the document was chosen for: a target, or `general` for the random part",
    "repeats": "how often the choice takes the document",
}


def selection_card(summary: dict[str, Any], *, has_weights: bool = True) -> str:
    """Return a dataset card in Markdown with its YAML head.

    Args:
        summary: what `summary.json` holds.
        has_weights: whether the sidecar lies in the same folder.
    """
    documents, tokens, version = summary["documents"], summary["tokens"], summary["versions"]["hf_curation"]
    head = ["---", "configs:", "- config_name: default", "  data_files: data/*.parquet", "  default: true"]
    head += ["- config_name: weights", "  data_files: weights/*.parquet"] if has_weights else []
    head += ["tags:", "- hf-curation", "- datatrove", "---"]
    rows = [f"| {name} | {number:,} | {_percent(number, documents['in'])} |" for name, number in documents.items()]
    targets = " and ".join(f"`{name}`" for name in summary["targets"]["names"])
    weights = "`weights/` holds a log weight for every document of the corpus, chosen or not; " if has_weights else ""
    parts = [
        "\n".join(head),
        "# Selected documents",
        f"`{summary['config']['source']}`, {summary['budget']['asked']} of it chosen towards {targets} "
        f"({summary['targets']['documents']:,} documents, {summary['targets']['tokens']:,} tokens) by importance "
        f"sampling over {_features(summary)} with hf-curation {version}.",
        "| documents | number | share |\n| --- | ---: | ---: |\n" + "\n".join(rows),
        f"{tokens['in']:,} tokens came in, {tokens['chosen']:,} ({_percent(tokens['chosen'], tokens['in'])}) are "
        "chosen.",
        *told_bad_shards(summary),
        *_reasons(summary),
        *_distances(summary),
        *_parts(summary),
        "## Columns",
        _columns(summary["columns"]),
        f"{weights}`choice.json` holds the thresholds, `evidence.json` what the choice did to n-grams, lengths and "
        "sources. `manifests/` lists every file with its SHA-256 and accounts for every document.",
    ]
    return "\n\n".join(parts) + "\n"


def _features(summary: dict[str, Any]) -> str:
    features = summary["config"]["features"]
    tokens = "words" if features["tokens"] == "words" else f"the tokens of `{features['tokens']}`"
    orders = "unigrams" if features["max_order"] == 1 else f"n-grams of orders 1 to {features['max_order']}"
    return f"{orders} of {tokens} in {features['num_buckets']:,} buckets"


def _reasons(summary: dict[str, Any]) -> list[str]:
    lines = []
    for kind in ("excluded", "quarantined"):
        if summary[kind]:
            lines.append(
                f"- {kind}: " + ", ".join(f"`{reason}` {number:,}" for reason, number in summary[kind].items())
            )
    return ["## Reasons", "\n".join(lines)] if lines else []


def _distances(summary: dict[str, Any]) -> list[str]:
    """Return the table of KL divergences, on features that the sampler did and did not use."""
    if not summary.get("kl"):
        return []
    groups = list(next(iter(summary["kl"].values())))
    names = {"sampler": "the sampler's n-grams", "probe": "character 5-grams, which it did not use"}
    rows = [
        f"| {names[kind]} | " + " | ".join(f"{nats[group]:.3f}" if group in nats else "-" for group in groups) + " |"
        for kind, nats in summary["kl"].items()
    ]
    head = f"| KL(target \\|\\| ...), nats | {' | '.join(groups)} |\n| --- |{' ---: |' * len(groups)}\n"
    return ["## How near to the target", head + "\n".join(rows)]


def _parts(summary: dict[str, Any]) -> list[str]:
    """Return a table of lanes and one of sources, where there are several."""
    found = []
    for kind in ("lanes", "sources"):
        amounts = {name: amount for name, amount in summary[kind].items() if amount["documents"]}
        if len(amounts) > 1:
            rows = [
                f"| {name} | {amount['documents']:,} | {amount['tokens']:,} | "
                f"{_percent(amount['tokens'], summary['tokens']['chosen'])} |"
                for name, amount in sorted(amounts.items(), key=lambda item: -item[1]["tokens"])[:20]
            ]
            head = f"| {kind[:-1]} | documents | tokens | share |\n| --- | ---: | ---: | ---: |\n"
            found.append(head + "\n".join(rows))
    return ["## Where it comes from", *found] if found else []


def _columns(names: list[str]) -> str:
    rows = ["| column | meaning |", "| --- | --- |"]
    for name in names:
        meaning = _COLUMNS.get(name)
        if meaning is None:
            towards = name.removeprefix("log_weight").removeprefix("_")
            meaning = "ln p(target) / p(corpus), before temperature" + (f"; towards `{towards}`" if towards else "")
        rows.append(f"| `{name}` | {meaning} |")
    return "\n".join([*rows, "| every other column | as the input had it |"])


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.2%}".replace("%", " %") if whole else "-"
