# /// script
# dependencies = ["hf-curation[select,train]"]
# ///
r"""Which temperature: how near small choices come to the target, between the top of the list and a random draw.

python recipes/benchmarks/temperature.py --documents runs/docs/documents-large.jsonl --target postgresql-doc-15
python recipes/benchmarks/temperature.py --documents pages.jsonl.gz --target-texts questions.jsonl

The first form seeks a source that 3 % of the pool belong to (`selection_pool`); the second takes any pool and target.
Features are words, or `--features TOKENIZER`; KL(target || chosen) is on character 5-grams, which no method uses, over
five draws. Towards 0 the choice is the top of the list and collapses onto odd documents, far up it is random. The last
line is JSON: temperature (or `top_k`, `dsir`) -> share of the pool's bytes -> kl, and precision where the source is
known; kl_pool.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from selection import kl_of, rows_of_choice, weigh_with
from selection_pool import Pool, make_pool

from hf_curation.sampling import BackOff, ChoiceRules, FeatureSpec, Floor, Scoring
from hf_curation.sampling.candidates import Candidates
from hf_curation.sampling.keys import stable_hash64
from hf_curation.sampling.spec import default_buckets

TEMPERATURES = (0.3, 0.2, 0.1, 0.05, 0.03, 0.02, 0.01)
SHARES = (0.01, 0.02, 0.05, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True, help="the pool")
    parser.add_argument("--target", help="a source of the pool")
    parser.add_argument("--target-texts", type=Path, help="texts of the target, instead of a source")
    parser.add_argument("--minority", type=float, default=0.03)
    parser.add_argument("--features", default="words", help="words, or the folder of a tokenizer")
    parser.add_argument("--buckets", type=int, help="hash buckets; default: 10000 for words, 2^20 for a tokenizer")
    parser.add_argument("--draws", type=int, default=5)
    args = parser.parse_args()
    if (args.target is None) == (args.target_texts is None):
        parser.error("give --target SOURCE or --target-texts FILE")
    if args.target is not None:
        pool = make_pool(args.documents, args.target, args.minority)
    else:
        pool = plain_pool(texts_of(args.documents), texts_of(args.target_texts))
    table: dict[str, Any] = {}
    buckets = args.buckets or default_buckets(args.features)
    spec = FeatureSpec(tokens=args.features, lower=args.features == "words", num_buckets=buckets)
    ours = weigh_with(pool, spec, BackOff(), Scoring())
    for temperature in TEMPERATURES:
        table[f"{temperature:g}"] = row(pool, ours, args.draws, temperature=temperature)
    table["top_k"] = row(pool, ours, 1, top_k=True)
    theirs = weigh_with(pool, FeatureSpec.dsir(), Floor(), Scoring.dsir())
    table["dsir"] = row(pool, theirs, args.draws, temperature=Scoring.dsir().temperature)
    for name, cells in table.items():
        print(f"{name:>6}", *(" ".join(f"{k} {v:.3f}" for k, v in cell.items()) for cell in cells.values()), sep="   ")
    print(json.dumps({"table": table, "kl_pool": kl_of(pool, pool.texts), "documents": len(pool.texts)}))


def row(pool: Pool, weights: np.ndarray, draws: int, **rules: Any) -> dict[str, dict[str, float]]:  # noqa: ANN401
    """Return the figures of one way to choose, by share, as means over draws."""
    num_bytes = pool.num_bytes
    candidates = Candidates(hashes=stable_hash64(pool.ids), log_weights=weights, num_tokens=num_bytes)
    is_wanted = np.array([source == pool.name for source in pool.sources])
    cells: dict[str, dict[str, float]] = {}
    for share in SHARES:
        kls, precisions = [], []
        for seed in range(draws):
            chosen = rows_of_choice(candidates, ChoiceRules(budget=f"{100 * share:g}%", seed=seed, **rules))
            kls.append(kl_of(pool, [pool.texts[i] for i in np.flatnonzero(chosen)]))
            precisions.append(num_bytes[chosen & is_wanted].sum() / num_bytes[chosen].sum())
        cells[str(share)] = {"kl": float(np.mean(kls))}
        if pool.name:
            cells[str(share)]["precision"] = float(np.mean(precisions))
    return cells


def plain_pool(texts: Sequence[str], target: Sequence[str]) -> Pool:
    ids = [str(number) for number in range(len(texts))]
    return Pool(list(texts), [""] * len(texts), ids, list(target), [], [], name="")


def texts_of(path: Path) -> list[str]:
    from datatrove_steps import ReadDocuments

    return [doc.text for doc in ReadDocuments(path).run()]


if __name__ == "__main__":
    main()
