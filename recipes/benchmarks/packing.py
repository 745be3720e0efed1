"""How fast sequences are packed and collated from a token store, beside the best-fit packing of TRL.

python recipes/benchmarks/packing.py            # with `trl` installed, or without: then the ratio is null

Documents are synthetic and seeded: 100,000 with log-normal lengths of 601 tokens on average, 60 million tokens, ids of
16 bits, 5,000 hosts; rows of 2,048 tokens. Times are CPU seconds of this process, which a busy machine does not
stretch, the median over rounds that run in turn. TRL's `bfd` gets its whole-table form (`pack_dataset` packs 1,000
documents at a time, into more rows), and the time in which it copies the packed tokens is taken off, as a plan copies
none. The last line is JSON:

- bfd_ratio: CPU time of TRL's best fit / ours, on equal lengths; `bfd_bins` and `trl_bins` are the rows they need
- mtokens_per_s: million tokens a second of the plan and of collating its rows to the tensors that a model takes,
  BOS, prefix, labels and positions included, padding left out
- dataset_s: seconds to open a MeCoDataset: render and encode 100,000 prefixes, lay out two phases; dataset_again_s:
  the next time, with the prefixes on the disk
- fill, prefix_share: of the conditioned phase
- from_text_*: the whole way from text (`from_text.py`): million tokens and MB a second and core with the fastest exact
  encoder that is installed, and with `tokenizers`; which share of the time went into encoding
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from character_tokenizer import make_tokenizer
from from_text import measure_from_text
from transformers import PreTrainedTokenizerFast

from hf_curation.packing import ShardWriter, TokenStore, token_dtype, vocabulary_hash, write_store_index
from hf_curation.packing.best_fit import best_fit_decreasing
from hf_curation.packing.plan import DocumentLengths, figures_of, make_plan
from trainer_callbacks import MeCoDataCollator, MeCoDataset

SEQ_LEN, BATCH, MAX_TOKEN = 2048, 8, 40_000
Lengths = np.ndarray[Any, np.dtype[np.int64]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-documents", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--documents", type=Path, help="JSONL of text and url; default: Python files installed here")
    parser.add_argument("--text-mb", type=float, default=20.0, help="how much text, in millions of characters")
    args = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(5.9, 1.0, args.num_documents), 8, 100_000).astype(np.int64)
    print(f"{len(lengths):,} documents, {lengths.sum():,} tokens, {lengths.mean():.0f} on average")
    figures = compare_best_fit(lengths, args.rounds)
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = make_tokenizer()
        write_documents(Path(folder), tokenizer, lengths, rng)
        figures |= measure_collation(Path(folder), tokenizer, args.rounds)
    figures |= measure_from_text(args.documents, int(args.text_mb * 1e6))
    print(json.dumps(figures))


def compare_best_fit(lengths: Lengths, rounds: int) -> dict[str, Any]:
    """Time both packings on equal lengths."""
    cut = np.minimum(lengths, SEQ_LEN)
    theirs = load_trl()
    table = pa.table({"input_ids": pa.LargeListArray.from_arrays(np.cumsum([0, *cut]), np.zeros(cut.sum(), np.int8))})
    order = pa.array(np.random.default_rng(0).permutation(len(cut)))
    ours_s, theirs_s, num_trl = [], [], None
    for _ in range(rounds):
        seconds, bins = timed(lambda: best_fit_decreasing(cut, SEQ_LEN))
        ours_s.append(seconds)
        if theirs is not None:
            seconds, packed = timed(lambda: theirs(table, SEQ_LEN))
            copy_s, _ = timed(lambda: pc.take(table, order))
            theirs_s.append(seconds - copy_s)
            num_trl = packed.num_rows
    ratios = [t / o for t, o in zip(theirs_s, ours_s, strict=False)]
    return {
        "bfd_ratio": round(statistics.median(ratios), 1) if ratios else None,
        "bfd_s": round(statistics.median(ours_s), 4),
        "trl_s": round(statistics.median(theirs_s), 3) if theirs_s else None,
        "bfd_bins": int(bins.max()) + 1,
        "trl_bins": num_trl,
    }


def load_trl() -> Callable[[Any, int], Any] | None:
    """Return TRL's whole-table best fit, if it is there."""
    try:
        from trl.data_utils import _pack_bfd
    except ImportError:
        return None
    return _pack_bfd


def measure_collation(folder: Path, tokenizer: PreTrainedTokenizerFast, rounds: int) -> dict[str, Any]:
    """Time plan and collation over the rows of a MeCo run."""
    store = TokenStore(folder)
    dataset_s, dataset = timed(lambda: MeCoDataset(store, tokenizer, seq_len=SEQ_LEN, samples_per_step=BATCH))
    again_s, _ = timed(lambda: MeCoDataset(store, tokenizer, seq_len=SEQ_LEN, samples_per_step=BATCH))
    collate = MeCoDataCollator(tokenizer)
    table = dataset.tables[0]
    whole = DocumentLengths(
        body_D=store.lengths_D,
        head_D=1 + table.lengths(np.arange(len(store))),
        tail_D=np.ones(len(store), dtype=np.int64),
    )
    rates, num_rows = [], len(dataset) - len(dataset) % BATCH
    for _ in range(rounds):
        plan_s, plan = timed(lambda: make_plan("best_fit", whole, seq_len=SEQ_LEN, seed=0))
        fill = figures_of(plan, whole).fill
        collate_s, num_tokens = timed(lambda: collate_all(dataset, collate, num_rows))
        rates.append(fill * num_tokens / (collate_s + plan_s * num_rows / plan.num_rows) / 1e6)
    figures = figures_of(plan, whole)
    return {
        "mtokens_per_s": round(statistics.median(rates), 1),
        "dataset_s": round(dataset_s, 2),
        "dataset_again_s": round(again_s, 2),
        "fill": round(figures.fill, 4),
        "prefix_share": round(figures.prefix_share, 4),
    }


def collate_all(dataset: MeCoDataset, collate: MeCoDataCollator, num_rows: int) -> int:
    """Build every batch; return how many positions they hold."""
    num_tokens = 0
    for first in range(0, num_rows, BATCH):
        batch = collate([dataset[row] for row in range(first, first + BATCH)])
        num_tokens += batch["input_ids"].numel()
    return num_tokens


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return CPU seconds and result."""
    began = time.process_time()
    result = work()
    return time.process_time() - began, result


def write_documents(
    folder: Path, tokenizer: PreTrainedTokenizerFast, lengths: Lengths, rng: np.random.Generator
) -> None:
    writer = ShardWriter(folder / "tokens" / "00000.arrow", token_dtype(MAX_TOKEN), {"url": pa.string()})
    hosts = rng.zipf(1.3, len(lengths)) % 5000
    for i, (length, host) in enumerate(zip(lengths.tolist(), hosts.tolist(), strict=True)):
        ids = rng.integers(3, MAX_TOKEN, length, dtype=np.uint16)
        writer.add(f"d{i}", ids, {"url": f"https://www.host-{host}.example/page/{i}"})
    shard = writer.close()
    write_store_index(folder, [shard], tokenizer="characters", vocabulary_sha256=vocabulary_hash(tokenizer))


if __name__ == "__main__":
    main()
