"""How long one program takes, parsed and executed, beside the reference executor of GAIR-NLP/ProX.

python recipes/benchmarks/programs.py --reference CHECKOUT

Chunks and programs are synthetic and seeded: 3,000 chunks of about 1,500 tokens (5.9 KB, 37 lines), 35 % of programs
keep, 2.7 calls a program. Both executors run in turn, round by round, so that a busy machine disturbs both alike.
Without --reference the ratio is null. The last line is JSON:

- us_per_program: microseconds of processor time to parse and execute one program: mean of a round, median of rounds
- us_median: the median program, timed one by one
- ratio: reference time / our time, median over rounds
- agree: share of programs for which both give the same text (theirs drops pages and splits strings at commas)
"""

import argparse
import json
import random
import runpy
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from hf_curation.programs import execute, parse_program

Executor = Callable[[str, str], str]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reference", type=Path, help="a checkout of github.com/GAIR-NLP/ProX")
    parser.add_argument("--num-chunks", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    cases = make_cases(args.num_chunks, args.seed)
    print(describe(cases))

    executors: dict[str, Executor] = {"ours": ours}
    if args.reference is not None:
        executors["reference"] = load_reference(args.reference)
    rounds: dict[str, list[float]] = {name: [] for name in executors}
    for number in range(args.rounds + 1):
        for name, executor in executors.items():
            seconds = time_round(executor, cases)
            if number:  # the first round warms up
                rounds[name].append(seconds / len(cases) * 1e6)
    for name, us in rounds.items():
        print(f"{name:10} us/program: min {min(us):.1f}, median {statistics.median(us):.1f}, max {max(us):.1f}")

    figures: dict[str, float | int | None] = {
        "us_per_program": round(statistics.median(rounds["ours"]), 2),
        "us_median": round(median_program(cases), 2),
        "ratio": None,
        "programs": len(cases),
        "rounds": args.rounds,
    }
    if "reference" in rounds:
        ratios = [theirs / ours for ours, theirs in zip(rounds["ours"], rounds["reference"], strict=True)]
        figures["ratio"] = round(statistics.median(ratios), 2)
        figures["ratio_low"], figures["ratio_high"] = round(min(ratios), 2), round(max(ratios), 2)
        same = [ours(text, program) == executors["reference"](text, program) for text, program in cases]
        figures["agree"] = round(sum(same) / len(same), 4)
    print(json.dumps(figures))


def ours(text: str, program: str) -> str:
    return execute(text, parse_program(program)).text


def load_reference(checkout: Path) -> Executor:
    """Load the one module of the checkout that executes programs; it imports nothing."""
    path = checkout / "utils" / "chunk_utils.py"
    if not path.is_file():
        sys.exit(f"no {path}: --reference takes a checkout of github.com/GAIR-NLP/ProX")
    return runpy.run_path(str(path))["execute_meta_operations"]


def make_cases(num_chunks: int, seed: int) -> list[tuple[str, str]]:
    """Return seeded (chunk, program) pairs; the programs are well-formed and name lines and strings of the chunk."""
    rng = random.Random(seed)  # noqa: S311 - a seeded benchmark, no cryptography
    words = ["".join(rng.choices("etaoinshrdlucmfwypvbgk", k=rng.randint(2, 9))) for _ in range(5000)]
    return [make_case(rng, words) for _ in range(num_chunks)]


def make_case(rng: random.Random, words: list[str]) -> tuple[str, str]:
    # Line lengths are skewed as on pages: many menu entries, some paragraphs.
    lines = []
    for _ in range(max(4, round(rng.gauss(37, 9)))):
        num_words = min(200, max(1, round(rng.lognormvariate(2.75, 1.0))))
        lines.append(" ".join(rng.choices(words, k=num_words)))
    if rng.random() < 0.35:
        return "\n".join(lines), "keep_chunk()"
    num_calls = 1 + min(9, int(rng.expovariate(1 / 3.15)))
    starts = sorted(rng.sample(range(len(lines)), min(num_calls, len(lines))))
    stops = [*starts[1:], len(lines)]
    calls = [make_call(rng, lines, start, stop) for start, stop in zip(starts, stops, strict=True)]
    return "\n".join(lines), "\n".join(calls)


def make_call(rng: random.Random, lines: list[str], start: int, stop: int) -> str:
    """Return a call on the lines `start` to `stop` - 1: five of six remove some, the sixth deletes a string."""
    in_line = lines[start].split(" ")
    if rng.random() < 5 / 6 or len(in_line) < 4:
        return f"remove_lines(line_start={start}, line_end={min(stop - 1, start + int(rng.expovariate(0.7)))})"
    first = rng.randrange(len(in_line) - 3)
    return f'normalize(source_str="{" ".join(in_line[first : first + rng.randint(3, 8)])}", target_str="")'


def describe(cases: list[tuple[str, str]]) -> str:
    count = len(cases)
    return (
        f"{count} chunks: {sum(len(t) for t, _ in cases) / count:,.0f} characters, "
        f"{sum(t.count(chr(10)) + 1 for t, _ in cases) / count:.1f} lines, "
        f"{sum(p.count(chr(10)) + 1 for _, p in cases) / count:.2f} calls, "
        f"{sum(len(p) for _, p in cases) / count:.0f} characters a program, "
        f"{sum(p == 'keep_chunk()' for _, p in cases) / count:.0%} keep"
    )


def time_round(executor: Executor, cases: list[tuple[str, str]]) -> float:
    start = time.thread_time()
    for text, program in cases:
        executor(text, program)
    return time.thread_time() - start


def median_program(cases: list[tuple[str, str]]) -> float:
    times = []
    for text, program in cases:
        start = time.thread_time()
        ours(text, program)
        times.append(time.thread_time() - start)
    return statistics.median(times) * 1e6


if __name__ == "__main__":
    main()
