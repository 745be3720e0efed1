"""A finished run in figures and in words: `summary.json` and the `README.md` that makes its folder a dataset.

Both follow from the manifests alone and hold no time, host or path, so that equal runs have equal ones. The YAML head
of the README names two configurations, `default` (the documents to train on) and `dropped`, for
`datasets.load_dataset(FOLDER)` and for the Hub's viewer; logs and quarantined records are none.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from hf_curation.files.accounts import StageAccount, add_stages
from hf_curation.files.left_out import left_out_in_words
from hf_curation.files.manifest import Manifest
from hf_curation.files.reading import BAD_SHARD_REASONS

_COLUMNS = """| column | meaning |
| --- | --- |
| `original_sha256` | of the text as it came |
| `doc_program`, `chunk_program` | what was executed; run on the original text it gives this text |
| `refine_status` | `kept`, `edited`, `dropped` or `fallback` (kept for the reasons in `refine_fallbacks`) |
| `refine_rejected` | a reason for every call that was not executed |
| `extra_metadata` | JSON: what the input had and no column holds |
"""


def summarise(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """Return the figures of a whole run, as plain data.

    `documents` adds up: `in` = `kept` + `edited` + `fallback` + `dropped` + `quarantined`.
    """
    first = manifests[0]
    stages = add_stages(manifest.stages for manifest in manifests)
    return {
        **run_facts(first),
        "refiners": first.refiners,
        "documents": _documents(stages),
        "bad_shards": bad_shards(manifests),
        "chars": _chars(stages),
        "lines_removed": _total(stages, "lines_removed"),
        "calls_applied": _total(stages, "calls_applied"),
        "prompt_tokens": _total(stages, "prompt_tokens"),
        "output_tokens": _total(stages, "output_tokens"),
        **{kind: _by_reason(stages, kind) for kind in ("dropped", "quarantined", "fallbacks", "rejected")},
        "stages": {name: stage.to_dict() for name, stage in stages.items()},
    }


def run_facts(manifest: Manifest) -> dict[str, Any]:
    """Return what the summary of any run begins with: what all ranks' manifests have in common."""
    return {
        "schema_version": manifest.schema_version,
        "step": manifest.step,
        "config": manifest.config,
        "versions": manifest.versions,
        "world_size": manifest.world_size,
        "input_fingerprint": manifest.input_fingerprint,
    }


def bad_shards(manifests: Iterable[Manifest]) -> dict[str, str]:
    """Return name -> reason of the input files that were left out as a whole."""
    shares = [share for manifest in manifests for share in manifest.inputs]
    return dict(sorted((share.name, share.left_out) for share in shares if share.left_out))


def readme(summary: dict[str, Any], *, has_dropped: bool) -> str:
    """Return the README of a run's folder: a dataset card in Markdown with its YAML head."""
    documents, chars, version = summary["documents"], summary["chars"], summary["versions"]["hf_curation"]
    head = ["---", "configs:", "- config_name: default", "  data_files: data/*.parquet", "  default: true"]
    if has_dropped:
        head += ["- config_name: dropped", "  data_files: dropped/*.parquet"]
    head += ["tags:", "- hf-curation", "- datatrove", "---"]
    rows = [f"| {name} | {number:,} | {_percent(number, documents['in'])} |" for name, number in documents.items()]
    refiners = ", ".join(f"{name} ({stage})" for stage, name in sorted(summary["refiners"].items()))
    parts = [
        "\n".join(head),
        "# Refined documents",
        f"`{summary['config']['source']}`, refined by {refiners} with hf-curation {version}.",
        "| documents | number | share |\n| --- | ---: | ---: |\n" + "\n".join(rows),
        f"{chars['in']:,} characters came in; edits removed {chars['removed']:,} "
        f"({_percent(chars['removed'], chars['in'])}), {chars['dropped']:,} went with dropped documents.",
        *told_bad_shards(summary),
        *_reasons(summary),
        "## Columns",
        _COLUMNS + "| every other column | as the input had it |",
        "`manifests/` lists every file with its SHA-256 and accounts for every document; `summary.json` adds them up.",
    ]
    return "\n\n".join(parts) + "\n"


def told_bad_shards(summary: dict[str, Any]) -> list[str]:
    """Return the paragraph of a card about input files that were left out; nothing where there are none."""
    return left_out_in_words({f"`{name}`": BAD_SHARD_REASONS[why] for name, why in summary["bad_shards"].items()})


def _documents(stages: dict[str, StageAccount]) -> dict[str, int]:
    names = list(stages)
    status = stages[names[-1]].status
    known = {name: status[name] for name in ("kept", "edited", "fallback")}
    return {
        "in": stages[names[0]].num_in,
        **known,
        **{name: number for name, number in sorted(status.items()) if name not in known},
        "dropped": sum(stage.num_dropped for stage in stages.values()),
        "quarantined": sum(stage.num_quarantined for stage in stages.values()),
    }


def _chars(stages: dict[str, StageAccount]) -> dict[str, int]:
    names = list(stages)
    totals = {name: _total(stages, f"chars_{name}") for name in ("removed", "dropped", "quarantined")}
    return {
        "in": stages[names[0]].totals["chars_out"],
        "out": stages[names[-1]].totals["chars_out"],
        **totals,
    }


def _total(stages: dict[str, StageAccount], key: str) -> int:
    return sum(stage.totals[key] for stage in stages.values())


def _by_reason(stages: dict[str, StageAccount], kind: str) -> dict[str, int]:
    """Return reason -> number over all stages, the most frequent first."""
    counts: Counter[str] = Counter()
    for stage in stages.values():
        counts.update(getattr(stage, kind))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _reasons(summary: dict[str, Any]) -> list[str]:
    lines = []
    for kind in ("dropped", "quarantined", "fallbacks", "rejected"):
        if summary[kind]:
            top = ", ".join(f"`{reason}` {number:,}" for reason, number in list(summary[kind].items())[:6])
            lines.append(f"- {kind}: {top}")
    return ["## Reasons", "\n".join(lines)] if lines else []


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:.1%}".replace("%", " %") if whole else "-"
