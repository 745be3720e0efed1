# /// script
# dependencies = ["hf-curation[train]", "pyyaml"]
# ///
r"""Fit the document head to line weights, on texts that it and the line network did not learn from.

python recipes/train_line_tagger/document_rule.py --data PAGES.jsonl.gz --out OUT/document.safetensors
python recipes/train_line_tagger/document_rule.py --data PAGES.jsonl.gz --out OUT/document.safetensors \
    --weights WEIGHTS.safetensors --folds FOLDER

FOLDER is what `recipes/benchmarks/tagger.py --keep FOLDER` leaves: line weights per fold, so that the lines of a page
are judged by a network that never saw it. Without it, --weights judges them, too well. The last line is JSON: for
each way to hold texts out, the share of every kind that is dropped. `kinds` and `languages` hold out whole kinds and
whole languages of the hand-written set (English by kind), `pages` some pages of each; all hold out domains.
"""

import argparse
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import torch
from document_cases import Case, all_texts, describe
from document_model import Settings, export, fit, scores
from numpy.typing import NDArray
from pages import load_pages

from hf_curation.refiners.tagger.document import LENGTHS, length_band
from hf_curation.refiners.tagger.line_tagger import WEIGHTS as SHIPPED
from hf_curation.refiners.tagger.network import load_network

NUM_FOLDS: Final = 5
FALSE_DROPS: Final = {"page": 0.009, "clean": 0.0025, "note": 0.03, "crop": 0.06, "keep_set": 0.04}
"""The share of each kind's held-out texts that may be lost; a third of it in each band of lengths."""

MARGIN: Final = 1.5
"""Log odds between the limits that the held-out texts ask for and those that are set. Without it the head dropped 5 of
135 descriptions of Python packages: short real texts under badges and link targets, a kind that no fitted text has.
Every second dropped page of the hand-written set is the price. A page that is kept for nothing costs the chunk stage a
little work; a page that is dropped is lost."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="JSONL(.gz) in datatrove's layout with gold_text")
    parser.add_argument(
        "--out", type=Path, required=True, help="the head's file; a readable twin .json lies beside it"
    )
    parser.add_argument("--weights", type=Path, default=SHIPPED, help="line weights (default: those that ship)")
    parser.add_argument("--folds", type=Path, help="folder with line weights per fold")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    begun = time.perf_counter()
    shipped = load_network(args.weights)
    names = [args.folds / f"fold{k}of{NUM_FOLDS}.safetensors" for k in range(NUM_FOLDS)] if args.folds else []
    pages = load_pages(args.data, num_processes=args.threads)
    cases = describe(all_texts(pages, NUM_FOLDS), [load_network(name) for name in names], shipped)
    print(f"{len(cases)} texts, {time.perf_counter() - begun:.0f} s", flush=True)
    held_out = {way: cross_scores(cases, way) for way in ("kinds", "languages", "pages")}
    limits = thresholds(cases, list(held_out.values()))
    figures = {way: dropped(cases, found, limits) for way, found in held_out.items()}
    digest = hashlib.sha256(args.weights.read_bytes()).hexdigest()
    export(fit(cases), args.out, limits, {"line_weights_sha256": digest, "dropped": figures})
    print(f"{args.out}: {args.out.stat().st_size / 1e3:.0f} kB, {time.perf_counter() - begun:.0f} s")
    print(json.dumps({"thresholds": limits, "lengths": LENGTHS, "dropped": figures}))


def cross_scores(cases: Sequence[Case], way: str, settings: Settings | None = None) -> NDArray[np.float64]:
    """Return the junk score of each case from a head that was fitted on the other folds."""
    folds = np.array([_fold(case, way) for case in cases])
    found = np.zeros(len(cases))
    for fold in range(NUM_FOLDS):
        head = fit([case for case, f in zip(cases, folds, strict=True) if f != fold], settings or Settings())
        mine = np.flatnonzero(folds == fold)
        found[mine] = scores(head, [cases[k] for k in mine])
    return found


def thresholds(cases: Sequence[Case], found: Sequence[NDArray[np.float64]]) -> list[float]:
    """Return the limit of each band of lengths: `MARGIN` above what `FALSE_DROPS` asks for in all of `found`."""
    kinds = np.array([case.source.kind for case in cases])
    bands = np.array([length_band(case.evidence.statistics) for case in cases])
    limits = []
    for band in range(len(LENGTHS) + 1):
        lowest = [0.0]
        for kind, share in FALSE_DROPS.items():
            allowed = int(share * (kinds == kind).sum() / (len(LENGTHS) + 1))
            mine = (kinds == kind) & (bands == band)
            if mine.sum() > allowed:
                lowest += [float(np.sort(way[mine])[-1 - allowed]) for way in found]
        limits.append(round(max(lowest) + MARGIN, 3))
    return limits


def dropped(cases: Sequence[Case], found: NDArray[np.float64], limits: Sequence[float]) -> dict[str, float]:
    """Return the share of each kind of text that is dropped."""
    limit = np.array([limits[length_band(case.evidence.statistics)] for case in cases])
    kinds = np.array([case.source.kind for case in cases])
    return {kind: round(float((found > limit)[kinds == kind].mean()), 4) for kind in sorted(set(kinds.tolist()))}


def _fold(case: Case, way: str) -> int:
    text = case.source
    if text.fold >= 0:
        return text.fold
    by_kind = way == "kinds" or (way == "languages" and text.language == "en")
    key = text.text if way == "pages" else text.topic if by_kind else text.language
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") % NUM_FOLDS


if __name__ == "__main__":
    main()
