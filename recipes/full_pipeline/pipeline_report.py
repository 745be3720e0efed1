"""One HTML file: what every stage did to documents, characters and tokens, and what came of it for models.

The reports of refining and selecting and the planning page are inside, each in a frame with a content policy of its
own, and lie beside it as `refined.html`, `selected.html` and `plan.html`. Tokens before tokenizing are estimated from
the characters of a token there.
"""

import json
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline_config import STAGES, Config

from hf_curation.files.atomic import write_whole

if TYPE_CHECKING:
    from pipeline_paths import Paths

_FLOW: Final = ("read", "refine", "select", "tokenize")


def draw_report(config: Config, paths: "Paths") -> dict[str, Any]:
    """Write `report.html` of everything that is finished; return where it is."""
    from jinja2 import Environment, FileSystemLoader

    records = {name: paths.records.read(name) for name in STAGES}
    facts = {name: record["facts"] for name, record in records.items() if record is not None and config.is_in(name)}
    parts = stage_reports(paths, facts)
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
    html = environment.get_template("report.html.j2").render(
        flow=flow_of(facts),
        facts=facts,
        seconds={name: record["seconds"] for name, record in records.items() if record is not None},
        missing=[name for name in STAGES[:-2] if name not in facts],
        evaluation=facts.get("evaluate", {}).get("scores", {}),
        comparison=facts.get("compare", {}),
        parts={title: escape(text) for title, text in parts.items()},
        settings=(paths.output / "config.yaml").read_text(encoding="utf-8"),
        name=paths.output.name,
    )
    write_whole(paths.output / "report.html", html.encode())
    return {"report": "report.html", "bytes": len(html.encode())}


def flow_of(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for every stage that passes documents on: in, out and share of each measure, and reasons."""
    store = facts.get("tokenize", {})
    per_token = store["out"]["chars"] / store["tokens"] if store.get("tokens") else None
    rows = []
    for name in _FLOW:
        if name not in facts or (name == "read" and "out" not in facts[name]):
            continue
        before, after = (dict(facts[name].get(key, {})) for key in ("in", "out"))
        for side in (before, after):
            if per_token and "chars" in side:
                side["tokens"] = round(side["chars"] / per_token)
        counts = {reason: n for reason, n in facts[name].get("counts", {}).items() if n}
        rows.append({"name": name, "in": before, "out": after, "counts": counts, "shares": _shares(before, after)})
    return rows


def _shares(before: dict[str, int], after: dict[str, int]) -> dict[str, float]:
    return {name: after[name] / before[name] for name in after if before.get(name)}


def stage_reports(paths: "Paths", facts: dict[str, Any]) -> dict[str, str]:
    """Write the reports of refining and selecting beside ours; return title -> HTML."""
    found = {}
    for stage, title in (("refine", "What refining did"), ("select", "What was selected")):
        if stage not in facts:
            continue
        html = _refining(paths.folder(stage)) if stage == "refine" else _selection(paths.folder(stage))
        write_whole(paths.output / f"{paths.folder(stage).name}.html", html)
        found[title] = html.decode()
    if {"refine", "tokenize"} & facts.keys():
        html = _planning([paths.folder(stage) for stage in ("refine", "select", "tokenize") if stage in facts])
        write_whole(paths.output / "plan.html", html)
        found["What a billion and a trillion tokens would cost"] = html.decode()
    return found


def _planning(folders: list[Path]) -> bytes:
    from hf_curation.reports.planning import BILLION, TRILLION, Assumptions, make_plan
    from hf_curation.reports.planning_rates import read_run, tokens_per_document
    from hf_curation.reports.planning_render import PlanningPage, render_planning

    runs = [read_run(folder) for folder in folders]
    figure, origin = tokens_per_document(runs)
    given, rates = Assumptions(tokens_per_document=figure), [rate for run in runs for rate in run.rates]
    plans = [make_plan(tokens, rates, given) for tokens in (BILLION, TRILLION)]
    return render_planning(PlanningPage(plans, rates, given, [run.origin for run in runs], origin))


def _refining(folder: Path) -> bytes:
    from hf_curation.reports.gather import DEFAULT_SAMPLE, gather_report
    from hf_curation.reports.render import render_report

    return render_report(gather_report(folder, sample=DEFAULT_SAMPLE, seed=0))


def _selection(folder: Path) -> bytes:
    from hf_curation.reports.selection import DEFAULT_DOCUMENTS, gather_selection
    from hf_curation.reports.selection_render import render_selection

    return render_selection(gather_selection(folder, documents=DEFAULT_DOCUMENTS))


def summary_of(paths: "Paths") -> str:
    """Return the last line of a run: JSON of what came of every finished stage but the report."""
    facts = {name: paths.records.facts(name) for name in STAGES[:-2] if paths.records.read(name)}
    return json.dumps({"output": str(paths.output), **facts})
