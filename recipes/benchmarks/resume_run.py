"""The training run that `resume_drill.py` kills: a tiny Llama with attention dropout, and a log of its batches."""

import gc
import os
import random
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from character_tokenizer import make_tokenizer
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from hf_curation.packing import ShardWriter, token_dtype, vocabulary_hash, write_store_index
from hf_curation.packing.schedule import Schedule
from trainer_callbacks import (
    MeCoCooldownCallback,
    MeCoDataCollator,
    MeCoDataset,
    geometry_of,
    last_complete_checkpoint,
)

STEPS, SWITCH, ACCUMULATION, ROWS_PER_STEP = 16, 12, 2, 8
SAVES = (5, 10, 12, 15)


def train(store: Path, folder: Path, workers: int) -> None:
    """Begin a run in `folder`, or go on with it; under a launcher, be one of its processes."""
    train_to_the_end(store, folder, workers)
    if torch.distributed.is_initialized():
        # The model's reducer must not be the group's last owner: it would join the group's threads with the
        # interpreter lock in hand, one of them may wait for that lock, and the process would hang after its last step.
        gc.collect()
        torch.distributed.destroy_process_group()


def train_to_the_end(store: Path, folder: Path, workers: int, *, callbacks: Sequence[TrainerCallback] = ()) -> None:
    num_processes = int(os.environ.get("WORLD_SIZE", "1"))
    args = TrainingArguments(
        output_dir=str(folder),
        max_steps=STEPS,
        per_device_train_batch_size=ROWS_PER_STEP // ACCUMULATION // num_processes,
        gradient_accumulation_steps=ACCUMULATION,
        learning_rate=1e-2,
        save_steps=5,
        logging_steps=4,
        dataloader_num_workers=workers,
        dataloader_persistent_workers=workers > 0,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        use_cpu=True,
        disable_tqdm=True,
    )
    if args.world_size != num_processes:
        sys.exit(f"{num_processes} processes were launched and {args.world_size} are there")
    set_seed(0)
    tokenizer = make_tokenizer()
    dataset = MeCoDataset(
        store,
        tokenizer,
        seq_len=64,
        samples_per_step=geometry_of(args),
        max_steps=STEPS,
        schedule=Schedule(cooldown_fraction=1 - SWITCH / STEPS),
    )
    log = BatchLog(folder / f"batches-{args.process_index}.txt", tokenizer)
    trainer = Trainer(
        model=make_model(tokenizer),
        args=args,
        train_dataset=dataset,
        data_collator=MeCoDataCollator(tokenizer),
        callbacks=[MeCoCooldownCallback(dataset), log, *callbacks],
    )
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(folder))


class BatchLog(TrainerCallback):
    """Appends one line for every batch that reaches the model: step, micro-batch, and a digest of each row."""

    def __init__(self, path: Path, tokenizer: Any) -> None:  # noqa: ANN401
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = path.open("ab", buffering=0)
        self.padding = tokenizer.pad_token_id
        self.step = self.micro = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Observe the model."""
        model.register_forward_pre_hook(self.write, with_kwargs=True)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Count micro-batches from here."""
        self.step, self.micro = state.global_step, 0

    def write(self, module: Any, args: Any, kwargs: Any) -> None:  # noqa: ANN401
        """Append the line of one batch."""
        rows = zip(kwargs["input_ids"], kwargs["labels"], strict=True)
        real = [torch.stack([ids, labels])[:, ids != self.padding] for ids, labels in rows]
        digests = " ".join(sha256(row.contiguous().numpy().tobytes()).hexdigest()[:16] for row in real)
        self.file.write(f"{self.step} {self.micro} {digests}\n".encode())
        self.micro += 1


def make_store(folder: Path) -> None:
    """Write 400 short documents of five hosts."""
    tokenizer, rng = make_tokenizer(), random.Random(0)  # noqa: S311
    writer = ShardWriter(folder / "tokens" / "00000.arrow", token_dtype(len(tokenizer)), {"url": pa.string()})
    for i in range(400):
        text = "".join(rng.choices("abcdefgh ", k=rng.randint(5, 60)))
        writer.add(f"d{i}", tokenizer.encode(text, add_special_tokens=False), {"url": f"https://h{i % 5}.example/{i}"})
    shard = writer.close()
    write_store_index(folder, [shard], tokenizer="characters", vocabulary_sha256=vocabulary_hash(tokenizer))


def make_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        attention_dropout=0.1,  # so that the random state of every process counts
    )
    return LlamaForCausalLM(config)
