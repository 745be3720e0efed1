# /// script
# dependencies = ["hf-curation[refine]", "pyyaml"]
# ///
r"""One table for several refiners on the same pages, none of which saw these pages in training.

python recipes/benchmarks/refiners.py                                        # the quickstart pages, tagger as shipped
python recipes/benchmarks/refiners.py --data PAGES.jsonl.gz --folds FOLDER   # fold 0 of WCXB, tagger of that fold
python recipes/benchmarks/refiners.py --model runs/refiner/final --constrained      # and a fine-tuned model beside it

The shipped tagger was trained on all of WCXB's development split, so on `--data` the tagger is the one that
recipes/benchmarks/tagger.py --keep FOLDER trained without the test fold; its document stage is the shipped one, and is
left out there. A model must be trained with the same `split.test_fold` (recipes/train_refiner); it writes freely, and
with --constrained once more under the grammar of its dialect. keep-all and the line oracle bound all others. The last
line is JSON, a key per refiner:

- word_f1, low, high: mean over pages, 95 % bootstrap interval; gain_low, gain_high: of the gain over keep-all
- line_precision, line_recall, line_f1: of removed lines; document_f1: of dropped pages (null without a document stage)
- valid_programs, over_deletion, seconds, cpu_seconds, prompt_tokens, output_tokens
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from hf_curation.evaluation.gold_pages import GoldPage, read_gold_pages
from hf_curation.evaluation.refiner_figures import EvaluationSet, RefinerFigures
from hf_curation.evaluation.refiner_table import format_table
from hf_curation.refiners import LineTagger, Refiner, Stage, load_refiner
from hf_curation.refiners.baselines import KeepEverything, LineOracle
from hf_curation.refiners.training import SplitRule

QUICKSTART = Path(__file__).parents[1] / "quickstart"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="pages with metadata.gold_text; default: the quickstart pages")
    parser.add_argument("--folds", type=Path, help="weights that recipes/benchmarks/tagger.py --keep wrote")
    parser.add_argument("--fold", type=int, default=0, help="the test fold of --data (0)")
    parser.add_argument("--model", help="folder, org/name or address of a further refiner")
    parser.add_argument("--served-model", help="its name, where --model is an address")
    parser.add_argument("--preset", help="its prompt format")
    parser.add_argument("--constrained", action="store_true", help="and once more with constrained decoding")
    parser.add_argument("--dtype", help="its weights: bfloat16, float16, float32; default: by the device")
    parser.add_argument("--limit", type=int, help="only so many of the pages, for a slow model")
    parser.add_argument("--max-chars", type=int, help="only pages of at most so many characters, likewise")
    args = parser.parse_args()
    if (args.data is None) != (args.folds is None):
        parser.error(
            "--data and --folds go together: the shipped tagger has seen every page of WCXB's development split"
        )
    pages = [page for page in held_out_pages(args) if args.max_chars is None or len(page.raw) <= args.max_chars]
    data = EvaluationSet(pages[: args.limit])
    print(f"{len(data.pages)} pages with clean text, {len(data.junk)} to drop", file=sys.stderr)
    columns = [data.evaluate(refiner, doc_refiner=doc_refiner) for refiner, doc_refiner in refiners(args, data)]
    print("\n".join(format_table(columns)))
    print(json.dumps({"pages": len(data.pages), **{one.refiner: figures(one) for one in columns}}))


def held_out_pages(args: argparse.Namespace) -> list[GoldPage]:
    if args.data is not None:
        rule = SplitRule(test_fold=args.fold)
        return [page for page in read_gold_pages(args.data) if rule.split_of(page.domain) == "test"]
    sys.path.insert(0, str(QUICKSTART))
    from quickstart_pages import read_pages

    rows = [(row["id"], row["text"], row["metadata"]) for row in read_pages()]
    return [GoldPage(name, text, metadata["gold_text"], metadata["url"]) for name, text, metadata in rows]


def refiners(args: argparse.Namespace, data: EvaluationSet) -> list[tuple[Refiner, Refiner | None]]:
    chosen: list[tuple[Refiner, Refiner | None]] = [
        (KeepEverything(), KeepEverything(Stage.DOCUMENT)),
        (LineOracle(data.pairs), LineOracle(data.pairs, Stage.DOCUMENT)),
    ]
    if args.folds is None:
        chosen.append((LineTagger(), LineTagger(Stage.DOCUMENT)))
    else:
        chosen.append((LineTagger(weights=args.folds / f"fold{args.fold}of5.safetensors"), None))
    options: dict[str, Any] = {"preset": args.preset, "model": args.served_model}
    options |= {"dtype": args.dtype} if args.dtype else {}
    if args.model:
        chosen.append((load_refiner(args.model, **options), None))
    if args.model and args.constrained:
        chosen.append((load_refiner(args.model, **options, constrained=True), None))
    return chosen


def figures(one: RefinerFigures) -> dict[str, float | int | None]:
    found = {
        "word_f1": one.word_f1.mean,
        "low": one.word_f1.low,
        "high": one.word_f1.high,
        "gain_low": one.gain.low,
        "gain_high": one.gain.high,
        "line_precision": one.lines.precision,
        "line_recall": one.lines.recall,
        "line_f1": one.lines.f1,
        "document_f1": one.documents.f1 if one.documents else None,
        "valid_programs": one.valid_programs,
        "over_deletion": one.over_deletion,
        "seconds": one.seconds,
        "cpu_seconds": one.cpu_seconds,
        "prompt_tokens": one.prompt_tokens,
        "output_tokens": one.output_tokens,
    }
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in found.items()}


if __name__ == "__main__":
    main()
