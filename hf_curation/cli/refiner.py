"""`hf-curation refiner evaluate` and `make-data`: measure refiners on pages with clean text, and make them from such.

Refining pages is `hf-curation refine`; this verb is about the refiner itself. Data goes to stdout, notes to stderr.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from hf_curation.evaluation.gold_pages import GoldPage, PageKeys
    from hf_curation.evaluation.refiner_figures import EvaluationSet, RefinerFigures
    from hf_curation.refiners.base import Refiner

_BOUNDS = ("keep-all", "oracle")
_EPILOG = """examples:
  hf-curation refiner evaluate tagger pages.jsonl.gz
  hf-curation refiner evaluate out/adapter pages.jsonl.gz --preset generic-chunk --split test
  hf-curation refiner evaluate http://localhost:8000/v1 pages.parquet --model NAME --clean-key clean --json
"""
_MAKE_EPILOG = """examples:
  hf-curation refiner make-data pages.jsonl.gz out/data
  hf-curation refiner make-data pages.jsonl.gz out/data --config config.yaml --set noise.untouched=0.3
  hf-curation refiner make-data pages.jsonl.gz out/data --set teacher.labels=[rewrite] \\
      --set teacher.base_url=http://localhost:8000/v1 --set teacher.model=NAME
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs and their arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    what = "score refiners on pages with clean text, beside keeping everything and a line oracle"
    evaluate = actions.add_parser("evaluate", help=what, description=what, epilog=_EPILOG)
    evaluate.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_evaluate(evaluate)
    what = "make training data for a refiner from pages with clean text, or with the help of a teacher"
    make = actions.add_parser("make-data", help=what, description=what, epilog=_MAKE_EPILOG)
    make.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_make_data(make)


def run(args: argparse.Namespace) -> int:
    """Run the sub-verb; return the exit code."""
    return _evaluate(args) if args.action == "evaluate" else _make_data(args)


