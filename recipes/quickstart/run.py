# /// script
# dependencies = ["hf-curation[report]"]
# ///
"""Refine two inputs that every machine has, draw a report of each, and print what changed: the body of `make demo`.

python recipes/quickstart/run.py                               # the pages beside this file, and installed packages
python recipes/quickstart/run.py --input FILE|FOLDER|hf://...  # your documents instead
python recipes/quickstart/run.py --output demo-output --limit 50

It runs the commands that it prints and reads their `--json`; nothing here refines or scores anything. Its own two
inputs take seconds and are refined afresh each time. Yours go on where a run stopped, unless `--overwrite` is given.
"""

import argparse
import io
import json
import re
import shlex
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME_WIDTH, CELL_WIDTH = 18, 11


@dataclass(frozen=True, slots=True)
class Job:
    """One input to refine, and where its output goes."""

    name: str
    source: str
    """A path or `hf://...`."""
    refined: Path
    html: Path
    overwrite: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the commands reported on one job."""

    job: Job
    report: dict[str, Any]
    """The JSON of `hf-curation report`."""
    seconds: float


def main(argv: list[str] | None = None) -> int:
    args = parse_arguments(argv)
    jobs = [own_job(args.input, args.output, overwrite=args.overwrite)] if args.input else demo_jobs(args.output)
    try:
        outcomes = [run_job(job, args.limit) for job in jobs]
    except CommandFailedError as error:
        return error.code
    print()
    for line in table(outcomes):
        print(line)
    return 0


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Refine documents with the embedded refiner and draw reports.")
    parser.add_argument(
        "--input", help="a file, a folder or hf://datasets/...; default: pages and package descriptions"
    )
    parser.add_argument("--output", type=Path, default=Path("demo-output"), help="folder (default: demo-output)")
    parser.add_argument("--limit", type=int, help="read at most so many documents of each input")
    parser.add_argument("--overwrite", action="store_true", help="with --input: remove what an earlier run wrote")
    return parser.parse_args(argv)


def demo_jobs(output: Path) -> list[Job]:
    """Write the demo's two inputs as JSONL and return the jobs for them."""
    from quickstart_pages import read_pages

    from datatrove_steps.package_descriptions import package_rows

    inputs = {"pages": read_pages(), "packages": package_rows()}
    return [
        Job(name, write_rows(rows, output / "input" / f"{name}.jsonl"), output / name, output / f"{name}.html", True)
        for name, rows in inputs.items()
    ]


def write_rows(rows: Iterable[dict[str, Any]], path: Path) -> str:
    """Write one JSON object a line and return the path as a string."""
    from hf_curation.files.atomic import write_whole

    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    return str(path)


def own_job(source: str, output: Path, *, overwrite: bool) -> Job:
    """Return the job for an input of the user's, named after the last part of its address."""
    last = source.rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^\w-]+", "-", re.sub(r"(\.(jsonl|json|parquet|gz|zst|bz2))+$", "", last)).strip("-") or "input"
    return Job(name, source, output / name, output / f"{name}.html", overwrite)


class CommandFailedError(RuntimeError):
    """A command ended with an exit code other than 0, and has said why on stderr."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code


def run_job(job: Job, limit: int | None) -> Outcome:
    """Refine one input and write its report."""
    started = time.monotonic()
    refine = ["refine", job.source, str(job.refined), "--keep-original"]
    refine += [] if limit is None else ["--limit", str(limit)]
    refine += ["--overwrite"] if job.overwrite else []
    call(refine)
    report = call(["report", str(job.refined), "--html", str(job.html), "--title", f"Refined: {job.name}"])
    return Outcome(job, report, time.monotonic() - started)


def call(arguments: list[str]) -> dict[str, Any]:
    """Run one `hf-curation` command in this process and return what it prints with `--json`."""
    from hf_curation.cli.main import main as hf_curation

    print("$ hf-curation", shlex.join(arguments), flush=True)
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = hf_curation([*arguments, "--json"])
    if code:
        raise CommandFailedError(code)
    return dict(json.loads(printed.getvalue()))


def table(outcomes: list[Outcome]) -> Iterator[str]:
    """Yield the lines of the summary: a row per input, then word F1 by page type where there are gold texts."""
    yield row("", "documents", "kept", "edited", "dropped", "other", "removed", "seconds")
    for outcome in outcomes:
        report, counts = outcome.report, outcome.report["outcomes"]
        other = counts["fallback"] + counts["quarantined"]
        share = report["share_of_chars_removed"]
        removed = "unknown" if share is None else f"{share:.1%}"
        numbers = (report["documents"], counts["kept"], counts["edited"], counts["dropped"], other)
        yield row(outcome.job.name, *(f"{number:,}" for number in numbers), removed, f"{outcome.seconds:.1f}")
    for outcome in outcomes:
        yield from score_table(outcome)
    yield ""
    yield "removed: share of characters, with those of dropped documents; other: kept as a fallback, or quarantined"
    for outcome in outcomes:
        yield f"{outcome.job.name}: refined text in {outcome.job.refined}, report in {outcome.job.html}"


def score_table(outcome: Outcome) -> Iterator[str]:
    """Yield word F1 before and after, over all pages and by type; nothing where no page has a gold text."""
    total = outcome.report["word_f1"]
    if not total["pages"]:
        return
    yield ""
    yield row(f"{outcome.job.name}: word F1", "pages", "before", "after")
    kinds = outcome.report["page_types"].items()
    for name, score in [("all", total), *((kind, sums["word_f1"]) for kind, sums in kinds)]:
        if score["pages"]:
            yield row(f"  {name}", str(score["pages"]), figure(score["before"]), figure(score["after"]))
    yield "  A dropped page counts as empty text: F1 is 1 where the gold text is empty too, else 0."


def row(first: str, *cells: str) -> str:
    """Return one line of a table: a name to the left, figures to the right."""
    return f"{first:<{NAME_WIDTH}}" + "".join(f"{cell:>{CELL_WIDTH}}" for cell in cells)


def figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


if __name__ == "__main__":
    sys.exit(main())
