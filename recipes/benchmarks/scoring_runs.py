"""Whole selections in a process each, for `scoring.py`: ours in memory, and data-selection's as its README runs it.

python recipes/benchmarks/scoring_runs.py ours RAW.jsonl TARGET.jsonl OUT
"""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

SHARE = 0.1


def main() -> None:
    who, raw, target, output = sys.argv[1:]
    (run_ours if who == "ours" else run_theirs)(Path(raw), Path(target), Path(output))


def run_ours(raw: Path, target: Path, output: Path) -> None:
    """Count, fit, weigh, draw a tenth of the documents, write their lines."""
    import numpy as np
    import orjson

    from hf_curation.sampling import FeatureSpec, ImportanceModel, load_featurizer
    from hf_curation.sampling.keys import gumbel_keys, stable_hash64

    spec = FeatureSpec()
    featurizer = load_featurizer(spec)
    lines = raw.read_bytes().splitlines(keepends=True)
    texts = [orjson.loads(line)["text"] for line in lines]
    raw_counts, target_counts = np.zeros((2, spec.num_buckets), np.int64)
    featurizer.count([orjson.loads(line)["text"] for line in target.read_bytes().splitlines()], target_counts)
    featurizer.count(texts, raw_counts)
    model = ImportanceModel.fit(target_counts, raw_counts, spec)
    weights = model.log_weights(texts, featurizer=featurizer)
    keys = gumbel_keys(weights.log_weight, stable_hash64(map(str, range(len(lines)))), 0)
    chosen = np.sort(np.argsort(-keys, kind="stable")[: int(len(lines) * SHARE)])
    output.write_bytes(b"".join(lines[number] for number in chosen))


def run_theirs(raw: Path, target: Path, output: Path) -> None:
    """The same with the peer."""
    from data_selection import HashedNgramDSIR

    num_documents = sum(1 for _ in raw.open("rb"))
    dsir = HashedNgramDSIR([str(raw)], [str(target)], str(output / "cache"), num_proc=1, min_example_length=0)
    dsir.fit_importance_estimator(num_tokens_to_fit="auto")
    dsir.compute_importance_weights()
    dsir.resample(
        out_dir=str(output / "chosen"), num_to_sample=int(num_documents * SHARE), cache_dir=str(output / "resampled")
    )


def time_process(who: str, raw: Path, target: Path, output: Path) -> float:
    """Return the processor seconds of one run in a process of its own, start and imports included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, __file__, who, str(raw), str(target), str(output)],
        check=True,
        capture_output=True,
        env=os.environ | {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def cut_documents(documents: list[str], num_mb: float) -> list[str]:
    """Return documents from all over the input, of about so many megabytes."""
    total = sum(len(text.encode()) for text in documents) / 1e6
    step = max(round(total / num_mb), 1)
    return documents[::step]


def write_jsonl(texts: list[str], path: Path) -> Path:
    """Write documents as JSON lines; return the path."""
    with path.open("w", encoding="utf-8") as file:
        for number, text in enumerate(texts):
            file.write(json.dumps({"id": str(number), "text": text}, ensure_ascii=False) + "\n")
    return path


def write_parquet(texts: list[str], path: Path) -> Path:
    """Write documents as Parquet, zstd, in groups of 10,000 rows; return the path."""
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({"id": [str(number) for number in range(len(texts))], "text": texts})
    parquet.write_table(table, path, compression="zstd", row_group_size=10_000)
    return path


if __name__ == "__main__":
    main()
