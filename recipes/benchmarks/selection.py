# /// script
# dependencies = ["hf-curation[fast,select,train]", "data-selection"]
# ///
r"""Does selecting help, and do several granularities of tokens select better? A corpus whose right answer is known.

python recipes/benchmarks/debian_docs.py --out runs/docs --large
python recipes/benchmarks/selection.py --documents runs/docs/documents-large.jsonl --tokenizer LLAMA3

Twelve documentation sites (110 MB); one of them is sought, and 3 % of the pool are its pages. A method sees other
pages of the site and chooses 1, 2 and 5 % of the pool's bytes:

    random         by nothing
    dsir           word uni- and bigrams, 10,000 buckets, sum over the document: the paper's, on whole documents
    words          the same features, our estimator: mean per n-gram, back-off, temperature
    tokenizer      n-grams of the base tokenizer's ids, in 2^20 buckets
    adapted        n-grams of the base adapted to the target (`adapt_tokenizer`), multi-word tokens among them

What comes out, for each: the share of the chosen bytes that is of the sought source; KL(target || chosen) on character
5-grams, which no method uses; and bits per byte on held-out passages of the sought source and of all others, of models
of 1.4 million parameters that are trained on the chosen 1 % (`proxy_models.py`), a draw and a training per seed.
Intervals: 95 %, by Student's t over seeds. The run can be stopped and resumed. The last line is JSON:

- precision: method -> share -> mean, low, high;  kl: the same, in nats;  kl_pool: of the pool, for comparison
- bits_per_byte: method -> target, others -> mean, low, high
- overlap: method -> share of the bytes at 1 % that plain top-k chooses too (1: the noise has no effect)
- median_bytes: method -> median length of a chosen document at 1 %; median_bytes_pool
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from meco_figures import interval
from proxy_models import ProxySetting, bits_per_byte_of, train_proxy
from selection_pool import Pool, make_pool

from hf_curation.files.atomic import write_json
from hf_curation.sampling import BackOff, FeatureSpec, Floor, ImportanceModel, Scoring, Smoothing, load_featurizer
from hf_curation.sampling.candidates import Candidates
from hf_curation.sampling.choose import choose
from hf_curation.sampling.keys import stable_hash64
from hf_curation.sampling.measures import kl_divergence
from hf_curation.sampling.probes import CharNgrams
from hf_curation.sampling.rules import ChoiceRules
from hf_curation.sampling.spec import default_buckets

METHODS = ("random", "dsir", "words", "tokenizer", "adapted")
SHARES = (0.01, 0.02, 0.05)
TRAINED_SHARE = 0.01
VOCABULARY = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True, help="JSONL with id, source, text")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder of a byte-level BPE, such as Llama-3's")
    parser.add_argument("--work", type=Path, default=Path("runs/selection"))
    parser.add_argument("--target", default="postgresql-doc-15", help="the source that is sought")
    parser.add_argument("--minority", type=float, default=0.03, help="its share of the pool")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--temperature", type=float, default=Scoring().temperature, help="of all but dsir")
    parser.add_argument("--methods", nargs="+", default=METHODS, choices=METHODS)
    parser.add_argument("--no-training", action="store_true", help="choose only")
    args = parser.parse_args()
    work = args.work / f"{args.target}-{args.minority}-{args.temperature}"
    work.mkdir(parents=True, exist_ok=True)
    pool = make_pool(args.documents, args.target, args.minority)
    adapted = partial(adapt, args.tokenizer, pool, work / "adapted")
    runs: dict[str, list[dict[str, Any]]] = {}
    for method in args.methods:
        weights = weigh(method, pool, args.tokenizer, adapted, work)
        temperature = Scoring.dsir().temperature if method == "dsir" else args.temperature
        for seed in range(args.seeds):
            found = kept(work / f"choice-{method}-{seed}.json", partial(chosen_by, pool, weights, temperature, seed))
            if not args.no_training:
                run = partial(trained, pool, found["rows"], seed, work)
                found |= kept(work / f"model-{method}-{seed}.json", run)
            runs.setdefault(method, []).append(found)
            print(method, seed, {k: v for k, v in found.items() if k != "rows"}, flush=True)
    print(json.dumps(summary(runs) | facts_of(pool)))


def kept(path: Path, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what is at `path`, made at first."""
    if not path.exists():
        write_json(path, work())
    return dict(json.loads(path.read_text()))


def weigh(method: str, pool: Pool, tokenizer: Path, adapted: Callable[[], Path], work: Path) -> np.ndarray:
    """Return float64[N], the log weight of every document of the pool."""
    if method == "random":
        return np.zeros(len(pool.texts))
    path = work / f"weights-{method}.npy"
    if not path.exists():
        if method == "dsir":
            weights = weigh_with(pool, FeatureSpec.dsir(), Floor(), Scoring.dsir())
        elif method == "words":
            weights = weigh_with(pool, FeatureSpec(), BackOff(), Scoring())
        else:
            folder = tokenizer if method == "tokenizer" else adapted()
            spec = FeatureSpec(tokens=str(folder), lower=False, num_buckets=default_buckets(str(folder)))
            weights = weigh_with(pool, spec, BackOff(), Scoring())
        np.save(path, weights)
    return np.load(path)


