# /// script
# dependencies = ["hf-curation[refine]"]
# ///
"""Free against constrained decoding with a real small model: share of programs that parse, tokens a second.

python recipes/benchmarks/lm_refiner.py --model DIR_OR_HUB_ID --pages PAGES.jsonl --n 20

A folder with a GGUF file needs `--gguf-file NAME` (and the `gguf` package); it is dequantised on loading. Without
`--pages` the quickstart pages are read. `parse_share` is the share of windows whose output holds at least one call and
nothing that could not be read; `call_share`, of those with any call. Tokens a second are generated tokens over the
time of `write`, prefill included and loading excluded; they depend on machine, batch and how early programs end. The
last line printed is JSON.
"""

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hf_curation.programs import normalize_newlines, parse_program
from hf_curation.refiners.base import Draft, Window
from hf_curation.refiners.causal_lm import CausalLMRefiner

QUICKSTART = Path(__file__).parent.parent / "quickstart"


def read_texts(path: Path | None, num_pages: int) -> list[str]:
    """Return the raw texts of the first pages of a JSONL file, or of the quickstart."""
    if path is None:
        sys.path.insert(0, str(QUICKSTART))
        from pages import read_pages

        texts = [str(page["text"]) for page in read_pages()]
        # They are sorted by type: take every so-manieth, to have some of each.
        texts = texts[:: max(1, len(texts) // num_pages)]
    else:
        with path.open(encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in lines]
    if len(texts) < num_pages:
        raise ValueError(f"--n {num_pages} pages wanted, {len(texts)} found in {path or QUICKSTART}")
    return texts[:num_pages]


def measure(refiner: CausalLMRefiner, windows: list[Window]) -> dict[str, Any]:
    """Write all programs once and count what can be read of them."""
    refiner.write(windows[:1])  # loads the weights
    start = time.perf_counter()
    drafts = refiner.write(windows)
    seconds = time.perf_counter() - start
    programs = [
        parse_program(draft.text, refiner.dialect, scope=window.scope, complete=draft.finish_reason != "length")
        for window, draft in zip(windows, drafts, strict=True)
    ]
    return {
        "parse_share": sum(bool(p.calls) and not p.rejected for p in programs) / len(programs),
        "call_share": sum(bool(p.calls) for p in programs) / len(programs),
        "tokens_per_s": sum(draft.output_tokens for draft in drafts) / seconds,
        "output_tokens": sum(draft.output_tokens for draft in drafts),
        "prompt_tokens": sum(draft.prompt_tokens for draft in drafts),
        "seconds": seconds,
        "finish": dict(Counter(draft.finish_reason for draft in drafts)),
        "rejected": dict(Counter(rejection.reason for p in programs for rejection in p.rejected)),
        "drafts": drafts,
    }


def show(title: str, result: dict[str, Any], num_examples: int) -> None:
    drafts: list[Draft] = result["drafts"]
    print(
        f"\n{title}: {result['parse_share']:.0%} of {len(drafts)} programs parse, {result['call_share']:.0%} hold a "
        f"call; {result['tokens_per_s']:.1f} generated tokens/s ({result['output_tokens']} tokens after "
        f"{result['prompt_tokens']} of prompt, {result['seconds']:.0f} s); ended by {result['finish']}; "
        f"rejected {result['rejected']}"
    )
    for draft in drafts[:num_examples]:
        print(f"  {draft.finish_reason:6} {draft.text[:150]!r}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder or Hub id")
    parser.add_argument("--gguf-file", help="a GGUF file within the folder, instead of safetensors")
    parser.add_argument("--preset", default="generic-chunk")
    parser.add_argument("--pages", type=Path, help="JSONL with a `text` field; default: the quickstart pages")
    parser.add_argument("--n", type=int, default=20, help="pages")
    parser.add_argument("--window-tokens", type=int, default=400)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--show", type=int, default=3, help="programs to print per mode")
    args = parser.parse_args()

    texts = read_texts(args.pages, args.n)
    results = {}
    for name in ("free", "constrained"):
        refiner = CausalLMRefiner(
            args.model,
            preset=args.preset,
            gguf_file=args.gguf_file,
            dtype=args.dtype,
            batch_size=args.batch_size,
            window_tokens=args.window_tokens,
            max_new_tokens=args.max_new_tokens,
            constrained=name == "constrained",
        )
        windows = [window for text in texts for window in refiner.windows(normalize_newlines(text))]
        results[name] = measure(refiner, windows)
        show(name, results[name], args.show)
    figures = {
        f"{key}_{name}": round(result[key], 4)
        for key in ("parse_share", "call_share", "tokens_per_s")
        for name, result in results.items()
    }
    print(json.dumps(figures | {"pages": len(texts), "windows": len(windows)}))


if __name__ == "__main__":
    main()
