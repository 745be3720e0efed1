"""`hf-curation report OUTPUT --html FILE`: what a run did and why, as one file for a browser.

Of a refining run: what it removed. Of a selection: what it chose. The folder's plan says which it is.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_curation.reports.gather import RunReport
    from hf_curation.reports.selection import SelectionReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `report` takes."""
    parser.add_argument(
        "output", metavar="OUTPUT", type=Path, help="the folder that `hf-curation refine` or `select` wrote"
    )
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the report here; one file, under 3 MB")
    parser.add_argument(
        "--sample", metavar="N", type=int, help="pages shown (30, at most 200; of a selection 8 of each kind)"
    )
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of the draw of these pages (0)")
    parser.add_argument("--title", metavar="TEXT", help="heading of the report")
    parser.add_argument("--json", action="store_true", help="print the statistics as JSON")


def run(args: argparse.Namespace) -> int:
    """Read the run once; write the report, print its figures."""
    if args.html is None and not args.json:
        raise ValueError("nothing to do: give --html FILE, --json, or both")
    if args.html is None and args.sample is not None:
        raise ValueError("--sample chooses pages for --html FILE; without that there are none to choose")
    from hf_curation.reports.selection import is_selection

    return (_report_selection if is_selection(args.output) else _report_refining)(args)


def _report_refining(args: argparse.Namespace) -> int:
    from hf_curation.reports.gather import DEFAULT_SAMPLE, gather_report
    from hf_curation.reports.render import load_template, render_report

    if args.html is not None:
        load_template()  # says that Jinja2 is absent before a long read, not after it
    num_pages = 0 if args.html is None else DEFAULT_SAMPLE if args.sample is None else args.sample
    report = gather_report(args.output, sample=num_pages, seed=args.seed)
    html = None if args.html is None else render_report(report, title=args.title)
    return _hand_over(args, html, report.as_dict(), _summary(report))


def _report_selection(args: argparse.Namespace) -> int:
    from hf_curation.reports.render import load_template
    from hf_curation.reports.selection import DEFAULT_DOCUMENTS, gather_selection
    from hf_curation.reports.selection_render import render_selection

    if args.seed:
        raise ValueError("--seed draws pages of a refining run; the documents of a selection were drawn while it ran")
    if args.html is not None:
        load_template()
    documents = DEFAULT_DOCUMENTS if args.sample is None else args.sample
    report = gather_selection(args.output, documents=documents)
    html = None if args.html is None else render_selection(report, title=args.title)
    return _hand_over(args, html, report.as_dict(), _selection_summary(report))


def _hand_over(args: argparse.Namespace, html: bytes | None, values: dict[str, Any], summary: Iterator[str]) -> int:
    from hf_curation.files.atomic import write_whole

    if html is not None:
        args.html.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.html, html)
    if args.json:
        print(json.dumps(values, indent=2, ensure_ascii=False))
    print("\n".join(summary), file=sys.stderr if args.json else sys.stdout)
    if html is not None:
        print(f"Hint: open {args.html} in a browser", file=sys.stderr)
    return 0


def _selection_summary(report: "SelectionReport") -> Iterator[str]:
    from hf_curation.reports.selection_words import distance_verdict, leak_in_words

    groups = report.evidence.groups
    chosen, raw = groups["chosen"], groups["raw"]
    share = chosen.num_tokens / raw.num_tokens if raw.num_tokens else 0.0
    yield f"✓ {chosen.num_documents:,} of {raw.num_documents:,} documents chosen, {share:.2%} of the tokens"
    yield f"  {distance_verdict(report.evidence)[1]}"
    if report.evidence.leakage is not None:
        yield f"  {leak_in_words(report.evidence)}"


def _summary(report: "RunReport") -> Iterator[str]:
    from hf_curation.reports.statistics import OUTCOMES

    stats = report.stats
    share = stats.share_of_chars_removed
    removed = "" if share is None else f", {share:.1%} of their characters removed"
    yield f"✓ {stats.num_documents:,} documents{removed}"
    yield "  " + ", ".join(f"{stats.outcomes[name]:,} {name}" for name in OUTCOMES if stats.outcomes[name])
    yield from (f"  warning: {warning}" for warning in report.facts.warnings(stats))