def add_page_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where in the data the pages, their clean text and their address are."""
    for name, default, what in (
        ("text", "text", "the page as it came"),
        ("clean", "gold_text", "its clean text"),
        ("id", "id", "its id"),
        ("url", "url", "its address"),
    ):
        where = f"column or key (also of `metadata`) of {what} (default: {default})"
        parser.add_argument(f"--{name}-key", default=default, metavar="KEY", help=where)
    parser.add_argument("--limit", type=int, metavar="N", help="read at most so many records")


def page_keys(args: argparse.Namespace) -> "PageKeys":
    """Return the keys that the arguments name."""
    from hf_curation.evaluation.gold_pages import PageKeys

    return PageKeys(text=args.text_key, clean=args.clean_key, id=args.id_key, url=args.url_key)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("refiners", nargs="+", metavar="REFINER", help="tagger, prox-web, folder, org/name, address")
    parser.add_argument("data", metavar="DATA", help="JSONL or Parquet with the page and its clean text")
    parser.add_argument(
        "--doc-refiner",
        metavar="NAME",
        help="who drops pages (default: none; for tagger, prox-web and prox-math their own document stage), or none",
    )
    parser.add_argument("--model", help="the model's name, where the refiner is the address of a server")
    parser.add_argument("--preset", help="the prompt format of a model that brings none")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="of the refiner, such as constrained=true"
    )
    add_page_arguments(parser)
    parser.add_argument("--split", choices=("train", "validation", "test"), help="only pages of these domains")
    parser.add_argument("--test-fold", type=int, default=0, help="of --split: which of five folds is the test (0)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def _add_make_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="DATA", help="JSONL or Parquet; with clean text, or for a teacher")
    parser.add_argument("output", metavar="OUTPUT", help="folder of the set; a teacher's answers stay there")
    parser.add_argument("--config", metavar="FILE", help="YAML file of settings (recipes/train_refiner/config.yaml)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="one setting, over the file's")
    add_page_arguments(parser)
    parser.add_argument("--push", metavar="YOU/DATA", help="upload the set to the Hub when it is made")
    parser.add_argument("--public", action="store_true", help="of --push: a new repository is not private")
    parser.add_argument("--dry-run", action="store_true", help="of --push: say what would be sent, send nothing")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _make_data(args: argparse.Namespace) -> int:
    from pathlib import Path

    from hf_curation.config import resolve
    from hf_curation.evaluation.gold_pages import read_gold_pages
    from hf_curation.files.lock import lock_folder
    from hf_curation.refiners.training import TrainingDataConfig, make_training_set, write_training_set

    if (args.public or args.dry_run) and not args.push:
        raise ValueError("--public and --dry-run are about --push YOU/DATA, which is not given")
    config = resolve(TrainingDataConfig, args.config, [f"--{pair}" for pair in args.set])
    output = Path(args.output).expanduser().absolute()
    skipped: Counter[str] = Counter()
    needs_clean = not config.teacher.labels
    pages = list(
        read_gold_pages(args.data, keys=page_keys(args), limit=args.limit, skipped=skipped, needs_clean=needs_clean)
    )
    with lock_folder(output):
        made = make_training_set(pages, config, answers=output / "answers.sqlite")
        report = write_training_set(made, output, config, skipped=skipped)
    if args.json:
        import orjson

        print(orjson.dumps(report).decode())
    else:
        print("\n".join(_summary(report)))
        print(f"Hint: {output / 'README.md'} shows examples, and what was left out", file=sys.stderr)
    return _push(output, args) if args.push else 0


def _summary(report: dict[str, Any]) -> Iterator[str]:
    yield f"✓ {report['examples']:,} examples from {report['pages']:,} pages"
    for split, found in report["by_split"].items():
        for stage, kinds in found["kinds"].items():
            shown = ", ".join(f"{kind} {number:,}" for kind, number in kinds.items())
            yield f"  {split:<11}{stage:<9} {sum(kinds.values()):>7,}  {shown}"
    left_out = ", ".join(f"{reason} {number:,}" for reason, number in report["windows_excluded"].items())
    yield f"  windows left out: {left_out or 'none'}"
    for kind, reasons in report["pages_excluded"].items():
        yield f"  pages without {kind} labels: " + ", ".join(f"{reason} {n:,}" for reason, n in reasons.items())
    if (teacher := report.get("teacher")) is not None:
        yield (
            f"  teacher: {teacher['requests']:,} requests, {teacher['prompt_tokens']:,} tokens read, "
            f"{teacher['output_tokens']:,} written; {teacher['from_cache']:,} answers from the cache"
        )


def _push(output: "Path", args: argparse.Namespace) -> int:
    from hf_curation.hub.training_data import push_training_set

    done = push_training_set(output, args.push, private=not args.public, dry_run=args.dry_run)
    size = sum(num_bytes for _, num_bytes in done.files)
    what = f"{len(done.files)} files, {size:,} bytes, {'private' if done.private else 'public'} if new"
    where = f"would be sent to {done.repo_id}" if done.url is None else f"sent: {done.url}"
    print(f"{what}; {where}", file=sys.stderr)
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    if all(name in ("tagger", *_BOUNDS) or name.startswith("http") for name in args.refiners):
        # Before numpy is imported: on a busy machine its threads cost the tagger up to 20 times its time.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")
    from hf_curation.evaluation.refiner_figures import EvaluationSet
    from hf_curation.evaluation.refiner_table import format_table

    refiners = _load(args)
    skipped: Counter[str] = Counter()
    data = EvaluationSet(_pages(args, skipped))
    skipped["no_clean_text"] += data.num_unjudged
    _note(f"{len(data.pages)} pages with clean text, {len(data.junk)} pages without a line worth keeping; ", skipped)
    columns = list(_columns(data, refiners))
    if args.json:
        import orjson

        facts = {"pages": len(data.pages), "junk": len(data.junk), "skipped": dict(+skipped)}
        print(orjson.dumps(facts | {"refiners": [column.as_dict() for column in columns]}).decode())
        return 0
    print("\n".join(format_table(columns)))
    return 0


def _pages(args: argparse.Namespace, skipped: Counter[str]) -> list["GoldPage"]:
    from hf_curation.evaluation.gold_pages import read_gold_pages

    pages = list(read_gold_pages(args.data, keys=page_keys(args), limit=args.limit, skipped=skipped))
    if args.split is None:
        return pages
    from hf_curation.refiners.training.splits import SplitRule

    rule = SplitRule(test_fold=args.test_fold)
    chosen = [page for page in pages if rule.split_of(page.domain) == args.split]
    skipped["other_split"] += len(pages) - len(chosen)
    return chosen


def _load(args: argparse.Namespace) -> list[tuple["Refiner", "Refiner | None"]]:
    """Return each refiner with its document stage; names are checked before a page is read."""
    from hf_curation.config import parse_value
    from hf_curation.refiners.load import load_refiner

    options: dict[str, Any] = {}
    for pair in args.option:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"--option takes KEY=VALUE, got {pair!r}")
        options[key] = parse_value(value)
    named = {"model": args.model, "preset": args.preset} | options
    named = {key: value for key, value in named.items() if value is not None}
    if named and len(args.refiners) > 1:
        raise ValueError(f"{', '.join(named)} would be for which of {', '.join(args.refiners)}? give one refiner")
    loaded = []
    for name in args.refiners:
        if name in _BOUNDS:
            continue  # they are there anyway
        doc_name = args.doc_refiner or (name if name in ("tagger", "prox-web", "prox-math") else "none")
        doc_refiner = None if doc_name == "none" else load_refiner(doc_name, stage="document")
        try:
            loaded.append((load_refiner(name, **named), doc_refiner))
        except TypeError as error:
            raise ValueError(f"{name!r} does not take these options: {error}") from None
    return loaded


def _columns(data: "EvaluationSet", refiners: Sequence[tuple["Refiner", "Refiner | None"]]) -> list["RefinerFigures"]:
    from hf_curation.refiners.base import Stage
    from hf_curation.refiners.baselines import KeepEverything, LineOracle

    pairs = data.pairs
    bounds: list[tuple[Refiner, Refiner | None]] = [
        (KeepEverything(), KeepEverything(Stage.DOCUMENT)),
        (LineOracle(pairs), LineOracle(pairs, Stage.DOCUMENT)),
    ]
    return [data.evaluate(refiner, doc_refiner=doc_refiner) for refiner, doc_refiner in (*bounds, *refiners)]


def _note(text: str, skipped: Counter[str]) -> None:
    left_out = ", ".join(f"{reason} {number:,}" for reason, number in (+skipped).most_common()) or "none"
    print(f"{text}left out: {left_out}", file=sys.stderr)
