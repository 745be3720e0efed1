# /// script
# dependencies = ["hf-curation[refine]"]
# ///
"""What makes a small refiner fast on one CPU core, against one prompt at a time; and whether its programs stay equal.

python recipes/benchmarks/decoding.py                  # a small model made in process: runs anywhere, in minutes
python recipes/benchmarks/decoding.py --model DIR --adapter DIR --pages PAGES.jsonl --modes free constrained

The plain loop is `generate` of transformers on one prompt after the other, greedy, nothing shared; under a grammar it
looks up a mask before every token. Every technique is taken alone, then all together, on the same windows. Rounds are
paired: each has pages of its own, on which every technique runs once; printed are medians of the ratios of CPU time
(of one thread), which other load on the machine moves less than the clock. Equal means the same tokens, ended for the
same reason; the plain loop's output is cut, at no charge, where the others stop waiting for it. Where outputs differ,
as they may in bfloat16, the two tokens that first differ are scored in float32: ties are a small fraction of a point.

FLOPs are 2 N (prompt + output) with all N parameters, as the ProX paper counts them; costs are per billion tokens of
page text (the model's own, without markers and template), core-hours those of this machine.
The last line printed is JSON: `speedup` and `equal_outputs` are those of the first of `--modes`, all techniques on;
`speedup_bound` is what they would be if writing cost nothing, as pages have to be read whatever is done.

Measured on one core (AVX-512) of a busy machine: SmolLM2-135M-Instruct (Q4_1, dequantised), quickstart pages, batches
of up to 32 (those of a round), medians of 3 rounds, ranges in brackets:

    mode                              windows  tokens in, out  speed-up          bound  equal
    A constrained, float32, not tuned      52         436, 64  4.08 (3.79-4.33)   6.47  52 of 52
    B the same, programs cut sooner        69         439, 48  3.68 (3.67-3.82)   5.16  69 of 69
    C free, float32, not tuned             52         436, 42  3.76 (3.39-3.77)   6.61  52 of 52
    D free, float32, tuned by LoRA         59         223, 17  2.14 (2.11-2.15)   2.54  59 of 59

    A  --quick --rounds 3 --batch-size 32 --n 12 --window-tokens 300
    B  --quick --rounds 3 --batch-size 32 --n 15 --window-tokens 300 --max-new-tokens 48
    C  as A, with --modes free
    D  --quick --rounds 3 --batch-size 32 --n 12 --window-tokens 256 --max-new-tokens 128 --modes free
       --preset prox-web-chunk:plain --adapter DIR

In A and B the programs of the untuned model all run to the limit, which flatters: there is much writing to save. A
page is read at 3.1 ms a token in float32, three quarters of it matrix products that run as fast as bare ones, so what
can be saved there is the head that prompts share (183 tokens in A to C, 3 in D). Programs of tuned models are short:
in D no way to write them could reach 4. In bfloat16 an earlier run had 38 of 45 outputs equal; the tokens that
differed first scored .12 apart in float32 in the median and .22 at most; bfloat16 has steps of .125 there.
Each technique alone as in A, without --quick (--n 4 --rounds 1, 19 windows, all equal): the head read once 1.89x,
forced tokens in one pass 1.63x, padded batches of `generate` 2.13x, batches that ended rows leave 3.26x, all 4.50x,
the bound 6.94x. Prompt lookup: see `drafts.py`.
"""

import argparse
import json
import statistics
import sys
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from decoding_techniques import ALL, PLAIN, READING, Technique, Written, techniques
from small_model import save_small_model

from hf_curation.programs import normalize_newlines, parse_program
from hf_curation.refiners.base import Window
from hf_curation.refiners.causal_lm import CausalLMRefiner
from hf_curation.refiners.causal_lm.decoding import Decoder

QUICKSTART = Path(__file__).parent.parent / "quickstart"


def measure(refiner: CausalLMRefiner, pages: list[str], num_rounds: int, *, is_quick: bool) -> dict[str, Any]:
    """Run all techniques on all pages, print the table, and return the figures of a mode."""
    decoder = refiner._decoder
    runs = techniques(decoder, refiner.batch_size, is_quick=is_quick)
    prompts: list[list[int]] = []
    windows: list[Window] = []
    for at in range(num_rounds):
        of_round = [window for page in pages[at::num_rounds] for window in refiner.windows(normalize_newlines(page))]
        encoded = refiner._prompts.encode(of_round)
        names = list(runs)
        for name in names[at % len(names) :] + names[: at % len(names)]:
            runs[name].run(encoded, of_round)
        prompts += encoded
        windows += of_round
        print(f"  round {at + 1}: " + ", ".join(f"{run.seconds[-1]:.1f}" for run in runs.values()), file=sys.stderr)
    figures = {name: compare(run, runs[PLAIN]) for name, run in runs.items()}
    print(f"\n{'':32}{'speed-up':>9}  {'rounds':>13}  {'equal':>7}")
    for name, (ratio, low, high, equal) in figures.items():
        print(f"{name:32}{ratio:8.2f}x  {low:5.2f} - {high:5.2f}  " + (f"{equal:7.1%}" if name != READING else ""))
    show_ties(decoder, prompts, runs[PLAIN].written, runs[ALL].written)
    costs = {name: cost(refiner, run, pages, prompts, windows) for name, run in runs.items() if name in (PLAIN, ALL)}
    for name, of_run in costs.items():
        print(f"{name}: " + ", ".join(f"{value:,.4g} {key}" for key, value in of_run.items()))
    ratio, _, _, equal = figures[ALL]
    return {
        "speedup": round(ratio, 2),
        "speedup_bound": round(figures[READING][0], 2),
        "equal_outputs": round(equal, 4),
        "windows": len(windows),
    } | {key.replace("/", "_per_").replace(" ", "_"): float(f"{value:.4g}") for key, value in costs[ALL].items()}


