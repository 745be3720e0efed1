# /// script
# dependencies = ["hf-curation[train]"]
# ///
r"""What MeCo's data set, collator and callback cost a Trainer run, in tokens per second.

python recipes/benchmarks/meco_overhead.py                  # three minutes on an idle core
python recipes/benchmarks/meco_overhead.py --runs 2 --steps 6 --hidden 64    # does it run?

Two kinds of runs, in turn: one with `MeCoDataset`, `MeCoDataCollator` and `MeCoCooldownCallback` as they come (so with
every batch compared against the schedule), and the same Trainer on the very same tensors, made beforehand, without any
part of ours. One model, one thread; the first steps of each run are not counted. The last line is JSON:

- overhead: median over pairs of runs of (time with / time without) - 1, wall clock; low, high: its quartiles
- overhead_cpu: the same by CPU time of the process, which a busy machine disturbs less
- tokens_per_s, tokens_per_s_plain: medians
- runs, steps, tokens_per_step, parameters
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from meco_corpus import make_model, train_tokenizer
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from hf_curation.packing import ShardWriter, token_dtype, vocabulary_hash, write_store_index
from trainer_callbacks import MeCoCooldownCallback, MeCoDataCollator, MeCoDataset, geometry_of

BATCH, SEQ_LEN, WARM_UP = 4, 512, 2


class StepTimes(TrainerCallback):
    """Measures from the end of the warm-up to the end."""

    def __init__(self) -> None:
        self.began = self.ended = (0.0, 0.0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401, D102
        now = time.perf_counter(), time.process_time()
        if state.global_step == WARM_UP:
            self.began = now
        self.ended = now

    @property
    def seconds(self) -> tuple[float, float]:
        """Wall and CPU seconds."""
        return self.ended[0] - self.began[0], self.ended[1] - self.began[1]


class Ready(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Rows as tensors, as our collator made them."""

    def __init__(self, dataset: MeCoDataset, collator: MeCoDataCollator) -> None:
        batches = (collator([dataset[row]]) for row in range(len(dataset)))
        self.rows = [{name: tensor[0] for name, tensor in batch.items()} for batch in batches]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, torch.Tensor]:
        """Return a row."""
        return self.rows[row]


def stack(rows: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=7, help="of each kind")
    parser.add_argument("--steps", type=int, default=14)
    parser.add_argument("--hidden", type=int, default=256)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), args.runs, args.steps, args.hidden)))


def measure(folder: Path, num_runs: int, steps: int, hidden: int) -> dict[str, Any]:
    """Return the figures of the last line."""
    args = arguments(folder, steps)
    tokenizer = make_store(folder / "store")
    dataset = MeCoDataset(
        folder / "store",
        tokenizer,
        seq_len=SEQ_LEN,
        samples_per_step=geometry_of(args),
        max_steps=steps,
        allow_repeats=True,
    )
    collator = MeCoDataCollator(tokenizer, max_length=SEQ_LEN, pad_to_max_length=True)
    kinds = {
        "ours": (dataset, collator, [MeCoCooldownCallback(dataset)]),
        "plain": (Ready(dataset, collator), stack, []),
    }
    seconds: dict[str, list[tuple[float, float]]] = {"ours": [], "plain": []}
    losses = {}
    for number in range(num_runs + 1):
        for kind in ("ours", "plain") if number % 2 else ("plain", "ours"):
            rows, collate, callbacks = kinds[kind]
            times = StepTimes()
            model = make_model(tokenizer, 0, hidden=hidden, layers=6)
            trainer = Trainer(
                model=model, args=args, train_dataset=rows, data_collator=collate, callbacks=[*callbacks, times]
            )
            trainer.remove_callback(PrinterCallback)
            losses[kind] = trainer.train().training_loss
            if number:  # the first pair warms up
                seconds[kind].append(times.seconds)
    if losses["ours"] != losses["plain"]:
        raise SystemExit(f"the two kinds did not train on the same tokens: {losses}")
    figures = summarize(seconds, tokens=(steps - WARM_UP) * BATCH * SEQ_LEN)
    return figures | {
        "runs": num_runs,
        "steps": steps,
        "tokens_per_step": BATCH * SEQ_LEN,
        "parameters": model.num_parameters(),
    }


def arguments(folder: Path, steps: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder / "out"),
        max_steps=steps,
        per_device_train_batch_size=BATCH,
        logging_steps=5,
        save_strategy="no",
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        use_cpu=True,
        disable_tqdm=True,
    )


def summarize(seconds: dict[str, list[tuple[float, float]]], *, tokens: int) -> dict[str, Any]:
    """Return overheads, with the pairs' quartiles, and speeds."""
    wall, cpu = ratios(seconds, 0), ratios(seconds, 1)
    quartiles = statistics.quantiles(wall, n=4) if len(wall) > 1 else [wall[0]] * 3
    return {
        "overhead": round(statistics.median(wall), 4),
        "low": round(quartiles[0], 4),
        "high": round(quartiles[2], 4),
        "overhead_cpu": round(statistics.median(cpu), 4),
        "tokens_per_s": round(tokens / statistics.median(s[0] for s in seconds["ours"])),
        "tokens_per_s_plain": round(tokens / statistics.median(s[0] for s in seconds["plain"])),
    }


def ratios(seconds: dict[str, list[tuple[float, float]]], clock: int) -> list[float]:
    return [a[clock] / b[clock] - 1 for a, b in zip(seconds["ours"], seconds["plain"], strict=True)]


def make_store(folder: Path) -> Any:  # noqa: ANN401
    """Write 600 documents of random words from twelve hosts; return their tokenizer."""
    rng = random.Random(0)  # noqa: S311
    words = ["".join(rng.choices("abcdefghijklmnop", k=rng.randint(2, 8))) for _ in range(3000)]
    texts = [" ".join(rng.choices(words, k=rng.randint(20, 600))) for _ in range(600)]
    tokenizer = train_tokenizer(iter(texts), 4096)
    writer = ShardWriter(folder / "tokens" / "00000.arrow", token_dtype(len(tokenizer)), {"url": pa.string()})
    for i, text in enumerate(texts):
        ids = tokenizer.encode(text, add_special_tokens=False)
        writer.add(f"d{i}", ids, {"url": f"https://host{i % 12}.example/{i}"})
    vocabulary = vocabulary_hash(tokenizer)
    write_store_index(folder, [writer.close()], tokenizer="trained here", vocabulary_sha256=vocabulary)
    return tokenizer


if __name__ == "__main__":
    main()
