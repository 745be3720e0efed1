"""`hf-curation report OUTPUT --html FILE`: what a refining run removed and why, as one file for a browser."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hf_curation.reports.gather import RunReport


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what `report` takes."""
    parser.add_argument("output", metavar="OUTPUT", type=Path, help="the folder that `hf-curation refine` wrote")
    parser.add_argument("--html", metavar="FILE", type=Path, help="write the report here; one file, under 3 MB")
    parser.add_argument("--sample", metavar="N", type=int, help="pages shown with their edits (30; at most 200)")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="of the draw of these pages (0)")
    parser.add_argument("--title", metavar="TEXT", help="heading of the report")
    parser.add_argument("--json", action="store_true", help="print the statistics as JSON")


def run(args: argparse.Namespace) -> int:
    """Read the run once; write the report, print its figures."""
    if args.html is None and not args.json:
        raise ValueError("nothing to do: give --html FILE, --json, or both")
    if args.html is None and args.sample is not None:
        raise ValueError("--sample chooses pages for --html FILE; without that there are none to choose")
    from hf_curation.files.atomic import write_whole
    from hf_curation.reports.gather import DEFAULT_SAMPLE, gather_report
    from hf_curation.reports.render import load_template, render_report

    if args.html is not None:
        load_template()  # says that Jinja2 is absent before a long read, not after it
    num_pages = 0 if args.html is None else DEFAULT_SAMPLE if args.sample is None else args.sample
    report = gather_report(args.output, sample=num_pages, seed=args.seed)
    if args.html is not None:
        html = render_report(report, title=args.title)
        args.html.parent.mkdir(parents=True, exist_ok=True)
        write_whole(args.html, html)
    if args.json:
        print(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    print("\n".join(_summary(report)), file=sys.stderr if args.json else sys.stdout)
    if args.html is not None:
        print(f"Hint: open {args.html} in a browser", file=sys.stderr)
    return 0


def _summary(report: "RunReport") -> Iterator[str]:
    from hf_curation.reports.statistics import OUTCOMES

    stats = report.stats
    share = stats.share_of_chars_removed
    removed = "" if share is None else f", {share:.1%} of their characters removed"
    yield f"✓ {stats.num_documents:,} documents{removed}"
    yield "  " + ", ".join(f"{stats.outcomes[name]:,} {name}" for name in OUTCOMES if stats.outcomes[name])
    yield from (f"  warning: {warning}" for warning in report.facts.warnings(stats))
