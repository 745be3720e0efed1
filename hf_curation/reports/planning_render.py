"""The planning page: what a billion and a trillion tokens cost by the rates that were measured, formulas included."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hf_curation.reports.planning import FORMULAS, Assumptions, Plan, Rate
from hf_curation.reports.render import MAX_TITLE, assets, load_template
from hf_curation.reports.visible import clip

_BYTES: Final = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_TOKENS: Final = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))


@dataclass(frozen=True, slots=True)
class PlanningPage:
    """What the page shows."""

    plans: Sequence[Plan]
    rates: Sequence[Rate]
    given: Assumptions
    origins: Sequence[str]
    """What was measured, in words."""
    tokens_origin: str
    """Where tokens a document are from."""


def render_planning(page: PlanningPage, *, title: str | None = None) -> bytes:
    """Return the page as one HTML file, without times, paths or host names.

    Raises:
        ImportError: if Jinja2 is absent, with the command that installs it.
    """
    template = load_template("planning.html.j2")
    html: bytes = template.render(
        title=clip(title or "What it would cost", MAX_TITLE),
        origins=list(page.origins),
        tiles=[_tile(plan, page.given) for plan in page.plans],
        names=[in_tokens(plan.tokens) for plan in page.plans],
        rates=[_rate_row(page, i) for i in range(len(page.rates))],
        totals=[(figure(plan.core_hours), hours(plan.hours)) for plan in page.plans],
        gpus=[_gpu_row(page, i) for i in range(len(page.plans[0].gpus))],
        artifacts=[_hub_row(page, i) for i in range(len(page.plans[0].hub))],
        disks=[in_bytes(plan.disk) for plan in page.plans],
        formulas=FORMULAS,
        commits_per_hour=page.given.commits_per_hour,
        files_per_folder=f"{page.given.files_per_folder:,}",
        given=_given(page),
        **assets("report.css"),
    ).encode("utf-8", "replace")
    return html


def in_bytes(value: float) -> str:
    """Return a number of bytes in words, decimal."""
    for unit, name in _BYTES:
        if value >= unit:
            return f"{figure(value / unit)} {name}"
    return f"{value:.0f} B"


def in_tokens(value: float) -> str:
    """Return a number of tokens in words."""
    for unit, name in _TOKENS:
        if value >= unit:
            return f"{value / unit:g} {name}"
    return f"{value:,.0f}"


def figure(value: float) -> str:
    """Return a number to three digits; large ones whole."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 0.001 or value == 0 else f"{value:.1e}"


def hours(value: float) -> str:
    """Return hours as what is read best."""
    if value < 1 / 60:
        return f"{figure(value * 3600)} s"
    if value < 1:
        return f"{figure(value * 60)} min"
    return f"{figure(value)} h" if value < 72 else f"{figure(value / 24)} days"


def _tile(plan: Plan, given: Assumptions) -> dict[str, str]:
    label = f"core-hours for {in_tokens(plan.tokens)} tokens"
    note = f"{hours(plan.hours)} on {given.workers:,} workers · {in_bytes(plan.disk)} on disk"
    return {"value": figure(plan.core_hours), "label": label, "note": note}


def _rate_row(page: PlanningPage, index: int) -> dict[str, Any]:
    rate = page.rates[index]
    a_document = rate.core_seconds / rate.documents
    costs = [plan.stages[index] for plan in page.plans]
    return {
        "stage": rate.stage,
        "us": figure(a_document * 1e6),
        "rate": figure(1 / a_document) if a_document else "–",
        "costs": [(figure(cost.core_hours), hours(cost.hours)) for cost in costs],
    }


def _gpu_row(page: PlanningPage, index: int) -> dict[str, Any]:
    costs = [plan.gpus[index] for plan in page.plans]
    return {
        "what": costs[0].what,
        "costs": [(f"{cost.flops:.2e}", figure(cost.gpu_hours), hours(cost.days * 24)) for cost in costs],
    }


def _hub_row(page: PlanningPage, index: int) -> dict[str, Any]:
    costs = [plan.hub[index] for plan in page.plans]
    return {
        "artifact": costs[0].artifact,
        "per_token": f"{costs[0].num_bytes / page.plans[0].tokens:.2f}",
        "costs": [
            (in_bytes(one.num_bytes), f"{one.files:,}", f"{one.folders:,}", f"{one.commits:,}", hours(one.hours))
            for one in costs
        ],
    }


def _given(page: PlanningPage) -> list[tuple[str, str]]:
    """Return every figure that was not measured, or was derived, with its value."""
    given = page.given
    prompt = "" if given.prompt_tokens is not None else " (1.25 x tokens a document + 200)"
    return [
        ("tokens a document", f"{figure(given.tokens_per_document)} ({page.tokens_origin})"),
        ("workers", f"{given.workers:,} cores"),
        ("GPUs", f"{given.gpus:,}"),
        ("peak FLOP/s of a GPU", f"{given.gpu_flops:.3g}"),
        ("utilisation", f"{given.utilization:.0%}"),
        ("parameters of the refiner", f"{given.refiner_parameters:.3g}"),
        ("prompt tokens a document", f"{figure(given.prompt_tokens_per_document)}{prompt}"),
        ("output tokens a document", figure(given.output_tokens)),
        ("parameters of the model", f"{given.model_parameters:.3g}"),
        ("share of metadata tokens", f"{given.metadata_share:.1%}"),
        ("bytes a file on the Hub", in_bytes(given.file_bytes)),
        ("files a commit, a folder", f"{given.files_per_commit:,}, {given.files_per_folder:,}"),
        ("commits an hour", f"{given.commits_per_hour:,}"),
    ]
