# /// script
# dependencies = ["hf-curation[train]"]
# ///
r"""What MeCo's data set, collator and callback cost a Trainer run, in tokens per second.

python recipes/benchmarks/meco_overhead.py                  # at most four minutes
python recipes/benchmarks/meco_overhead.py --runs 2 --steps 6 --hidden 64    # does it run?

Two kinds of runs, in turn: one with `MeCoDataset`, `MeCoDataCollator` and `MeCoCooldownCallback` as they come (so with
every batch compared against the schedule), and the same Trainer on the very same tensors, made beforehand, without any
part of ours. One model, one thread; the first steps of each run are not counted, and after `--minutes` no further pair
of runs begins.

A step is compared with itself: step i holds the same tokens in every run, so its time is the median over the runs of
one kind, and a run's time is the sum over its steps. A burst of other work then spoils one step of one run, not the
figure, and what is done only in some steps (logging) still counts. The last line is JSON:

- overhead: time with / time without - 1, wall clock; low, high: its 90 % interval, by resampling the pairs of runs
- overhead_cpu: the same by CPU time of the process, which a busy machine disturbs less; low_cpu, high_cpu
- tokens_per_s, tokens_per_s_plain: by wall clock
- runs, steps, tokens_per_step, parameters
"""

import argparse
import json
import math
import random
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from meco_corpus import make_model, train_tokenizer
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from hf_curation.packing import ShardWriter, token_dtype, vocabulary_hash, write_store_index
from trainer_callbacks import MeCoCooldownCallback, MeCoDataCollator, MeCoDataset, geometry_of

BATCH, SEQ_LEN, WARM_UP, RESAMPLES = 4, 512, 2, 1000
Times = np.ndarray[Any, np.dtype[np.float64]]


class StepTimes(TrainerCallback):
    """Notes when each step behind the warm-up ends: wall and CPU seconds."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401, D102
        if state.global_step >= WARM_UP:
            self.ends.append((time.perf_counter(), time.process_time()))

    @property
    def seconds(self) -> Times:
        """Shape (2, S): wall and CPU seconds of each of S steps."""
        return np.diff(np.array(self.ends), axis=0).T


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
    parser.add_argument("--minutes", type=float, default=3.5, help="after these no further pair of runs begins")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(Path(folder), args.runs, args.steps, args.hidden, args.minutes)))


def measure(folder: Path, num_runs: int, steps: int, hidden: int, minutes: float) -> dict[str, Any]:
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
    kinds: dict[str, Any] = {
        "ours": (dataset, collator, [MeCoCooldownCallback(dataset)]),
        "plain": (Ready(dataset, collator), stack, []),
    }
    runs: dict[str, list[Times]] = {"ours": [], "plain": []}
    deadline = time.monotonic() + 60 * minutes
    for number in range(num_runs + 1):
        if number > 1 and time.monotonic() > deadline:
            break
        losses = {}
        for kind in ("ours", "plain") if number % 2 else ("plain", "ours"):
            model = make_model(tokenizer, 0, hidden=hidden, layers=6)
            seconds, losses[kind] = time_run(args, model, *kinds[kind])
            if number:  # the first pair warms up
                runs[kind].append(seconds)
        if not math.isclose(losses["ours"], losses["plain"], rel_tol=1e-6):  # sums of float32, not bit for bit
            raise SystemExit(f"the two kinds did not train on the same tokens: {losses}")
    sizes = {"tokens_per_step": BATCH * SEQ_LEN, "parameters": model.num_parameters()}
    return summarize(np.array(runs["ours"]), np.array(runs["plain"])) | sizes


def time_run(args: TrainingArguments, model: Any, rows: Any, collate: Any, callbacks: Any) -> tuple[Times, float]:  # noqa: ANN401
    """Train once; return the times of the steps, and the mean loss."""
    times = StepTimes()
    trainer = Trainer(model=model, args=args, train_dataset=rows, data_collator=collate, callbacks=[*callbacks, times])
    trainer.remove_callback(PrinterCallback)
    loss = float(trainer.train().training_loss)
    return times.seconds, loss


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


def summarize(ours: Times, plain: Times) -> dict[str, Any]:
    """Return overheads with their intervals, and speeds.

    Args:
        ours: Shape (R, 2, S): wall and CPU seconds of each step of R runs.
        plain: Likewise, without our parts.
    """
    num_runs, _, num_steps = ours.shape
    draws = np.random.default_rng(0).integers(num_runs, size=(RESAMPLES, num_runs))
    resampled = np.array([overheads(ours[draw], plain[draw]) for draw in draws])
    low, high = np.quantile(resampled, [0.05, 0.95], axis=0)
    wall, cpu = overheads(ours, plain)
    tokens = num_steps * BATCH * SEQ_LEN
    return {
        "overhead": round(wall, 4),
        "low": round(low[0], 4),
        "high": round(high[0], 4),
        "overhead_cpu": round(cpu, 4),
        "low_cpu": round(low[1], 4),
        "high_cpu": round(high[1], 4),
        "tokens_per_s": round(tokens / time_of(ours)[0]),
        "tokens_per_s_plain": round(tokens / time_of(plain)[0]),
        "runs": num_runs,
        "steps": num_steps,
    }


def overheads(ours: Times, plain: Times) -> list[float]:
    """Return the overhead by wall clock and by CPU time."""
    shares: list[float] = (time_of(ours) / time_of(plain) - 1).tolist()
    return shares


def time_of(runs: Times) -> Times:
    """Return wall and CPU seconds of a run: for each step the median over runs, summed."""
    return np.median(runs, axis=0).sum(axis=-1)


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
