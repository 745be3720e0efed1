"""What is in a training set, what was left out and why, in figures; and the dataset card that says so.

The card shows a few examples of each kind, shortened, so that a reader sees the labels before believing the counts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, Final

from hf_curation.programs.model import Dialect, RemoveLines
from hf_curation.programs.parse import parse_program
from hf_curation.refiners.training.examples import ORIGINS, Example
from hf_curation.refiners.training.gates import EXCLUSIONS
from hf_curation.refiners.training.make import TrainingSet
from hf_curation.refiners.training.settings import TrainingDataConfig
from hf_curation.refiners.training.splits import SPLITS

BEGIN: Final = "<!-- hf-curation: written when the set was made -->"
END: Final = "<!-- hf-curation: end -->"
_SHOWN_LINES: Final = 14
_SHOWN_CHARS: Final = 90
_QUANTILES: Final = (0.5, 0.9, 1.0)


def describe_set(made: TrainingSet, config: TrainingDataConfig, *, skipped: Mapping[str, int]) -> dict[str, Any]:
    """Return the figures of a set, ready for JSON.

    Args:
        made: The set.
        config: What it was made with.
        skipped: Records of the source that were no pages, by reason.
    """
    examples, account = made.examples, made.account
    figures: dict[str, Any] = {
        "settings": public_settings(config),
        "pages": account.pages,
        "records_skipped": dict(skipped),
        "examples": len(examples),
        "by_split": {split: _of_split([e for e in examples if e.split == split]) for split in SPLITS},
        "operations": _operations(examples),
        "program_chars": _quantiles([len(e.program) for e in examples]),
        "user_chars": _quantiles([len(e.user) for e in examples]),
        "removed_line_share": _removed_line_share(examples),
        "pages_labelled": dict(account.labelled),
        "pages_excluded": {kind: dict(reasons.most_common()) for kind, reasons in account.pages_excluded.items()},
        "windows": account.windows,
        "windows_excluded": dict(account.windows_excluded.most_common()),
        "domains_in_two_splits": _shared_domains(examples),
    }
    if made.cost is not None:
        teacher = config.teacher
        price = made.cost.price(teacher.per_million_in, teacher.per_million_out)
        figures["teacher"] = {"model": teacher.model, **made.cost.as_dict(), "price": round(price, 4)}
    return figures


def public_settings(config: TrainingDataConfig) -> dict[str, Any]:
    """Return the settings that say what a set is: no address, no path of a machine, no name of a key."""
    settings = asdict(config)
    for name in ("base_url", "api_key_env", "cache", "prompts"):
        del settings["teacher"][name]
    del settings["workers"]
    tokenizer, system = config.student.tokenizer, config.student.system
    settings["student"]["system"] = system and system.name
    if tokenizer is not None and Path(tokenizer).exists():
        settings["student"]["tokenizer"] = Path(tokenizer).name
    return settings


def card_text(figures: Mapping[str, Any], examples: Sequence[Example], config: TrainingDataConfig) -> str:
    """Return our part of the dataset card, between two marks; what stands around it is not ours."""
    lines = [
        BEGIN,
        "## What is in it",
        "",
        "Windows of web pages, each with the refinement program that a small language model should write for it; made "
        "with hf-curation (`hf-curation refiner make-data`). Prompt format "
        + ", ".join(f"`{name}`" for name in (config.student.preset, config.student.document_preset) if name)
        + ". Splits share no registered domain; pages without a usable address are in `train`. All settings are in "
        "`report.json`.",
        "",
        *_table(("split", "stage", "examples", "keep", "edit", "drop", "domains"), _split_rows(figures)),
        *_table(("origin", "examples", ""), _origin_rows(examples)),
        *_table(("operation", "calls"), ((name, f"{n:,}") for name, n in figures["operations"].items())),
        "The text of the pages belongs to their sites. Say where yours comes from before you share this set.",
        "",
        "## What was left out",
        "",
        *_table(("pages", "reason", "number", ""), _page_rows(figures)),
        *_table(("windows: reason", "number", ""), _window_rows(figures)),
        *_teacher_lines(figures),
        "## Examples",
        "",
        *_shown(examples),
        END,
        "",
    ]
    return "\n".join(lines)


def _of_split(examples: Sequence[Example]) -> dict[str, Any]:
    stages = sorted({e.stage for e in examples})
    kinds = {stage: dict(sorted(Counter(e.kind for e in examples if e.stage == stage).items())) for stage in stages}
    domains = {e.domain for e in examples if e.domain}
    return {"examples": len(examples), "kinds": kinds, "domains": len(domains)}


def _operations(examples: Iterable[Example]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for example in examples:
        counts.update(type(call).__name__ for call in parse_program(example.program, Dialect(example.dialect)).calls)
    return dict(counts.most_common())


def _removed_line_share(examples: Iterable[Example]) -> float:
    """Return the share of the lines of chunk windows that their programs remove whole."""
    lines = removed = 0
    for example in examples:
        if example.stage == "chunk":
            lines += example.window_text.count("\n") + 1
            calls = parse_program(example.program, Dialect(example.dialect)).calls
            removed += sum(call.end - call.start + 1 for call in calls if isinstance(call, RemoveLines))
    return round(removed / lines, 4) if lines else 0.0


def _shared_domains(examples: Iterable[Example]) -> int:
    splits: dict[str, set[str]] = {}
    for example in examples:
        if example.domain:
            splits.setdefault(example.domain, set()).add(example.split)
    return sum(len(found) > 1 for found in splits.values())


def _quantiles(values: Sequence[int]) -> dict[str, int]:
    ordered = sorted(values)
    return {f"p{int(100 * q)}": ordered[min(int(q * len(ordered)), len(ordered) - 1)] for q in _QUANTILES if ordered}


def _split_rows(figures: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for split, found in figures["by_split"].items():
        for stage, kinds in found["kinds"].items():
            counts = [f"{kinds.get(kind, 0):,}" for kind in ("keep", "edit", "drop")]
            yield (split, stage, f"{sum(kinds.values()):,}", *counts, f"{found['domains']:,}")


def _origin_rows(examples: Iterable[Example]) -> Iterable[tuple[str, ...]]:
    for origin, number in Counter(e.origin for e in examples).most_common():
        yield f"`{origin}`", f"{number:,}", ORIGINS[origin]


def _page_rows(figures: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for kind, reasons in figures["pages_excluded"].items():
        for reason, number in reasons.items():
            yield kind, f"`{reason}`", f"{number:,}", EXCLUSIONS[reason]


def _window_rows(figures: Mapping[str, Any]) -> Iterable[tuple[str, ...]]:
    for reason, number in figures["windows_excluded"].items():
        yield f"`{reason}`", f"{number:,}", EXCLUSIONS[reason]


def _teacher_lines(figures: Mapping[str, Any]) -> list[str]:
    if (teacher := figures.get("teacher")) is None:
        return []
    return [
        "## The teacher",
        "",
        f"`{teacher['model']}`: {teacher['questions']:,} questions ({teacher['from_cache']:,} answered by the cache, "
        f"{teacher['failed']:,} never), {teacher['requests']:,} requests, {teacher['prompt_tokens']:,} tokens read, "
        f"{teacher['output_tokens']:,} written, price {teacher['price']}.",
        "",
    ]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    body = [f"| {' | '.join(row)} |" for row in rows]
    return [f"| {' | '.join(head)} |", "|" + "---|" * len(head), *body, ""] if body else []


def _shown(examples: Sequence[Example]) -> list[str]:
    lines: list[str] = []
    for kind in ("edit", "drop", "keep"):
        for example in islice((e for e in examples if e.kind == kind and e.stage == "chunk"), 1):
            text = example.user.split("\n")
            more = len(text) - _SHOWN_LINES
            shown = [line[:_SHOWN_CHARS] for line in text[:_SHOWN_LINES]] + ([f"... {more} lines"] if more > 0 else [])
            # Four spaces, not a fence: a page may hold fences of its own.
            lines += [
                f"`{kind}`, {ORIGINS[example.origin]}:",
                "",
                *(f"    {line}" for line in shown),
                "",
                "program:",
                "",
            ]
            lines += [*(f"    {line[:_SHOWN_CHARS]}" for line in example.program.split("\n")[:_SHOWN_LINES]), ""]
    return lines
