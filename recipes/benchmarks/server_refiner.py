# /// script
# dependencies = ["hf-curation[serve]"]
# ///
"""Refine a few pages through a running server, and say what came back.

python recipes/benchmarks/server_refiner.py --base-url http://127.0.0.1:8000/v1 --model NAME [--grammar vllm] --n 20

How to start a server: recipes/serve_refiner. Pages: --pages FILE of JSON lines with "text"; by default the quickstart
pages, or the descriptions of installed packages where those are absent. The last line is JSON:

- windows, answered, cut: windows sent; answered at all; cut at the token limit
- parsed_share: share of the windows whose answer is calls and nothing else (the line that the limit tore aside)
- calls: calls executed; rejected: calls not executed, and by_reason of what
- errors: windows without an answer after all retries; retries: requests sent again
- tokens_per_s: output tokens a second; prompt_tokens_per_s beside it
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import distributions
from itertools import islice
from pathlib import Path

from hf_curation.programs import parse_program
from hf_curation.programs.limits import Limits
from hf_curation.programs.lines import normalize_newlines
from hf_curation.refiners.base import Draft
from hf_curation.refiners.refine import apply_drafts
from hf_curation.refiners.server import ServerPolicy, ServerRefiner

QUICKSTART = Path(__file__).parents[1] / "quickstart"


def main() -> None:
    args = parse_arguments()
    refiner = ServerRefiner(
        args.base_url,
        args.model,
        preset=args.preset,
        window_tokens=args.window_tokens,
        api=args.api,
        tokenizer=args.tokenizer,
        constrained=args.grammar,
        max_tokens=args.max_tokens,
        api_key_env=args.api_key_env,
        policy=ServerPolicy(max_concurrency=args.concurrency, give_up_s=60, max_failed_fraction=1.0),
    )
    texts = list(islice(read_texts(args.pages), args.n))
    windows = [refiner.windows(normalize_newlines(text)) for text in texts]
    flat = [window for of_text in windows for window in of_text][: args.max_windows]
    server = args.server or server_name(args.base_url)
    print(f"{len(texts)} pages, {len(flat)} windows, {refiner.name}, {server}", file=sys.stderr)
    with refiner:
        drafts = refiner.write(flat)
    if args.show:
        for draft in drafts[: args.show]:
            print("---", draft.finish_reason, repr(draft.text[:300]))
    print(json.dumps(figures(refiner, texts, windows, drafts) | {"server": server, "grammar": args.grammar}))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--grammar", default="none", choices=["none", "vllm", "llama.cpp", "sglang"])
    parser.add_argument("--preset", default="generic-chunk")
    parser.add_argument("--api", choices=["completions", "chat"])
    parser.add_argument("--tokenizer", help="tokenizer.json, its folder or a Hub id; default: an estimate")
    parser.add_argument("--window-tokens", type=int)
    parser.add_argument("--max-tokens", type=int)
    parser.add_argument("--max-windows", type=int)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--api-key-env")
    parser.add_argument("--server", help="what to call the server, if it does not say so itself")
    parser.add_argument("--pages", type=Path)
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--show", type=int, default=0, help="print so many answers")
    return parser.parse_args()


def read_texts(path: Path | None) -> Iterator[str]:
    if path is not None:
        yield from (json.loads(line)["text"] for line in path.open(encoding="utf-8"))
    elif (QUICKSTART / "quickstart_pages.py").is_file():
        sys.path.insert(0, str(QUICKSTART))
        from quickstart_pages import read_pages

        yield from (row["text"] for row in read_pages())
    else:
        described = {dist.name: dist.metadata.get_payload() for dist in distributions()}
        yield from (text for _, text in sorted(described.items()) if text.strip())


def server_name(base_url: str) -> str:
    """What the server calls itself: vLLM has a version, the others an owner of their models."""
    import httpx

    root = base_url.removesuffix("/").removesuffix("/v1")
    try:
        version = httpx.get(f"{root}/version", timeout=5)
        owner = httpx.get(f"{root}/v1/models", timeout=5).json()["data"][0].get("owned_by", "unknown")
        return f"{owner} {version.json()['version']}" if version.status_code == 200 else str(owner)
    except (httpx.HTTPError, ValueError, LookupError) as error:
        return f"unknown ({type(error).__name__})"


def figures(refiner: ServerRefiner, texts: list[str], windows: list[list], drafts: list[Draft]) -> dict[str, object]:
    reasons: Counter[str] = Counter()
    calls, answers = 0, iter(drafts)
    for text, of_text in zip(texts, windows, strict=True):
        of_page = list(islice(answers, len(of_text)))
        refined = apply_drafts(text, of_text[: len(of_page)], of_page, refiner.dialect, refiner.stage, Limits())
        calls += refined.result.num_applied
        reasons.update(rejection.reason for rejection in refined.result.rejected)
    stats = refiner.stats
    return {
        "windows": stats.windows,
        "answered": stats.answered,
        "cut": stats.cut,
        "parsed_share": round(sum(is_readable(refiner, draft) for draft in drafts) / max(1, len(drafts)), 4),
        "calls": calls,
        "rejected": sum(reasons.values()),
        "by_reason": dict(reasons.most_common()),
        "errors": stats.num_failed,
        "retries": stats.retries,
        "tokens_per_s": round(stats.output_tokens / stats.seconds, 1),
        "prompt_tokens_per_s": round(stats.prompt_tokens / stats.seconds, 1),
        "seconds": round(stats.seconds, 1),
        "load": round(os.getloadavg()[0], 1),
    }


def is_readable(refiner: ServerRefiner, draft: Draft) -> bool:
    """Whether the whole lines of an answer are calls, and there is one; the line that the limit tore is left out."""
    whole = draft.text.rpartition("\n")[0] if draft.finish_reason == "length" else draft.text
    program = parse_program(whole, refiner.dialect)
    return bool(program.calls) and not program.rejected


if __name__ == "__main__":
    main()
