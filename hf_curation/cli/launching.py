"""What every verb that runs tasks shares: where they run, and what is said when some of them failed."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hf_curation.files.plans import Plan


def add_bad_shards(parser: "argparse.ArgumentParser | argparse._ArgumentGroup") -> None:
    """Declare `--allow-bad-shards N`."""
    parser.add_argument(
        "--allow-bad-shards",
        type=int,
        default=0,
        metavar="N",
        help="leave out up to N files that cannot be decoded; to find them every file is read first (default: 0)",
    )


def add_slurm(parser: argparse.ArgumentParser) -> None:
    """Declare `--slurm KEY=VALUE`, which may be given many times."""
    parser.add_argument(
        "--slurm",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="submit to Slurm; time= and partition= at least",
    )


def parse_slurm(pairs: list[str]) -> dict[str, Any] | None:
    """Turn `KEY=VALUE`s into arguments of datatrove's Slurm executor; keys that it does not know go to sbatch."""
    if not pairs:
        return None
    from inspect import signature

    from datatrove.executor.slurm import SlurmPipelineExecutor

    known = signature(SlurmPipelineExecutor).parameters
    sbatch: dict[str, Any] = {}
    slurm: dict[str, Any] = {"venv_path": str(Path(sys.prefix, "bin", "activate")), "sbatch_args": sbatch}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise ValueError(f"--slurm takes KEY=VALUE, got {pair!r}")
        (slurm if key in known else sbatch)[key] = int(value) if value.isdigit() else value
    return slurm


def explain_failure(failures: dict[int, str], output: Path, plan: "Plan") -> int:
    """Say on stderr why tasks failed, by rank, and what to do; return the exit code."""
    from hf_curation.files.manifest import finished_ranks

    if len(finished_ranks(output, plan)) == plan.world_size:
        print(f"every task is finished, but the run as a whole is not right: {failures[0]}", file=sys.stderr)
        return 1
    for rank, reason in sorted(failures.items()):
        print(f"task {rank} failed: {reason}", file=sys.stderr)
    print(
        f"{len(failures)} of {plan.world_size} tasks failed and published nothing; the others are finished. "
        f"Run the same command again to do the rest. Logs: {output / 'logs' / 'logs'}",
        file=sys.stderr,
    )
    hint_at_bad_shards(failures, plan)
    return 1


def hint_at_bad_shards(failures: dict[int, str], plan: "Plan") -> None:
    """Say on stderr, where tasks failed over files that cannot be decoded, how to go on without these."""
    bad = {reason.partition(": ")[0] for reason in failures.values()} & {row[0] for row in plan.inputs}
    if bad:
        names = ", ".join(sorted(bad)[:3])
        print(
            f"Hint: with --allow-bad-shards {len(bad)} what cannot be decoded is left out ({names}), "
            "and what is finished stays; a mended file is another input, and needs --overwrite",
            file=sys.stderr,
        )


def hint_at_text_key(num_documents: int, quarantined: dict[str, int]) -> bool:
    """Say on stderr, where nothing came through for want of a text, what to do; return whether that is so."""
    no_text = quarantined.get("missing_text", 0) + quarantined.get("text_not_string", 0)
    is_so = no_text > 0 and num_documents == sum(quarantined.values())
    if is_so:
        print("Hint: no record had a text; name its column or key with --text-key", file=sys.stderr)
    return is_so
