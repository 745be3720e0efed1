"""`hf-curation tokenizer adapt` and `check`: a vocabulary for a target, and whether one loads as it should.

The work is `hf_curation.vocabulary` and `hf_curation.hub`. Data goes to stdout, how far it is to stderr.
"""

import argparse
from pathlib import Path

from hf_curation.cli.tokenizer_adapt import SETTINGS, adapt

_ADAPT_EPILOG = """examples:
  hf-curation tokenizer adapt HuggingFaceTB/SmolLM3-3B laws.jsonl.gz adapted
  hf-curation tokenizer adapt ./llama3 benchmark:paper adapted --new-tokens 20000 --final-size 100000 --steps 20
  hf-curation tokenizer adapt ./base hf://datasets/NAME/data adapted --model ./base --push-to-hub me/adapted --dry-run
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the sub-verbs and their arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    what = "learn tokens of a target, words and superwords, and remove what it does not need"
    adapting = actions.add_parser("adapt", help=what, description=what, epilog=_ADAPT_EPILOG)
    adapting.formatter_class = argparse.RawDescriptionHelpFormatter
    _add_adapt(adapting)
    what = "test a tokenizer: bytes, ids, merges, round trips, and that transformers loads it as its file says"
    check = actions.add_parser("check", help=what, description=what)
    check.add_argument("tokenizer", metavar="TOKENIZER", help="a folder, or a repository")
    check.add_argument("--revision", help="of the repository")
    check.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def _add_adapt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "base", metavar="BASE", help="a byte-level BPE tokenizer: folder, tokenizer.json or repository"
    )
    parser.add_argument("target", metavar="TARGET", help="file, folder, hf://datasets/NAME/..., or benchmark:NAME")
    parser.add_argument("output", metavar="OUT", help="folder for the tokenizer and its accounts")
    parser.add_argument("--revision", help="of the base, where it is a repository")
    parser.add_argument("--text-key", default="text", help="column or key of the text (default: text)")
    parser.add_argument("--limit", type=int, help="read at most so many records of TARGET")
    parser.add_argument("--benchmark-folder", type=Path, metavar="FOLDER", help="read benchmarks from here")
    how = parser.add_argument_group("how it is adapted")
    for name, kind, text in SETTINGS:
        how.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=text)
    readings = ("used_types", "all_types", "occurrences")
    how.add_argument("--token-length", choices=readings, help="what l_v of H_v averages over (default: used_types)")
    how.add_argument("--stop-at-minimum", action="store_true", help="stop before the first step that raises H_v")
    model = parser.add_argument_group("its model")
    model.add_argument("--model", metavar="FOLDER_OR_NAME", help="move this model to the new ids, into OUT/model")
    model.add_argument(
        "--initialise", choices=("mean", "weighted"), default="mean", help="of new rows (default: mean)"
    )
    hub = parser.add_argument_group("the Hub")
    hub.add_argument("--push-to-hub", metavar="ME/NAME", help="send it there, as one commit with a card")
    visible = hub.add_mutually_exclusive_group()
    visible.add_argument("--private", dest="private", action="store_true", default=True, help="(default)")
    visible.add_argument("--public", dest="private", action="store_false", help="of a repository that is made")
    hub.add_argument("--dry-run", action="store_true", help="say what would be sent, and send nothing")
    hub.add_argument("--license", help="of the base, for the card (default: what its card on the Hub says)")
    parser.add_argument("--overwrite", action="store_true", help="replace the adapted tokenizer that is in OUT")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")


def run(args: argparse.Namespace) -> int:
    """Run the sub-verb; return the exit code."""
    return adapt(args) if args.action == "adapt" else _check(args)


def _check(args: argparse.Namespace) -> int:
    import orjson

    from hf_curation.hub.errors import one_line_errors
    from hf_curation.vocabulary.adapted import read_added
    from hf_curation.vocabulary.bpe import ByteLevelBPE
    from hf_curation.vocabulary.encoding import load_bulk_encoder
    from hf_curation.vocabulary.loading_check import check_loading
    from hf_curation.vocabulary.self_test import SelfTestError, self_test

    with one_line_errors(args.tokenizer):
        tokenizer = ByteLevelBPE.load(args.tokenizer, revision=args.revision)
    added = read_added(Path(args.tokenizer))
    try:
        report = self_test(tokenizer, added=added or ())
    except SelfTestError as error:
        raise ValueError(f"{args.tokenizer}: {error}") from error
    if added is None:  # of another maker: nothing of the kind was tested
        del report["added_tokens_found"]
    superwords = check_loading(args.tokenizer, tokenizer, revision=args.revision)
    backend = load_bulk_encoder(args.tokenizer, revision=args.revision).backend_name
    facts = report | {"size": tokenizer.size, "superwords": superwords, "encoder": backend}
    if args.json:
        print(orjson.dumps(facts).decode())
        return 0
    print("\n".join(f"{name.replace('_', ' '):<22}{_shown(value):>22}" for name, value in facts.items()))
    return 0


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(repr(one) for one in value[:3]) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
