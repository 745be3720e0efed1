"""`hf-curation plan RUN...`: what a billion and a trillion tokens would cost, by the rates of finished runs."""

import argparse
import sys
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_curation.reports.planning import Assumptions, Plan
    from hf_curation.reports.planning_rates import Measured

_EPILOG = """examples:
  hf-curation plan refined chosen token-store --workers 512 --html plan.html
  hf-curation plan --scaling scaling.txt --tokens 15e12 --refiner-parameters 0.7e9
"""
_OPTIONS = {
    "tokens_per_document": "tokens a document (default: counted by a token store, else characters / 4)",
    "workers": "cores at work (64)",
    "gpus": "GPUs at work (8)",
    "gpu_flops": "peak FLOP/s of one GPU (989e12, an H100's dense bfloat16)",
    "utilization": "share of the peak that is reached (0.4)",
    "refiner_parameters": "of a causal LM that writes programs (0.35e9)",
    "prompt_tokens": "that it reads of a document (default: of the run, else 1.25 x tokens a document + 200)",
    "output_tokens": "that it writes for a document (default: of the run, else 60)",
    "model_parameters": "of the model that is trained (1.6e9)",
    "metadata_share": "tokens of metadata for each token of text (0.02)",
    "file_bytes": "of a file on the Hub (5e9)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("runs", metavar="RUN", type=Path, nargs="*", help="OUTPUT of refine, select or tokenize")
    parser.add_argument("--scaling", metavar="FILE", type=Path, help="what recipes/benchmarks/scaling.py printed")
    parser.add_argument("--tokens", metavar="N", type=float, nargs="+", default=[1e9, 1e12], help="(1e9 1e12)")
    for name, text in _OPTIONS.items():
        kind = int if name in {"workers", "gpus"} else float
        parser.add_argument(f"--{name.replace('_', '-')}", metavar="N", type=kind, help=text)
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the page with its formulas here")
    parser.add_argument("--title", metavar="TEXT", help="heading of the page")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")


def run(args: argparse.Namespace) -> int:
    """Read the rates, print what they come to."""
    if bool(args.runs) == (args.scaling is not None):
        raise ValueError("rates are of finished runs, or of what scaling.py printed, --scaling FILE: give one of them")
    from hf_curation.files.atomic import write_whole
    from hf_curation.reports.planning import make_plan, merge_rates
    from hf_curation.reports.planning_rates import read_run, read_scaling
    from hf_curation.reports.planning_render import PlanningPage, render_planning

    found = [read_run(folder) for folder in args.runs] or [read_scaling(args.scaling)]
    given, origin = _assumptions(args, found)
    rates = merge_rates(rate for one in found for rate in one.rates)
    plans = [make_plan(tokens, rates, given) for tokens in args.tokens]
    if args.html is not None:
        page = PlanningPage(plans, rates, given, [one.origin for one in found], origin)
        args.html.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.html, render_planning(page, title=args.title))
        print(f"Hint: open {args.html} in a browser", file=sys.stderr)
    if args.json:
        import orjson

        body = {"given": asdict(given), "rates": [asdict(rate) for rate in rates]}
        print(orjson.dumps(body | {"plans": [asdict(plan) for plan in plans]}).decode())
    else:
        _print(plans, given, origin)
    return 0


def _assumptions(args: argparse.Namespace, found: "list[Measured]") -> "tuple[Assumptions, str]":
    """Return what was said, else what runs counted, else the defaults; and where tokens a document are from."""
    from hf_curation.reports.planning import Assumptions
    from hf_curation.reports.planning_rates import tokens_per_document

    values: dict[str, Any] = {}
    for one in (one for one in found if one.refiner_tokens.total()):
        values = {name: one.refiner_tokens[name] / one.documents for name in ("prompt_tokens", "output_tokens")}
    names = [one.name for one in fields(Assumptions) if one.name in _OPTIONS]
    values |= {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    origin = "as given"
    if "tokens_per_document" not in values:
        values["tokens_per_document"], origin = tokens_per_document(found)
    return Assumptions(**values), origin


def _print(plans: "list[Plan]", given: "Assumptions", origin: str) -> None:
    from hf_curation.reports.planning_render import figure, hours, in_bytes, in_tokens

    print(f"{'':<32}" + "".join(f"{in_tokens(plan.tokens) + ' tokens':>22}" for plan in plans))
    rows = [("documents", [f"{plan.documents:,.0f}" for plan in plans])]
    for index, stage in enumerate(plans[0].stages):
        rows.append((f"core-hours: {stage.stage}", [figure(plan.stages[index].core_hours) for plan in plans]))
    rows.append(("core-hours in all", [figure(plan.core_hours) for plan in plans]))
    rows.append((f"on {given.workers:,} workers", [hours(plan.hours) for plan in plans]))
    for index, gpu in enumerate(plans[0].gpus):
        rows.append((f"GPU-hours: {gpu.what}", [figure(plan.gpus[index].gpu_hours) for plan in plans]))
    for index, hub in enumerate(plans[0].hub):
        rows.append((hub.artifact, [in_bytes(plan.hub[index].num_bytes) for plan in plans]))
        rows.append(("  commits to the Hub", [f"{plan.hub[index].commits:,}" for plan in plans]))
    for name, cells in rows:
        print(f"{name:<32}" + "".join(f"{cell:>22}" for cell in cells))
    print(f"{figure(given.tokens_per_document)} tokens a document: {origin}", file=sys.stderr)