def weigh_with(pool: Pool, spec: FeatureSpec, smoothing: Smoothing, scoring: Scoring) -> np.ndarray:
    """Return float64[N]: fit on target and pool, weigh the pool."""
    featurizer = load_featurizer(spec)
    target, raw = np.zeros((2, spec.num_buckets), np.int64)
    featurizer.count(pool.target, target)
    featurizer.count(pool.texts, raw)
    model = ImportanceModel.fit(target, raw, spec, smoothing=smoothing)
    return model.log_weights(pool.texts, scoring=scoring, featurizer=featurizer).log_weight


def adapt(tokenizer: Path, pool: Pool, folder: Path) -> Path:
    """Return the folder of the base tokenizer adapted to the target."""
    from hf_curation.vocabulary import adapt_tokenizer

    if not (folder / "tokenizer.json").exists():
        adapt_tokenizer(str(tokenizer), pool.target).save(folder)
    return folder


def chosen_by(pool: Pool, weights: np.ndarray, temperature: float, seed: int) -> dict[str, Any]:
    """Choose at every share; return precision, KL on unused features, and the rows of the share that is trained on."""
    num_bytes = pool.num_bytes  # equal bytes for all methods, so bytes are what the budget counts
    candidates = Candidates(hashes=stable_hash64(pool.ids), log_weights=weights, num_tokens=num_bytes)
    is_wanted = np.array([source == pool.name for source in pool.sources])
    found: dict[str, Any] = {"precision": {}, "kl": {}}
    for share in SHARES:
        rules = ChoiceRules(budget=f"{100 * share:g}%", seed=seed, temperature=temperature)
        is_chosen = rows_of_choice(candidates, rules)
        found["precision"][str(share)] = num_bytes[is_chosen & is_wanted].sum() / num_bytes[is_chosen].sum()
        found["kl"][str(share)] = kl_of(pool, [pool.texts[i] for i in np.flatnonzero(is_chosen)])
        if share == TRAINED_SHARE:
            is_top = rows_of_choice(candidates, replace(rules, top_k=True))
            found["rows"] = np.flatnonzero(is_chosen).tolist()
            found["overlap"] = num_bytes[is_chosen & is_top].sum() / num_bytes[is_chosen].sum()
            found["median_bytes"] = float(np.median(num_bytes[is_chosen]))
    return json.loads(json.dumps(found, default=float))


def rows_of_choice(candidates: Candidates, rules: ChoiceRules) -> np.ndarray:
    """Return bool[N]."""

    def read() -> Iterator[Candidates]:
        yield candidates

    return choose(read, rules).of(candidates).lane >= 0


def kl_of(pool: Pool, texts: list[str]) -> float:
    """Return KL(target || texts) on character 5-grams."""
    probes = CharNgrams()
    target, found = probes.empty(), probes.empty()
    probes.count(pool.target, target)
    probes.count(texts, found)
    return kl_divergence(target, found)


def trained(pool: Pool, rows: list[int], seed: int, work: Path) -> dict[str, Any]:
    """Train a model on the chosen documents; return its bits per byte."""
    tokenizer = tokenizer_of(pool, work)
    model = train_proxy([pool.texts[i] for i in rows], tokenizer, seed, ProxySetting())
    return {
        "bits_per_byte": {
            "target": bits_per_byte_of(model, tokenizer, pool.held_out_target),
            "others": bits_per_byte_of(model, tokenizer, pool.held_out_others),
        }
    }


def tokenizer_of(pool: Pool, work: Path) -> Any:  # noqa: ANN401
    """Return the models' tokenizer: one for all methods, from every twentieth document of the pool."""
    from meco_corpus import train_tokenizer
    from transformers import PreTrainedTokenizerFast

    path = work / "proxy-tokenizer"
    if not path.exists():
        train_tokenizer(iter(pool.texts[::20]), VOCABULARY).save_pretrained(path)
    return PreTrainedTokenizerFast.from_pretrained(path)


def summary(runs: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return the figures over seeds."""
    figures: dict[str, Any] = {name: {} for name in ("precision", "kl", "bits_per_byte", "overlap", "median_bytes")}
    for method, group in runs.items():
        for name in ("precision", "kl"):
            figures[name][method] = {str(s): interval([run[name][str(s)] for run in group]) for s in SHARES}
        figures["overlap"][method] = interval([run["overlap"] for run in group])
        figures["median_bytes"][method] = interval([run["median_bytes"] for run in group])
        if "bits_per_byte" in group[0]:
            figures["bits_per_byte"][method] = {
                where: interval([run["bits_per_byte"][where] for run in group]) for where in ("target", "others")
            }
    return figures


def facts_of(pool: Pool) -> dict[str, Any]:
    num_bytes = pool.num_bytes
    return {
        "documents": len(pool.texts),
        "bytes": int(num_bytes.sum()),
        "target_bytes": sum(len(text.encode()) for text in pool.target),
        "median_bytes_pool": float(np.median(num_bytes)),
        "kl_pool": kl_of(pool, pool.texts),
    }


if __name__ == "__main__":
    main()
