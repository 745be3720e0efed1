# /// script
# dependencies = ["hf-curation[select]"]
# ///
"""How fast a tokenizer is adapted, and what it gains on the target and costs on other text.

python recipes/benchmarks/vocabulary.py --base FOLDER --target TARGET.jsonl --general OTHER.jsonl
python recipes/benchmarks/vocabulary.py --base FOLDER --target DOCS.jsonl --split 4    # every 4th text is the target

FOLDER holds a `tokenizer.json` (or is a name on the Hub), the files hold JSON lines with `text`. Seconds are wall
clock and CPU, the median over rounds, of `adapt_tokenizer` alone; reading files, saving and the self-test come after.
Bytes per token of the target come from the curve, of general text from encoding it. The last line is JSON:

- seconds, cpu_s, save_s, peak_mb; target_mb, general_mb
- target_bytes_per_token, general_bytes_per_token: [base, adapted]
- union_general: bytes per token of general text with all that was learned and nothing removed, with --with-union
- multi_word_share: of the target's tokens; num_in_words, num_across, lowest_count, num_removed
- changed_by_merges_only: of the first general texts, how many the base segments otherwise with `ignore_merges` off, as
  it is adapted, and by how many more tokens
- curve: [size, tokens per byte, types used, H, H_v by used types, all types, occurrences, unreachable] at each point
"""

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from hf_curation.vocabulary import AdaptedTokenizer, ByteLevelBPE, CurvePoint, adapt_tokenizer

CHANGED_SAMPLE = 1_500
"""Texts that are encoded with and without `ignore_merges`."""


def main() -> None:
    args = build_parser().parse_args()
    target, general = read_texts(args.target), read_texts(args.general)
    if args.split:
        target, general = target[:: args.split], [t for i, t in enumerate(target) if i % args.split] + general
    settings = {"new_tokens": args.new_tokens, "min_count": args.min_count, "final_size": args.final_size}
    settings |= {"steps": args.steps, "step": args.step, "order": args.order}
    wall, cpu = [], []
    for _ in range(args.rounds):
        started, started_cpu = time.perf_counter(), time.process_time()
        adapted = adapt_tokenizer(args.base, target, **settings)
        wall.append(time.perf_counter() - started)
        cpu.append(time.process_time() - started_cpu)
    figures = {"seconds": round(statistics.median(wall), 1), "cpu_s": round(statistics.median(cpu), 1)}
    figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    figures |= save(adapted, args.out, target)
    figures |= describe(adapted, target, general)
    if args.with_union and general:
        union = adapt_tokenizer(args.base, target, **settings | {"final_size": adapted.curve[1].size})
        figures["union_general"] = bytes_per_token(union.tokenizer, general)
    figures |= merges_only(adapted.base, general[:CHANGED_SAMPLE])
    print_curve(adapted)
    print(json.dumps(figures | {"curve": [row(point) for point in adapted.curve]}))


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="folder, tokenizer.json or Hub name")
    parser.add_argument("--target", type=Path, nargs="+", required=True)
    parser.add_argument("--general", type=Path, nargs="*", default=[])
    parser.add_argument(
        "--split", type=int, default=0, help="take every N-th text as the target, the others as general"
    )
    parser.add_argument("--out", type=Path, help="keep the adapted tokenizer here")
    parser.add_argument("--new-tokens", type=int, default=100_000)
    parser.add_argument("--min-count", type=int, default=20)
    parser.add_argument("--final-size", type=int)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--step", type=int, default=10_000)
    parser.add_argument("--order", choices=("utility", "frequency"), default="utility")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument(
        "--with-union", action="store_true", help="measure the union on general text too: one more run"
    )
    return parser


def read_texts(paths: list[Path]) -> list[str]:
    texts = []
    for path in paths:
        with path.open(encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    return texts


def save(adapted: AdaptedTokenizer, folder: Path | None, target: list[str]) -> dict[str, Any]:
    """Save and self-test, with a thousand texts of the target among those that must come back."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        manifest = adapted.save(folder or scratch, texts=target[:: max(1, len(target) // 1_000)])
    print(f"self-test passed: {manifest['self_test']}", file=sys.stderr)
    return {"save_s": round(time.perf_counter() - started, 1)}


def describe(adapted: AdaptedTokenizer, target: list[str], general: list[str]) -> dict[str, Any]:
    point, made = adapted.curve[adapted.chosen], adapted.figures
    before_after = [bytes_per_token(bpe.to_tokenizer(), general) for bpe in (adapted.base, adapted.bpe) if general]
    return {
        "target_mb": round(made["target_bytes"] / 1e6, 2),
        "general_mb": round(sum(len(text.encode()) for text in general) / 1e6, 2),
        "target_texts": len(target),
        "target_bytes_per_token": [round(value, 4) for value in adapted.bytes_per_token],
        "general_bytes_per_token": before_after,
        "multi_word_share": round(point.multi_word_share, 4),
        "num_in_words": made["learned_in_words"],
        "num_across": made["learned_across_spaces"],
        "lowest_count": made["learned_lowest_count"],
        "num_removed": len(adapted.removed),
    }


def bytes_per_token(tokenizer: Tokenizer, texts: list[str]) -> float:
    num_tokens = sum(len(encoding) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False))
    return round(sum(len(text.encode()) for text in texts) / num_tokens, 4)


def merges_only(base: ByteLevelBPE, texts: list[str]) -> dict[str, Any]:
    """Count the texts that the base segments otherwise when whole pre-tokens are not looked up."""
    if not base.ignore_merges or not texts:
        return {"changed_by_merges_only": [0, 0]}
    plain = base.to_tokenizer()
    plain.model.ignore_merges = False
    with_lookup = base.to_tokenizer().encode_batch_fast(texts, add_special_tokens=False)
    without = plain.encode_batch_fast(texts, add_special_tokens=False)
    pairs = list(zip(with_lookup, without, strict=True))
    num_changed, num_more = sum(a.ids != b.ids for a, b in pairs), sum(len(b) - len(a) for a, b in pairs)
    return {"changed_by_merges_only": [num_changed, num_more]}


def print_curve(adapted: AdaptedTokenizer) -> None:
    print(f"{'size':>9} {'tok/byte':>9} {'types':>8} {'H':>7} {'used':>7} {'all':>7} {'occ.':>7}  multi unreachable")
    for i, point in enumerate(adapted.curve):
        mark = "  <- taken" if i == adapted.chosen else ""
        utility = " ".join(f"{point.utility[name]:7.4f}" for name in ("used_types", "all_types", "occurrences"))
        print(
            f"{point.size:9,} {point.tokens_per_byte:9.4f} {point.types_used:8,} {point.entropy:7.4f} {utility} "
            f"{point.multi_word_share:6.1%} {point.unreachable}{mark}"
        )


def row(point: CurvePoint) -> list[float]:
    utilities = [round(point.utility[name], 5) for name in ("used_types", "all_types", "occurrences")]
    rounded = [round(point.tokens_per_byte, 5), point.types_used, round(point.entropy, 5), *utilities]
    return [point.size, *rounded, point.unreachable]


if __name__ == "__main__":
    main()