def compare(run: Technique, plain: Technique) -> tuple[float, float, float, float]:
    """Return the median speed-up over the rounds, the least and the greatest, and the share of equal outputs."""
    ratios = [before / after for before, after in zip(plain.seconds, run.seconds, strict=True)]
    equal = statistics.mean(map(lambda a, b: a == b, run.written, plain.written))
    return statistics.median(ratios), min(ratios), max(ratios), equal


def show_ties(decoder: Decoder, prompts: list[list[int]], plain: Written, fast: Written) -> None:
    """Print how far apart, in float32, the two tokens score that first differ between two outputs."""
    model, gaps = None, []
    for prompt, (one, _), (other, _) in zip(prompts, plain, fast, strict=True):
        if one != other:
            model = model or deepcopy(decoder.model).float()
            a, b = [*one, decoder.eos_ids[0]], [*other, decoder.eos_ids[0]]
            at = next(i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y)
            with torch.inference_mode():
                scores = model(torch.tensor([prompt + a[:at]])).logits[0, -1]
            gaps.append(abs(float(scores[a[at]] - scores[b[at]])))
    if gaps:
        print(
            f"{len(gaps)} outputs differ; the first tokens to do so score {statistics.median(gaps):.3f} apart in "
            f"float32 in the median, {max(gaps):.3f} at most"
        )


def cost(
    refiner: CausalLMRefiner, run: Technique, pages: list[str], prompts: list[list[int]], windows: list[Window]
) -> dict[str, float]:
    """Return what a technique cost; `parse_share` is that of windows whose output is calls and nothing else."""
    decoder, seconds = run.decoder, sum(run.seconds)
    read, wrote = sum(map(len, prompts)), sum(len(ids) for ids, _ in run.written)
    page_tokens = sum(refiner._prompts.count([page])[0] for page in pages)
    flops = 2 * decoder.model.num_parameters() * (read + wrote)
    num_parsed = 0
    for (ids, is_cut), window in zip(run.written, windows, strict=True):
        text = decoder.finish(ids, is_cut, window).text
        program = parse_program(text, refiner.dialect, scope=window.scope, complete=not is_cut)
        num_parsed += bool(program.calls) and not program.rejected
    return {
        "documents/s": len(pages) / seconds,
        "tokens/s read": read / seconds,
        "tokens/s written": wrote / seconds,
        "prompt tokens/window": read / len(prompts),
        "output tokens/window": wrote / len(prompts),
        "GFLOPs/document": flops / len(pages) / 1e9,
        "core-hours/billion tokens": seconds / page_tokens * 1e9 / 3600,
        "FLOPs/billion tokens": flops / page_tokens * 1e9,
        "parse share": num_parsed / len(prompts),
    }


def read_texts(path: Path | None, num_pages: int) -> list[str]:
    """Return the raw texts of some pages of a JSONL file, or of the quickstart, evenly spread."""
    if path is None:
        sys.path.insert(0, str(QUICKSTART))
        from quickstart_pages import read_pages

        texts = [str(page["text"]) for page in read_pages()]
    else:
        with path.open(encoding="utf-8") as lines:
            texts = [json.loads(line)["text"] for line in lines]
    if len(texts) < num_pages:
        raise ValueError(f"--n {num_pages} pages wanted, {len(texts)} found in {path or QUICKSTART}")
    return [texts[at * len(texts) // num_pages] for at in range(num_pages)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder or Hub id; default: a small model of random weights")
    parser.add_argument("--adapter", help="a PEFT adapter to merge into it")
    parser.add_argument("--gguf-file", help="a GGUF file within the folder, instead of safetensors")
    parser.add_argument("--preset", default="generic-chunk")
    parser.add_argument("--pages", type=Path, help="JSONL with a `text` field; default: the quickstart pages")
    parser.add_argument("--n", type=int, default=40, help="pages")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--modes", nargs="+", choices=["free", "constrained"], default=["constrained"])
    parser.add_argument("--window-tokens", type=int)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--quick", action="store_true", help="only the plain loop and all techniques together")
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()

    torch.set_num_threads(1)
    pages = read_texts(args.pages, args.n)
    results: dict[str, Any] = {}
    with TemporaryDirectory() as folder:
        if not args.model:
            save_small_model(folder, pages)
        for mode in args.modes:
            refiner = CausalLMRefiner(
                args.model or folder,
                preset=args.preset,
                adapter=args.adapter,
                gguf_file=args.gguf_file,
                device="cpu",
                dtype=args.dtype,
                constrained=mode == "constrained",
                batch_size=args.batch_size,
                window_tokens=args.window_tokens,
                max_new_tokens=args.max_new_tokens,
            )
            print(f"\n{mode}, {args.dtype}, {len(pages)} pages in {args.rounds} rounds")
            results[mode] = measure(refiner, pages, args.rounds, is_quick=args.quick)
    first = results[args.modes[0]]
    facts = {"model": args.model and Path(args.model).name, "dtype": args.dtype, "pages": len(pages)}
    print(json.dumps({name: first[name] for name in ("speedup", "speedup_bound", "equal_outputs")} | facts | results))


if __name__ == "__main__":
    main()
