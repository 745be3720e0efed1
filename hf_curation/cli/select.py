"""`hf-curation select RAW OUTPUT --target T --budget 1%`: choose the documents of a corpus that are like a target.

The work is `datatrove_steps.importance`; here are its arguments, the view of its progress, and the table at the end.
Exit code 1 when a task failed, and then the same command again runs what is left.
"""

import argparse
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_curation.cli.launching import add_bad_shards, add_slurm, hint_at_bad_shards, hint_at_text_key, parse_slurm
from hf_curation.cli.watching import StageProgress, stderr_to
from hf_curation.files.left_out import left_out_in_words

if TYPE_CHECKING:
    from datatrove_steps.importance.config import SelectConfig
    from datatrove_steps.importance.stages import Stage

_EPILOG = """examples:
  hf-curation select crawl/ chosen --target laws.jsonl --budget 1%
  hf-curation select crawl/ chosen --target benchmark:arc_easy --features ./adapted-tokenizer
  hf-curation select crawl/ chosen --target law=laws.jsonl:0.7 --target med=med.parquet:0.3 --separate
  hf-curation select crawl/ more --target laws.jsonl --budget 2% --weights-of chosen
"""
_PLAIN = (
    *("raw", "output", "budget", "preset", "features", "revision", "order", "buckets", "alpha", "temperature", "clip"),
    *("chunk_tokens", "separate", "top_k", "general_share", "source_key", "max_repeats", "min_tokens", "seed"),
    *(
        "allow_equal_ids",
        "leak_words",
        "benchmark_folder",
        "weights_of",
        "tasks",
        "workers",
        "text_key",
        "target_text_key",
        "limit",
        "allow_bad_shards",
    ),
    "overwrite",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("raw", metavar="RAW", help="file, folder, pattern or hf://datasets/NAME@REV/...")
    parser.add_argument("output", metavar="OUTPUT", help="local folder; a run that was interrupted there goes on")
    parser.add_argument(
        "--target",
        action="append",
        required=True,
        metavar="[NAME=]PATH[:SHARE]",
        help="texts like which more is wanted, or benchmark:NAME for its train questions; may be given many times",
    )
    _add_choice(parser.add_argument_group("what is chosen"))
    _add_weights(parser.add_argument_group("how documents are weighed"))
    _add_held_out(parser.add_argument_group("what must not be in it"))
    run = parser.add_argument_group("how it runs")
    run.add_argument("--tasks", type=int, help="number of tasks and output files (default: by the input's size)")
    run.add_argument("--workers", type=int, help="tasks at a time (default: one per processor)")
    run.add_argument("--text-key", default="text", help="column or key of the text (default: text)")
    run.add_argument("--target-text-key", help="the same of targets and held-out texts (default: as --text-key)")
    run.add_argument("--id-key", default="id", help="column or key of the id, or none (default: id)")
    run.add_argument("--limit", type=int, help="read at most so many records of RAW in all")
    run.add_argument(
        "--weights-of", metavar="FOLDER", help="choose by the weights of another run, score nothing again"
    )
    add_bad_shards(run)
    run.add_argument("--overwrite", action="store_true", help="remove what a run has written to OUTPUT before")
    add_slurm(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def _add_choice(group: Any) -> None:  # noqa: ANN401 - argparse's groups have no public type
    group.add_argument("--budget", default="1%", help="1%% (of the tokens), '1%% documents', '2e9 tokens' ...")
    group.add_argument("--temperature", type=float, help="small: the best; large: at random (default: 0.03)")
    group.add_argument("--top-k", action="store_true", help="the largest weights, without noise")
    group.add_argument("--general-share", type=float, default=0.0, metavar="SHARE", help="of it a random sample")
    group.add_argument("--separate", action="store_true", help="a lane for each target, instead of their mixture")
    group.add_argument("--source-key", help="column or key of the source (default: source, where there is one)")
    for kind, what in (("cap", "most"), ("quota", "least")):
        group.add_argument(
            f"--{kind}",
            action="append",
            default=[],
            metavar="SOURCE=SHARE",
            help=f"at {what} this share of the budget; may be given many times",
        )
    group.add_argument("--max-repeats", type=int, default=1, metavar="N", help="copies of a document (default: 1)")
    group.add_argument("--min-tokens", type=int, default=0, metavar="N", help="shorter documents are not chosen")
    group.add_argument("--allow-equal-ids", action="store_true", help="documents of one id are chosen together")
    group.add_argument("--clip", type=float, help="hold weights, over temperature, within plus and minus this")
    group.add_argument("--seed", type=int, default=0, help="of all noise (default: 0)")


def _add_weights(group: Any) -> None:  # noqa: ANN401 - argparse's groups have no public type
    group.add_argument("--preset", choices=("default", "dsir"), default="default", help="dsir: as in that paper")
    group.add_argument("--features", default="words", help="words, or a tokenizer's folder, file or Hub name")
    group.add_argument("--revision", help="of the tokenizer on the Hub")
    group.add_argument("--order", type=int, default=2, help="n-grams of orders 1 to this (default: 2)")
    group.add_argument("--buckets", type=int, metavar="N", help="hash buckets (default: 10000; with a tokenizer 2^20)")
    group.add_argument("--alpha", type=float, help="exponent of length: 1 mean, 0 sum over n-grams (default: 1)")
    group.add_argument("--chunk-tokens", type=int, metavar="N", help="score pieces of N tokens and average them")


def _add_held_out(group: Any) -> None:  # noqa: ANN401 - argparse's groups have no public type
    group.add_argument(
        "--held-out",
        action="append",
        default=[],
        metavar="PATH",
        help="test texts, or benchmark:NAME; documents that hold a passage of one are left out",
    )
    group.add_argument("--no-decontaminate", action="store_true", help="even where a target is a benchmark")
    group.add_argument("--leak-words", type=int, default=13, metavar="N", help="words of a passage (default: 13)")
    group.add_argument("--benchmark-folder", metavar="FOLDER", help="read benchmarks from here, not from the Hub")


def run(args: argparse.Namespace) -> int:
    """Select; return the exit code."""
    # Before numpy is imported: threads of workers would fight for the processors, and sums would depend on them.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from datatrove_steps.executors import RanksFailedError
    from datatrove_steps.importance import importance_sampling
    from hf_curation.files.atomic import remove_parts
    from hf_curation.files.lock import lock_folder

    config = _config(args)
    output, slurm = Path(config.output).expanduser().absolute(), parse_slurm(args.slurm)
    with lock_folder(output) if slurm is None else nullcontext():
        executor = importance_sampling(config, slurm=slurm)
        if slurm is None:
            remove_parts(output)
        was_finished = (output / "summary.json").exists()
        passes = [(name, stage.plan.world_size) for name, stage in executor.pipeline[0].plan.stages.items()]
        started = time.monotonic()
        try:
            with stderr_to(output / "logs" / "stderr.log") as screen, StageProgress(output, passes, screen):
                executor.run()
        except RanksFailedError as error:
            return _explain_failure(error.failures, output, executor.pipeline[0].plan.stages["weigh"])
        seconds = time.monotonic() - started
    if (output / "summary.json").exists():
        _report(output, 0.0 if was_finished else seconds, as_json=args.json)
    else:
        print(f"submitted; {output / 'summary.json'} is there when all tasks are done", file=sys.stderr)
    return 0


def _config(args: argparse.Namespace) -> "SelectConfig":
    from datatrove_steps.importance.config import SelectConfig, target_of

    named = [target_of(text) for text in args.target]
    targets = {name: path for name, path, _ in named}
    if len(targets) < len(named):
        raise ValueError("two targets have the same name; name them: --target NAME=PATH")
    shares = {name: share for name, _, share in named if share is not None}
    if shares and len(shares) < len(targets):
        raise ValueError(
            f"a share is given for {', '.join(shares)}, and not for all targets; write PATH:SHARE for each"
        )
    return SelectConfig(
        **{name: getattr(args, name) for name in _PLAIN},
        targets=targets,
        target_shares=shares or None,
        source_caps=_shares("cap", args.cap),
        source_quotas=_shares("quota", args.quota),
        held_out=tuple(args.held_out),
        decontaminate=False if args.no_decontaminate else None,
        id_key=None if args.id_key == "none" else args.id_key,
    )


def _shares(kind: str, pairs: list[str]) -> dict[str, float]:
    shares = {}
    for pair in pairs:
        source, equals, share = pair.rpartition("=")
        try:
            shares[source] = float(share.removesuffix("%")) / (100 if share.endswith("%") else 1)
        except ValueError:
            equals = ""
        if not equals:
            raise ValueError(f"--{kind} takes SOURCE=SHARE, such as web=0.5 or web=50%, got {pair!r}")
    return shares


def _explain_failure(failures: dict[int, str], output: Path, weigh: "Stage") -> int:
    """Say on stderr why tasks failed, by rank, and what to do; return the exit code.

    A choice that the weights do not allow needs other options and so another folder, but no other weights.
    """
    for rank, reason in sorted(failures.items()):
        print(f"task {rank} failed: {reason}", file=sys.stderr)
    print(
        f"{len(failures)} tasks failed and published nothing; what was finished before stays. "
        f"Run the same command again to do the rest. Logs: {output / 'logs'}",
        file=sys.stderr,
    )
    hint_at_bad_shards(failures, weigh.plan)
    if len(weigh.finished()) == weigh.plan.world_size:
        print(
            f"Hint: for another budget, cap or seed take another OUTPUT and --weights-of {weigh.folder}; "
            "nothing is scored again",
            file=sys.stderr,
        )
    return 1


def _report(output: Path, seconds: float, *, as_json: bool) -> None:
    """Print the figures; `seconds` is 0 where nothing was run."""
    import orjson

    summary = orjson.loads((output / "summary.json").read_bytes())
    if as_json:
        print(orjson.dumps(summary | {"output": str(output), "seconds": round(seconds, 3)}).decode())
        return
    print("\n".join(table(summary)))
    for line in left_out_in_words(summary["bad_shards"], most=3):
        print(line)
    print(f"{seconds:.1f} seconds" if seconds else "every task was finished before; nothing was run")
    hint_at_text_key(summary["documents"]["in"], summary["quarantined"])
    print(f"Hint: hf-curation report {output} --html report.html", file=sys.stderr)


def table(summary: dict[str, Any]) -> list[str]:
    """Return the lines of the summary that a person reads."""
    documents, tokens = summary["documents"], summary["tokens"]
    reasons = {"excluded": summary["excluded"], "quarantined": summary["quarantined"]}
    lines = [_row("documents in", documents["in"])]
    for name, number in documents.items():
        if name != "in":
            note = ", ".join(f"{reason} {n:,}" for reason, n in reasons.get(name, {}).items())
            lines.append(_row(f"  {name.replace('_', ' ')}", number, documents["in"], note))
    lines.append(_row("tokens in", tokens["in"]))
    if tokens["eligible"] < tokens["in"]:
        lines.append(_row("  eligible", tokens["eligible"], tokens["in"], "what a share is of"))
    lines.append(_row("  chosen", tokens["chosen"], tokens["in"], f"budget {summary['budget']['asked']}"))
    for kind in ("lanes", "sources"):
        shown = {name: amount for name, amount in summary[kind].items() if amount["documents"]}
        unnamed = {
            unit: whole - sum(amount[unit] for amount in shown.values())
            for unit, whole in (("documents", documents["chosen"]), ("tokens", tokens["chosen"]))
        }
        if shown and unnamed["documents"]:
            shown[f"(no {kind[:-1]})"] = unnamed
        if len(shown) > 1:
            lines += _amounts(kind[:-1], shown, tokens["chosen"])
    names = {"sampler": "KL, its features", "probe": "KL, others"}
    for kind, nats in summary["kl"].items():
        if not documents["chosen"] or "chosen" not in nats:  # texts may be too short to have any n-gram
            continue
        told = ", ".join(f"{group} {value:.3f}" for group, value in nats.items() if group != "chosen")
        lines.append(f"{names[kind]:<22}{nats['chosen']:>15.3f}  {'nats':>8}  {told}")
    if documents["chosen"] and "random" in summary["kl"].get("probe", {}):
        lines.append("  (KL to the target: compare with random, which has the size of the choice)")
    return lines


def _amounts(kind: str, amounts: dict[str, Any], whole: int) -> list[str]:
    """Return the parts of the choice, the largest first."""
    ordered = sorted(amounts.items(), key=lambda item: -item[1]["tokens"])
    rows = [
        _row(f"  {_on_one_line(name)[:20]}", amount["tokens"], whole, f"{amount['documents']:,} documents")
        for name, amount in ordered[:8]
    ]
    rest = f"  and {len(ordered) - 8} more" if len(ordered) > 8 else None
    return [f"tokens by {kind}", *rows, *([rest] if rest else [])]


def _on_one_line(name: str) -> str:
    return "".join(char if char.isprintable() else " " for char in name)


def _row(name: str, number: float, whole: int = 0, note: str = "") -> str:
    share = f"{number / whole:.2%}".replace("%", " %") if whole else ""
    return f"{name:<22}{number:>15,.0f}  {share:>8}  {note}".rstrip()
