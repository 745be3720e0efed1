"""`hf-curation VERB`: finds the verb, imports only that one.

A verb is a module of this package with `add_arguments(parser)` and `run(args) -> int`; its imports of anything heavy
wait inside `run`, so that `--help` answers in a fraction of a second.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module

from hf_curation import __version__

VERBS: dict[str, str] = {
    "plan": "say what a billion and a trillion tokens would cost by the rates of runs",
    "push": "send what a run made to the Hub, as one commit with a card",
    "refine": "clean documents with programs that a refiner writes",
    "refiner": "measure refiners, and make training data for them",
    "report": "draw what a run of refine or select did as one HTML file",
    "select": "choose the documents of a corpus that are most like a target",
    "status": "show how far a run is, what failed and what to do",
    "tokenize": "turn documents into a token store for training",
    "tokenizer": "adapt a vocabulary to a target, or test one",
}


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """Return the parser; only `verb`'s own arguments are filled in, since each needs its module imported."""
    parser = argparse.ArgumentParser(
        prog="hf-curation", description="Refine, select and condition pre-training data with the Hugging Face stack."
    )
    parser.add_argument("--version", action="version", version=f"hf-curation {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for name, summary in VERBS.items():
        sub = verbs.add_parser(name, help=summary, description=summary)
        if name == verb:
            module = import_module(f"hf_curation.cli.{name}")
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Exit code 0: done; 1: it failed, one line says why; 2: misuse."""
    # Before loguru is imported: beside a traceback it would print the values of variables, pages among them.
    os.environ.setdefault("LOGURU_DIAGNOSE", "NO")
    argv = list(sys.argv[1:] if argv is None else argv)
    verb = next((arg for arg in argv if arg in VERBS), None)
    args = build_parser(verb).parse_args(argv)
    try:
        return int(args.run(args))
    except (ValueError, OSError, ImportError, subprocess.CalledProcessError) as error:  # the last of sbatch
        print(f"hf-curation {args.verb}: {_with_flags(str(error), args)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ninterrupted; run the same command again to go on", file=sys.stderr)
        return 130


def _with_flags(message: str, args: argparse.Namespace) -> str:
    """Write the arguments that a message of the library names as they are typed: `weights_of` as `--weights-of`."""
    for name in filter(lambda name: "_" in name, vars(args)):
        message = re.sub(rf"(?<![\w-]){name}(?![\w(])", f"--{name.replace('_', '-')}", message)
    return message
