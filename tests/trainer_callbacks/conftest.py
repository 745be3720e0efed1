"""A tokenizer of bytes, small token stores made with it, and a tiny model to train on them."""

import shutil
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import pyarrow as pa
import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from hf_curation.packing import ShardWriter, TokenStore, token_dtype, vocabulary_hash, write_store_index
from hf_curation.packing.schedule import Schedule
from trainer_callbacks import MeCoCooldownCallback, MeCoDataCollator, MeCoDataset


@pytest.fixture(scope="session")
def tokenizer(make_byte_tokenizer) -> PreTrainedTokenizerFast:
    return make_byte_tokenizer()


@pytest.fixture(scope="session")
def make_tokenizer(make_byte_tokenizer):
    return make_byte_tokenizer


@pytest.fixture(scope="session")
def token_store(tmp_path_factory, tokenizer) -> TokenStore:
    """120 documents of three hosts, 5 to 64 bytes long, in two shards; every tenth has no URL."""
    folder = tmp_path_factory.mktemp("store")
    shards = []
    for rank in range(2):
        writer = ShardWriter(
            folder / "tokens" / f"{rank:05d}.arrow", token_dtype(len(tokenizer)), {"url": pa.string()}
        )
        for i in range(rank * 60, rank * 60 + 60):
            text = f"document {i} " * (1 + i % 5)
            url = None if i % 10 == 0 else f"https://{'abc'[i % 3]}.example/{i}"
            writer.add(f"d{i}", tokenizer.encode(text, add_special_tokens=False), {"url": url})
        shards.append(writer.close())
    write_store_index(folder, shards, tokenizer="bytes", vocabulary_sha256=vocabulary_hash(tokenizer))
    return TokenStore(folder)


def build_model(tokenizer: PreTrainedTokenizerFast, attention: str = "sdpa") -> LlamaForCausalLM:
    """About 60,000 parameters; attention dropout makes the random state count."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        attention_dropout=0.1,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        attn_implementation=attention,
    )
    return LlamaForCausalLM(config)


@pytest.fixture
def make_model(tokenizer):
    return lambda attention="sdpa": build_model(tokenizer, attention)


@dataclass
class Run:
    """One call of `Trainer.train`, observed."""

    trainer: Trainer
    callback: MeCoCooldownCallback
    batches: dict[tuple[int, int], str]
    """(step, micro-batch) -> digest of what the model got."""

    @property
    def weights(self) -> str:
        digest = sha256()
        for name, tensor in sorted(self.trainer.model.state_dict().items()):
            digest.update(name.encode() + tensor.numpy().tobytes())
        return digest.hexdigest()

    @property
    def logs(self) -> list[dict]:
        return [entry for entry in self.trainer.state.log_history if "loss" in entry]


class BatchLog(TrainerCallback):
    """Writes down every training batch, with the step that it was trained at."""

    def __init__(self) -> None:
        self.batches: dict[tuple[int, int], str] = {}
        self.step = self.micro = 0

    def on_train_begin(self, args, state, control, model, **kwargs):
        self.handle = model.register_forward_pre_hook(self.note, with_kwargs=True)

    def on_step_begin(self, args, state, control, **kwargs):
        self.step, self.micro = state.global_step, 0

    def on_train_end(self, args, state, control, **kwargs):
        self.handle.remove()

    def note(self, module, args, kwargs):
        if module.training:
            digest = sha256(kwargs["input_ids"].numpy().tobytes() + kwargs["labels"].numpy().tobytes()).hexdigest()
            self.batches[self.step, self.micro] = digest
            self.micro += 1


@pytest.fixture(scope="session")
def train_in(token_store, tokenizer):
    """Train the tiny model: 12 steps of 4 rows, the last 3 without metadata, unless told otherwise."""

    def run(
        base,
        folder="out",
        *,
        resume=None,
        options=None,
        callback=MeCoCooldownCallback,
        data=None,
        collator=None,
        trainer=Trainer,
        prepare=None,
        **settings,
    ) -> Run:
        defaults = {
            "output_dir": str(base / folder),
            "max_steps": 12,
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 2,
            "learning_rate": 1e-2,
            "logging_steps": 1,
            "save_steps": 3,
            "train_sampling_strategy": "sequential",
            "remove_unused_columns": False,
            "use_cpu": True,
            "disable_tqdm": True,
        }
        args = TrainingArguments(**defaults | settings)
        layout = {"max_steps": 12, "samples_per_step": 4, "seq_len": 96, "schedule": Schedule(cooldown_fraction=0.25)}
        dataset = data or MeCoDataset(token_store, tokenizer, **layout)
        log, ours = BatchLog(), callback(dataset, **options or {})
        one = trainer(
            model=build_model(tokenizer),
            args=args,
            train_dataset=dataset,
            eval_dataset=[dataset[0]] if args.do_eval else None,
            data_collator=collator or MeCoDataCollator(tokenizer),
            callbacks=[log, ours],
        )
        if prepare:
            prepare(one)
        one.train(resume_from_checkpoint=str(base / resume) if resume else None)
        return Run(one, ours, log.batches)

    return run


@pytest.fixture
def train(train_in, tmp_path):
    """`train_in` the test's own folder."""
    return partial(train_in, tmp_path)


@pytest.fixture(scope="session")
def full_run(train_in, tmp_path_factory) -> Run:
    """An uninterrupted run."""
    return train_in(tmp_path_factory.mktemp("full"), "full")


@pytest.fixture
def full(full_run, tmp_path) -> Run:
    """The uninterrupted run, with its checkpoints under `full` in the test's own folder."""
    shutil.copytree(full_run.trainer.args.output_dir, tmp_path / "full")
    return full_run
