# /// script
# dependencies = ["hf-curation[train]", "pyyaml"]
# ///
r"""How well the line tagger cleans pages of domains that it never saw: k-fold cross-validation by registered domain.

python recipes/benchmarks/tagger.py --data PAGES.jsonl.gz                 # trains the folds: about an hour on 2 cores
python recipes/benchmarks/tagger.py --data PAGES.jsonl.gz --keep FOLDER   # keeps the folds' weights, resumes from them
python recipes/benchmarks/tagger.py --data PAGES.jsonl.gz --quick         # one fold, two epochs: does it run?

Each fold's network is trained with the shipped recipe on the other folds, exported, and run by `LineTagger` through
the same path as `hf-curation refine`. A page's score is its word F1 (lower-cased `\w+` multisets) against the gold
text. Scored: every page that has gold text. Pages whose text is empty (drawn by scripts) are among them and score 0;
`f1_nonblank` leaves those out. Intervals: 10,000 bootstrap resamples of the pages. The document stage has
figures of its own: `train_line_tagger/document_rule.py --folds FOLDER`. The last line is JSON:

- f1, f1_low, f1_high: mean over scored pages with its 95 % interval; f1_nonblank, by_type, by_type_nonblank
- keep_all, oracle: the same means for the page as it came and for the best choice of whole lines
- gain_low, gain_high: 95 % interval of the paired gain over keep_all
- over_deletion: share of visible characters that is gone when gold texts are the input
- line_precision, line_recall: of removed lines that the oracle removes, and of those how many were removed
- fallbacks: share of pages that kept their text for a guard
- pages_per_s: refining (windows, network, parsing, executing), CPU seconds of one thread
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "train_line_tagger"))

import torch
from pages import Page, fold_of, load_pages, page_types
from scores import PageScore, clean_pairs, line_figures, score_pages
from settings import CONFIG, read_settings, train_config
from train import export, train

from hf_curation.evaluation.word_f1 import bootstrap_mean, over_deletion, paired_difference
from hf_curation.refiners.tagger import LineTagger


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting")
    parser.add_argument("--num-folds", type=int, default=5)
    parser.add_argument("--folds", type=int, nargs="+", help="only these folds")
    parser.add_argument("--quick", action="store_true", help="one fold, two epochs")
    parser.add_argument("--keep", type=Path, help="folder for the folds' weights; those found there are not trained")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    overrides = [*args.set, *(["epochs=2", "seeds=[0]"] if args.quick else [])]
    settings = read_settings(args.config, overrides)
    folds = args.folds or (range(1) if args.quick else range(args.num_folds))
    pages = load_pages(args.data)
    with TemporaryDirectory() as scratch:
        folder = args.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        results = [run_fold(pages, fold, args.num_folds, settings, folder) for fold in folds]
    print(json.dumps(summary(results)))


def run_fold(
    pages: Sequence[Page], fold: int, num_folds: int, settings: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """Train on the other folds unless the weights are there, and score this one."""
    held_out = [page for page in pages if fold_of(page, num_folds) == fold]
    path = folder / f"fold{fold}of{num_folds}.safetensors"
    if not path.exists():
        training = [page for page in pages if fold_of(page, num_folds) != fold]
        config = train_config(settings)
        models = [train(training, config, seed=seed, types=page_types(pages)) for seed in config.seeds]
        export(models, path, {"version": f"fold{fold}"})
    tagger = LineTagger(weights=path)
    tagger.probabilities("warm up")
    scores, seconds = score_pages(held_out, tagger)
    pairs = clean_pairs(held_out, tagger)
    f1 = np.mean([score.f1 for score in scores])
    print(f"fold {fold}: {len(scores)} pages, F1 {f1:.4f}, over-deletion {over_deletion(pairs):.4f}", flush=True)
    return {"scores": scores, "pairs": pairs, "seconds": seconds}


def summary(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the figures over all folds."""
    scores: list[PageScore] = [score for result in results for score in result["scores"]]
    nonblank = [score for score in scores if not score.is_blank]
    f1 = [score.f1 for score in scores]
    keep_all = [score.keep_all for score in scores]
    total, gain = bootstrap_mean(f1), paired_difference(f1, keep_all)
    precision, recall = line_figures(scores)
    figures = {
        "f1": total.mean,
        "f1_low": total.low,
        "f1_high": total.high,
        "f1_nonblank": _mean([score.f1 for score in nonblank]),
        "by_type": _by_type(scores),
        "by_type_nonblank": _by_type(nonblank),
        "keep_all": _mean(keep_all),
        "oracle": _mean([score.oracle for score in scores]),
        "gain_low": gain.low,
        "gain_high": gain.high,
        "over_deletion": over_deletion(pair for result in results for pair in result["pairs"]),
        "line_precision": precision,
        "line_recall": recall,
        "fallbacks": _mean([score.fallback for score in scores if not score.is_blank]),
        "pages": len(scores),
        "pages_per_s": len(scores) / sum(result["seconds"] for result in results),
    }
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in figures.items()}


def _by_type(scores: Sequence[PageScore]) -> dict[str, float]:
    types = sorted({score.page_type for score in scores})
    return {kind: round(_mean([s.f1 for s in scores if s.page_type == kind]), 4) for kind in types}


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


if __name__ == "__main__":
    main()
