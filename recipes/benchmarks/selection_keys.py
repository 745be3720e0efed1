"""How fast documents are drawn by their weights, beside a Gumbel draw in numpy (the shape of DSIR's `resample`).

python recipes/benchmarks/selection_keys.py          # 1e7 candidates, a tenth of them drawn; 1 GB of memory

Both draws are of documents in memory: noise for every one, then `argpartition`. Ours takes its noise from seed and
hash, so that order, tasks and machine do not matter; numpy's from a generator. Times are CPU seconds of one core, the
median over rounds that run in turn. `choose` is the whole choice of the same documents in chunks, with little memory:
counting, a look for equal ids, the exact threshold, the account. The last line is JSON:

- keys_ratio: time of the peer / ours; above 1 is faster
- ns_a_key, ns_a_key_plain: our noise, compiled and in numpy
- choose_s, choose_mb: seconds of `choose`, and by how much it raised the process's peak of memory
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hf_curation.sampling.candidates import Candidates
from hf_curation.sampling.choose import choose
from hf_curation.sampling.keys import plain_noise
from hf_curation.sampling.keys_fast import compiled_noise
from hf_curation.sampling.rules import ChoiceRules

CHUNK = 100_000
TEMPERATURE = 0.1
WORDS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=float, default=1e7)
    parser.add_argument("--share", type=float, default=0.1, help="of the documents that are drawn")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    num, num_drawn = int(args.candidates), int(args.candidates * args.share)
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 1 << 64, num, dtype=np.uint64)
    weights = rng.normal(size=num)
    num_tokens = rng.integers(50, 2_000, num)
    figures = measure_choose(hashes, weights, num_tokens, args.share)
    rounds = [measure_round(hashes, weights, num_drawn) for _ in range(args.rounds)]
    medians = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    figures |= {
        "keys_ratio": round(medians["peer"] / medians["ours"], 2),
        "ns_a_key": round(medians["compiled"] / num * 1e9, 1),
        "ns_a_key_plain": round(medians["plain"] / num * 1e9, 1),
    }
    print(json.dumps({"candidates": num, "drawn": num_drawn} | figures))


def measure_round(hashes: np.ndarray, weights: np.ndarray, num_drawn: int) -> dict[str, float]:
    """Return CPU seconds of each way."""
    first_out = len(hashes) - num_drawn

    def peer() -> np.ndarray:
        keys = weights + np.random.gumbel(size=len(weights))  # noqa: NPY002 - what the peer does
        return np.argpartition(-keys, num_drawn)[:num_drawn]

    def ours() -> np.ndarray:
        return np.argpartition(weights / TEMPERATURE + compiled_noise(hashes, *WORDS), first_out)[first_out:]

    ways: dict[str, Callable[[], Any]] = {
        "peer": peer,
        "ours": ours,
        "compiled": lambda: compiled_noise(hashes, *WORDS),
        "plain": lambda: plain_noise(hashes, *WORDS),
    }
    return {name: cpu_seconds(way) for name, way in ways.items()}


def measure_choose(hashes: np.ndarray, weights: np.ndarray, num_tokens: np.ndarray, share: float) -> dict[str, float]:
    """Return time and memory of the whole choice."""
    compiled_noise(hashes[:1], *WORDS)

    def read() -> Iterator[Candidates]:
        for start in range(0, len(hashes), CHUNK):
            rows = slice(start, start + CHUNK)
            yield Candidates(hashes=hashes[rows], log_weights=weights[rows], num_tokens=num_tokens[rows])

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = cpu_seconds(lambda: choose(read, ChoiceRules(budget=f"{100 * share:g}%", temperature=TEMPERATURE)))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return {"choose_s": round(seconds, 2), "choose_mb": round(grown / 1024)}


def cpu_seconds(work: Callable[[], Any]) -> float:
    """Return the CPU time of a call, in seconds."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
