# /// script
# dependencies = ["hf-curation[select,fast]", "data-selection==1.0.3"]
# ///
"""How fast documents are weighed, beside data-selection, the package of DSIR's authors.

python recipes/benchmarks/debian_docs.py --out runs/debian-docs --large
python recipes/benchmarks/scoring.py --documents runs/debian-docs/documents-large.jsonl --tokenizer LLAMA_3_FOLDER

Every round times each of ours, and next to it the peer: its own featurizer and dot product, on a part of the documents
(it manages about 1 MB/s). A ratio is of megabytes of text per second of processor time, which a busy machine stretches
less than the clock; the figure is the median over rounds. Kernels are compiled before. The last line is JSON:

- kernel_ratio: word n-grams, list of strings in, weights out, with our hash
- plain_ratio: the same without numba
- exact_ratio: DSIR's own buckets, its memory of words empty at the start of each round
- ids_fast_ratio, ids_hf_ratio: n-grams of a tokenizer's ids, by the fastest exact encoder and by `tokenizers`; the
  encoder remembers the words of the rounds before, as in a long run, but every round takes documents it has not seen
- adapted_ratio: the same with an adapted vocabulary, by the fastest exact encoder
- jsonl_ratio, parquet_ratio: a rank of the datatrove step WeighDocuments, from a file to its sidecar
- whole_run_ratio: whole processes, from JSON lines to the chosen lines: fit, score, choose, write (`--whole-mb` of raw
  documents and a tenth of it as target)
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scoring_runs import cut_documents, time_process, write_jsonl, write_parquet

from hf_curation.sampling import FeatureSpec, ImportanceModel, load_featurizer
from hf_curation.sampling.features import Featurizer
from hf_curation.sampling.spec import default_buckets
from hf_curation.vocabulary.encoding import load_bulk_encoder

os.environ.setdefault("OMP_NUM_THREADS", "1")

Contender = Callable[[int], tuple[float, float]]
"""Takes the number of a round; returns megabytes of text and seconds."""


def main() -> None:
    args = parse_arguments()
    documents = [json.loads(line)["text"] for line in args.documents.open(encoding="utf-8")]
    print(f"{len(documents):,} documents, {size_mb(documents):.1f} MB of text", file=sys.stderr)
    peer = Peer(documents)
    with tempfile.TemporaryDirectory() as folder:
        contenders = dict(make_contenders(args, documents, Path(folder)))
        figures: dict[str, Any] = {f"{name}_ratio": None for name in NAMES}
        figures |= compare(contenders, peer, args.rounds)
        if wanted(args, "whole_run"):
            raw, target = cut_documents(documents, args.whole_mb), documents[: max(len(documents) // 20, 1)]
            figures["whole_run_ratio"] = compare_processes(raw, target, Path(folder), args.whole_rounds)
    print(json.dumps(figures | {"documents_mb": round(size_mb(documents), 1), "rounds": args.rounds}))


NAMES = (
    "kernel",
    "plain",
    "exact",
    "ids_fast",
    "ids_hf",
    "adapted",
    "jsonl",
    "parquet",
    "whole_run",
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=Path, required=True, help="JSON lines with `text`")
    parser.add_argument("--tokenizer", help="folder of a tokenizer.json, for instance Llama-3's")
    parser.add_argument("--adapted", help="folder of an adapted vocabulary")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--whole-mb", type=float, default=20.0)
    parser.add_argument("--whole-rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=NAMES, help="leave the others out")
    return parser.parse_args()


def wanted(args: argparse.Namespace, name: str) -> bool:
    return args.only is None or name in args.only


def size_mb(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


class Peer:
    """data-selection's featurizer and estimator on about 2 MB of documents a round."""

    def __init__(self, documents: list[str]) -> None:
        from data_selection import HashedNgramDSIR

        self._dsir = HashedNgramDSIR(["-"], ["-"], tempfile.mkdtemp(), num_proc=1)
        self._dsir.log_diff = np.random.default_rng(0).normal(size=10_000)
        self._parts = spread(documents, 2.0)

    def __call__(self, number: int) -> tuple[float, float]:
        """Run round `number`; return megabytes and seconds."""
        part = self._parts[number % len(self._parts)]
        start = time.process_time()
        for text in part:
            self._dsir.importance_estimator(self._dsir.featurizer(text))
        return size_mb(part), time.process_time() - start


def spread(documents: list[str], num_mb: float) -> list[list[str]]:
    """Deal documents into parts of about so many megabytes, each from all over the input."""
    num_parts = max(round(size_mb(documents) / num_mb), 1)
    return [documents[start::num_parts] for start in range(num_parts)]


