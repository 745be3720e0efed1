"""`hf-curation tokenize INPUT STORE`: documents into a token store, for every later pack plan.

The work is `datatrove_steps.tokenize_pipeline`; exit code 1 when a task failed, and then the same command again runs
what is left.
"""

import argparse
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from hf_curation.cli.launching import add_bad_shards, add_slurm, explain_failure, hint_at_text_key, parse_slurm
from hf_curation.cli.watching import Progress, stderr_to
from hf_curation.files.left_out import left_out_in_words

_EPILOG = """examples:
  hf-curation tokenize refined store --tokenizer HuggingFaceTB/SmolLM2-135M
  hf-curation tokenize crawl.jsonl.gz store --tokenizer ./tokenizer --columns url,language
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("input", metavar="INPUT", help="file, folder, pattern or hf://datasets/NAME@REV/...")
    parser.add_argument("output", metavar="STORE", help="local folder; a run that was interrupted there goes on")
    parser.add_argument("--tokenizer", required=True, metavar="NAME", help="a repository, or a folder")
    parser.add_argument("--revision", help="of the repository")
    parser.add_argument(
        "--columns", metavar="A,B", help="metadata to keep (default: all flat, less what refining adds)"
    )
    parser.add_argument("--tasks", type=int, help="number of tasks and shards (default: by the input's size)")
    parser.add_argument("--workers", type=int, help="tasks at a time (default: one per processor)")
    parser.add_argument("--text-key", default="text", help="column or key of the text (default: text)")
    parser.add_argument("--id-key", default="id", help="column or key of the id (default: id)")
    parser.add_argument("--limit", type=int, help="read at most so many documents in all")
    add_bad_shards(parser)
    parser.add_argument("--overwrite", action="store_true", help="remove what a run has written to STORE before")
    add_slurm(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(args: argparse.Namespace) -> int:
    """Tokenize; return the exit code."""
    if args.workers != 1:  # workers by threads would fight for the processors
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from datatrove_steps.executors import RanksFailedError
    from datatrove_steps.tokenize_pipeline import TokenizeConfig, tokenize_documents
    from hf_curation.files.atomic import remove_parts
    from hf_curation.files.lock import lock_folder

    names = ("input", "output", "tokenizer", "revision", "tasks", "workers", "text_key", "id_key", "limit")
    options: dict[str, Any] = {name: getattr(args, name) for name in (*names, "allow_bad_shards", "overwrite")}
    columns = None if args.columns is None else [name for name in args.columns.split(",") if name]
    config = TokenizeConfig(**options, columns=columns)
    output, slurm = Path(config.output).expanduser().absolute(), parse_slurm(args.slurm)
    with lock_folder(output) if slurm is None else nullcontext():
        executor = tokenize_documents(config, slurm=slurm)
        plan = executor.pipeline[0].plan
        if slurm is None:
            remove_parts(output)
        was_finished = (output / "summary.json").exists()
        started = time.monotonic()
        try:
            with stderr_to(output / "logs" / "stderr.log") as screen, Progress(output, plan.world_size, screen):
                executor.run()
        except RanksFailedError as error:
            return explain_failure(error.failures, output, plan)
        seconds = time.monotonic() - started
    if (output / "summary.json").exists():
        _report(output, 0.0 if was_finished else seconds, as_json=args.json)
    else:
        print(f"submitted; {output / 'store.json'} is there when all tasks are done", file=sys.stderr)
    return 0


def _report(store: Path, seconds: float, *, as_json: bool) -> None:
    """Print the figures; `seconds` is 0 where nothing was run."""
    import orjson

    summary = orjson.loads((store / "summary.json").read_bytes())
    if as_json:
        print(orjson.dumps(summary | {"output": str(store), "seconds": round(seconds, 3)}).decode())
        return
    documents, reasons = summary["documents"], {**summary["dropped"], **summary["quarantined"]}
    for name, number in documents.items():
        print(f"{'documents in' if name == 'in' else '  ' + name:<15}{number:>15,}")
    print(
        f"{'tokens':<15}{summary['tokens']:>15,}  {summary['chars'] / max(summary['tokens'], 1):.2f} characters each"
    )
    print(f"{'columns':<15}{', '.join(summary['config']['columns']) or 'none'}")
    for what, counts in (("left out", reasons), ("made null", summary["misfits"])):
        if counts:
            print(f"{what:<15}{', '.join(f'{name} {number:,}' for name, number in counts.items())}")
    for line in left_out_in_words(summary["bad_shards"], most=3):
        print(line)
    print("every task was finished before; nothing was run" if not seconds else f"{seconds:.1f} seconds")
    if hint_at_text_key(documents["in"], summary["quarantined"]):
        return
    print(f"Hint: MeCoDataset({str(store)!r}, tokenizer, ...), or data.documents of the recipe", file=sys.stderr)
