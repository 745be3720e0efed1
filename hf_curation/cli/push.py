"""`hf-curation push`: send what a run made to the Hub, as one commit with a card."""

import argparse
import sys

EPILOG = """examples:
  hf-curation push refined you/crawl-refined --dry-run       # what would be sent; nothing is asked or sent
  hf-curation push refined you/crawl-refined                 # a private data set; again: one more commit
  hf-curation push october you/crawl --into 2024-10          # several runs in one repository, a configuration each
  hf-curation push adapted you/tokenizer                     # with the model that `tokenizer adapt --model` moved
  hf-curation push bits_per_byte you/bits_per_byte           # evaluate.load("you/bits_per_byte")

Killed or refused: run it again; whole files that were uploaded are not sent again. The token is `hf auth login`'s, or
HF_TOKEN. Read it back, pinned: hf-curation refine hf://datasets/you/crawl-refined@COMMIT OUTPUT
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.epilog, parser.formatter_class = EPILOG, argparse.RawDescriptionHelpFormatter
    parser.add_argument("what", metavar="FOLDER", help="output of a run, a tokenizer, a model; or a metric's name")
    parser.add_argument("repo_id", metavar="YOU/NAME", help="made where it is not there")
    parser.add_argument("--into", metavar="FOLDER", default="", help="a folder of the repository, for a run")
    parser.add_argument("--public", action="store_true", help="a repository that is made here is not private")
    parser.add_argument("--dry-run", action="store_true", help="say what would be sent, send nothing")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Push, and say what went where."""
    from hf_curation.hub import push_folder

    done = push_folder(args.what, args.repo_id, path_in_repo=args.into, private=not args.public, dry_run=args.dry_run)
    access, size = "private" if done.private else "public", sum(num_bytes for _, num_bytes in done.files)
    if args.json:
        import orjson

        facts = {"repo_id": done.repo_id, "repo_type": done.repo_type, "private": done.private}
        print(orjson.dumps(facts | {"commit": done.commit, "url": done.url, "files": dict(done.files)}).decode())
    elif done.commit is None:
        print(f"would send to the {done.repo_type} {done.repo_id} ({access}, if it is not there yet):")
        print("\n".join(f"  {name:<40}{num_bytes:>14,} bytes" for name, num_bytes in done.files))
    else:
        print(f"✓ {len(done.files)} files, {size:,} bytes: {done.url} ({access})")
        print(
            f"Hint: its name with its commit is {_pinned(done.repo_type, args, done.commit)}",
            file=sys.stderr,
        )
    return 0


def _pinned(repo_type: str, args: argparse.Namespace, commit: str) -> str:
    if repo_type != "dataset":
        return f"{args.repo_id}@{commit}"
    return f"hf://datasets/{args.repo_id}@{commit}" + (f"/{args.into.strip('/')}" if args.into else "")