def make_contenders(args: argparse.Namespace, documents: list[str], folder: Path) -> Iterator[tuple[str, Contender]]:
    """Yield what is timed, by name."""
    parts = spread(documents, 20.0)
    unseen_mb = min(20.0, size_mb(documents) / (args.rounds + 1))
    if wanted(args, "kernel"):
        yield "kernel", Scorer(load_featurizer(FeatureSpec()), parts)
    if wanted(args, "plain"):
        yield "plain", Scorer(load_featurizer(FeatureSpec(), backend="plain"), spread(documents, 4.0))
    if wanted(args, "exact"):
        load_featurizer(FeatureSpec.dsir())
        yield "exact", Scorer(lambda: load_featurizer(FeatureSpec.dsir()), parts)
    for name, tokenizer, backend, num_mb in (
        ("ids_fast", args.tokenizer, "auto", unseen_mb),
        ("ids_hf", args.tokenizer, "plain", 4.0),
        ("adapted", args.adapted, "auto", unseen_mb),
    ):
        if tokenizer and wanted(args, name):
            encoder = load_bulk_encoder(tokenizer, backend=backend)
            print(f"{name}: encoded by {encoder.backend_name}", file=sys.stderr)
            spec = FeatureSpec(tokens=tokenizer, lower=False, num_buckets=default_buckets(tokenizer))
            yield name, Scorer(load_featurizer(spec, encoder=encoder), spread(documents, num_mb))
    if wanted(args, "jsonl"):
        yield "jsonl", Weigher(write_jsonl(documents, folder / "documents.jsonl"), documents, folder / "jsonl")
    if wanted(args, "parquet"):
        yield "parquet", Weigher(write_parquet(documents, folder / "documents.parquet"), documents, folder / "parquet")


class Scorer:
    """A featurizer, or what makes a fresh one for every round, on one part of the documents a round."""

    def __init__(self, featurizer: Featurizer | Callable[[], Featurizer], parts: list[list[str]]) -> None:
        self._featurizer = featurizer
        self._parts = parts
        made = featurizer() if callable(featurizer) else featurizer
        self._table = np.random.default_rng(0).normal(size=made.spec.num_buckets)

    def __call__(self, number: int) -> tuple[float, float]:
        """Run round `number`; return megabytes and seconds."""
        part = self._parts[number % len(self._parts)]
        featurizer = self._featurizer() if callable(self._featurizer) else self._featurizer
        start = time.process_time()
        featurizer.score(part, self._table)
        return size_mb(part), time.process_time() - start


class Weigher:
    """A rank of WeighDocuments, from a file to its sidecar."""

    def __init__(self, path: Path, documents: list[str], output: Path) -> None:
        from datatrove_steps.importance.readings import Reading
        from datatrove_steps.importance.texts import Keys
        from hf_curation.files.sources import find_source
        from hf_curation.files.spans import Span

        spec = FeatureSpec()
        counts_B = np.random.default_rng(0).integers(1, 1000, (2, spec.num_buckets))
        output.mkdir()
        self._model = output / "model.npz"
        ImportanceModel.fit(counts_B[0], counts_B[1], spec).save(self._model)
        self._readings = [Reading(source=find_source(str(path)), spans=[Span(0)], keys=Keys())]
        self._num_mb = size_mb(documents)
        self._output = output

    def __call__(self, number: int) -> tuple[float, float]:
        """Run round `number`; return megabytes and seconds."""
        from datatrove_steps.importance.weigh import WeighDocuments

        step = WeighDocuments(self._model, output_folder=self._output / str(number), readings=self._readings)
        start = time.process_time()
        for _ in step.run(None, 0, 1):
            pass
        return self._num_mb, time.process_time() - start


def compare(contenders: dict[str, Contender], peer: Contender, rounds: int) -> dict[str, float]:
    """Run all in turn; return the median ratio of each to the peer's rate of the same round, and the peer's rate."""
    rates: dict[str, list[float]] = {name: [] for name in (*contenders, "peer")}
    for number in range(rounds + 1):
        for name, contender in (*contenders.items(), ("peer", peer)):
            num_mb, seconds = contender(number)
            if number:  # the first round warms up
                rates[name].append(num_mb / seconds)
    for name, of_name in rates.items():
        low, middle, high = min(of_name), statistics.median(of_name), max(of_name)
        print(f"{name:10} MB/s of text: min {low:.2f}, median {middle:.2f}, max {high:.2f}", file=sys.stderr)
    ratios = {
        f"{name}_ratio": round(statistics.median(o / p for o, p in zip(rates[name], rates["peer"], strict=True)), 1)
        for name in contenders
    }
    return ratios | {"peer_mb_s": round(statistics.median(rates["peer"]), 2)}


def compare_processes(raw: list[str], target: list[str], folder: Path, rounds: int) -> float:
    """Return the median ratio of the processor time of whole processes: the peer's over ours."""
    paths = write_jsonl(raw, folder / "raw.jsonl"), write_jsonl(target, folder / "target.jsonl")
    ratios = []
    for number in range(rounds + 1):
        ours_s = time_process("ours", *paths, folder / f"ours-{number}")
        if not number:  # warms up, files too
            continue
        theirs_s = time_process("theirs", *paths, folder / f"theirs-{number}")
        print(f"whole run: ours {ours_s:.2f} s, theirs {theirs_s:.2f} s", file=sys.stderr)
        ratios.append(theirs_s / ours_s)
    return round(statistics.median(ratios), 1)


if __name__ == "__main__":
    main()
