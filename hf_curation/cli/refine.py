"""`hf-curation refine INPUT OUTPUT`: refine documents into a folder of Parquet that explains itself.

The work is `datatrove_steps.refine_pipeline`; here are its arguments, the view of its progress, and the table at the
end. Data goes to stdout, everything else to stderr; exit code 1 when a task failed, and then the same command again
runs what is left.
"""

import argparse
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_curation.cli.launching import add_bad_shards, add_slurm, explain_failure, hint_at_text_key, parse_slurm
from hf_curation.cli.watching import Progress, stderr_to
from hf_curation.files.left_out import left_out_in_words

if TYPE_CHECKING:
    from datatrove_steps.refine_plan import RefineConfig
    from hf_curation.files.plans import Plan

_EPILOG = """examples:
  hf-curation refine pages.jsonl.gz refined
  hf-curation refine hf://datasets/NAME/data refined --limit 1000
  hf-curation refine pages/ refined --refiner prox-web --doc-refiner prox-web --tasks 8
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("input", metavar="INPUT", help="file, folder, pattern or hf://datasets/NAME@REV/...")
    parser.add_argument("output", metavar="OUTPUT", help="local folder; a run that was interrupted there goes on")
    for flag, what in (("--refiner", "edits lines"), ("--doc-refiner", "drops pages")):
        who = f"who {what} (default: tagger, inside this package), or none"
        parser.add_argument(flag, default="tagger", metavar="NAME_OR_PATH", help=who)
    parser.add_argument("--model", help="the model's name, where a refiner is the address of a server")
    parser.add_argument("--preset", help="the prompt format of --refiner, where it is a model that brings none")
    parser.add_argument("--tasks", type=int, help="number of tasks and output files (default: by the input's size)")
    parser.add_argument("--workers", type=int, help="tasks at a time (default: one per processor; with a model 1)")
    parser.add_argument("--text-key", default="text", help="column or key of the text (default: text)")
    parser.add_argument("--id-key", default="id", help="column or key of the id (default: id)")
    parser.add_argument("--limit", type=int, help="read at most so many documents in all")
    parser.add_argument("--keep-original", action="store_true", help="keep the text as it came, for reports")
    parser.add_argument("--max-removed-fraction", type=float, help="keep a page that would lose more (default: 0.95)")
    add_bad_shards(parser)
    parser.add_argument("--overwrite", action="store_true", help="remove what a run has written to OUTPUT before")
    add_slurm(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(args: argparse.Namespace) -> int:
    """Refine; return the exit code."""
    if not _holds_model(args):
        # Before numpy is imported: threads of workers would fight for the processors, and sums would depend on them.
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
            os.environ.setdefault(name, "1")
    from datatrove_steps.executors import RanksFailedError
    from datatrove_steps.pipelines import refine_pipeline
    from hf_curation.files.atomic import remove_parts
    from hf_curation.files.lock import lock_folder

    config = _config(args)
    output = Path(config.output).expanduser().absolute()
    slurm = parse_slurm(args.slurm)
    with lock_folder(output) if slurm is None else nullcontext():
        executor = refine_pipeline(config, slurm=slurm)
        plan: Plan = executor.pipeline[0].plan
        if slurm is None:
            remove_parts(output)
        done_before = _num_done(output, plan)
        started = time.monotonic()
        try:
            with stderr_to(output / "logs" / "stderr.log") as screen, Progress(output, plan.world_size, screen):
                executor.run()
        except RanksFailedError as error:
            return explain_failure(error.failures, output, plan)
        seconds = time.monotonic() - started
    if (output / "summary.json").exists():
        _report(output, done_before, seconds, as_json=args.json)
    else:
        print(f"submitted; {output / 'summary.json'} is there when all tasks are done", file=sys.stderr)
    return 0


def _holds_model(args: argparse.Namespace) -> bool:
    """Return whether every worker will hold a language model, and wants all processors for it."""
    refiners = (args.refiner, args.doc_refiner)
    return any(name not in ("tagger", "none") and not name.startswith(("http://", "https://")) for name in refiners)


def _config(args: argparse.Namespace) -> "RefineConfig":
    from datatrove_steps.refine_plan import RefineConfig

    if args.workers is None and not args.slurm and _holds_model(args):
        args.workers = 1
    options: dict[str, Any] = {
        name: getattr(args, name)
        for name in (
            *("input", "output", "model", "preset", "tasks", "workers", "text_key", "id_key", "limit"),
            "allow_bad_shards",
        )
    }
    if args.max_removed_fraction is not None:
        options["max_removed_fraction"] = args.max_removed_fraction
    return RefineConfig(
        **options,
        doc_refiner=None if args.doc_refiner == "none" else args.doc_refiner,
        chunk_refiner=None if args.refiner == "none" else args.refiner,
        keep_original=args.keep_original,
        overwrite=args.overwrite,
    )


def _num_done(output: Path, plan: "Plan") -> int:
    """Return how many documents the tasks read that were finished before this launch."""
    from hf_curation.files.manifest import Manifest, finished_ranks, manifest_path

    manifests = [Manifest.read(manifest_path(output, rank)) for rank in finished_ranks(output, plan)]
    return sum(manifest.stages["read"].num_in for manifest in manifests)


def _report(output: Path, done_before: int, seconds: float, *, as_json: bool) -> None:
    import orjson

    from hf_curation.refiners.cost import ModelCost

    summary = orjson.loads((output / "summary.json").read_bytes())
    num_new = summary["documents"]["in"] - done_before
    speed = num_new / seconds if num_new else 0.0
    cost = ModelCost.of(stage["totals"] for stage in summary["stages"].values())
    model_seconds = None if done_before else seconds
    if as_json:
        facts = {"output": str(output), "seconds": round(seconds, 3), "documents_per_s": round(speed, 1)}
        print(orjson.dumps(summary | facts | cost.as_dict(model_seconds)).decode())
        return
    print("\n".join(table(summary)))
    if num_new:
        print(_row("speed", speed, note=f"documents a second ({num_new:,} in {seconds:.1f} s)"))
    else:
        print("every task was finished before; nothing was run")
    if words := cost.words(model_seconds):
        print(f"model          {words}")
    for line in left_out_in_words(summary["bad_shards"], most=3):
        print(line)
    hint_at_text_key(summary["documents"]["in"], summary["quarantined"])
    print(f"Hint: hf-curation report {output} --html report.html", file=sys.stderr)


def table(summary: dict[str, Any]) -> list[str]:
    """Return the lines of the summary that a person reads."""
    documents, chars, rejected = summary["documents"], summary["chars"], summary["rejected"]
    reasons = {"dropped": summary["dropped"], "quarantined": summary["quarantined"], "fallback": summary["fallbacks"]}
    lines = [_row("documents in", documents["in"])]
    for name, number in documents.items():
        if name != "in":
            lines.append(_row(f"  {name}", number, documents["in"], _top(reasons.get(name, {}))))
    lines.append(_row("characters in", chars["in"]))
    lines.append(_row("  removed", chars["removed"], chars["in"], "by edits"))
    lines.append(_row("  dropped", chars["dropped"], chars["in"], "with their documents"))
    lines.append(_row("calls applied", summary["calls_applied"]))
    lines.append(_row("  rejected", sum(rejected.values()), note=_top(rejected)))
    if summary["output_tokens"]:
        lines.append(_row("tokens read", summary["prompt_tokens"]))
        lines.append(_row("  written", summary["output_tokens"]))
    return lines


def _row(name: str, number: float, whole: int = 0, note: str = "") -> str:
    share = f"{number / whole:.1%}".replace("%", " %") if whole else ""
    return f"{name:<15}{number:>13,.0f}  {share:>7}  {note}".rstrip()


def _top(reasons: dict[str, int]) -> str:
    shown = [f"{reason} {number:,}" for reason, number in list(reasons.items())[:3]]
    return ", ".join(shown) + (", ..." if len(reasons) > 3 else "")
