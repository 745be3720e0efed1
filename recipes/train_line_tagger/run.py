# /// script
# dependencies = ["hf-curation[train]", "pyyaml"]
# ///
"""Train the embedded line tagger on all pages of a data set, and write its weights.

python recipes/train_line_tagger/run.py --data PAGES.jsonl.gz --out OUT_DIR
python recipes/train_line_tagger/run.py --data PAGES.jsonl.gz --out OUT_DIR --set epochs=2 --set shape.hidden=32

OUT_DIR gets weights.safetensors and its readable twin weights.json; fit the document stage to them afterwards with
document_rule.py. Equal seeds give equal bytes on one machine with
one number of threads. Figures on held-out domains come from recipes/benchmarks/tagger.py, with the same configuration.
"""

import argparse
import time
from pathlib import Path

import torch
from pages import load_pages, page_types
from settings import CONFIG, read_settings, train_config
from train import export, train


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="JSONL(.gz) in datatrove's layout with gold_text")
    parser.add_argument("--out", type=Path, required=True, help="folder for the weights")
    parser.add_argument("--config", type=Path, default=CONFIG)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    settings = read_settings(args.config, args.set)
    config = train_config(settings)
    begun = time.perf_counter()
    pages = load_pages(args.data)
    print(f"{len(pages)} pages, {len({page.domain for page in pages})} domains, labelled and described")
    models = [train(pages, config, seed=seed, types=page_types(pages)) for seed in config.seeds]
    args.out.mkdir(parents=True, exist_ok=True)
    path = args.out / "weights.safetensors"
    facts = {"version": settings["version"], "num_pages": len(pages)}
    export(models, path, facts)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {time.perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main()
