"""A tiny model is fine-tuned by the real Trainer: only programs are learnt, and they are learnt."""

import json

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, TrainingArguments

from hf_curation.refiners.training.encode import EncodedExample, EncodedExamples, encode_examples
from trainer_callbacks import (
    LeakageError,
    NonFiniteError,
    RefinerChecks,
    RefinerCollator,
    RefinerRows,
    RefinerTrainer,
    check_no_leakage,
    last_complete_checkpoint,
)

ENCODED = [EncodedExample([1, 40 + i, 60, 61, 62][: 3 + i % 3], [70 + i, 80][: 1 + i % 2]) for i in range(10)]


def test_prompts_are_not_trained_and_programs_are(tokenizer):
    rows = RefinerRows(ENCODED, seq_len=16, seed=1)
    batch = RefinerCollator(tokenizer)([rows[i] for i in range(len(rows))])
    eos, found = tokenizer.eos_token_id, []
    for ids, labels, positions in zip(*(batch[k] for k in ("input_ids", "labels", "position_ids")), strict=True):
        starts = [i for i, p in enumerate(positions.tolist()) if p == 0]
        for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
            if (labels[start:end] == -100).all():
                continue  # padding
            prompt = (labels[start:end] == -100).sum().item()
            assert (labels[start : start + prompt] == -100).all(), "first the prompt, then what is learnt"
            assert labels[start + prompt : end].tolist() == ids[start + prompt : end].tolist()
            found.append((ids[start : start + prompt].tolist(), ids[start + prompt : end].tolist()))
    assert sorted(found) == sorted((one.prompt, [*one.program, eos]) for one in ENCODED), "each whole, once"
    assert rows.num_tokens == sum(one.num_tokens for one in ENCODED)
    assert rows.num_trained == sum(len(one.program) + 1 for one in ENCODED)


@pytest.mark.parametrize("layout", ["rows", "flattened"])
def test_logits_of_trained_positions_give_the_same_loss(tokenizer, layout):
    model = tiny_model(tokenizer)
    rows = RefinerRows(ENCODED, seq_len=16)
    features = [rows[0], rows[1]]
    whole = RefinerCollator(tokenizer, layout=layout)(features)
    few = RefinerCollator(tokenizer, layout=layout, trained_positions_only=True)(features)
    with torch.no_grad():
        slow, fast = model(**whole), model(**few)
    assert fast.loss.item() == pytest.approx(slow.loss.item(), rel=1e-5)
    assert fast.logits.shape[1] < slow.logits.shape[1] / 1.5
    assert (few["labels"] != -100).sum() == (whole["labels"] != -100).sum()


def test_examples_of_a_row_do_not_see_each_other(tokenizer):
    model = tiny_model(tokenizer)
    assert check_no_leakage(model, RefinerCollator(tokenizer)) < 1e-5
    model.config.use_cache = True
    with pytest.raises(LeakageError):
        check_no_leakage(model, WithoutPositions(tokenizer))


class WithoutPositions(RefinerCollator):
    def __call__(self, features):
        return {name: value for name, value in super().__call__(features).items() if name != "position_ids"}


def test_no_example_no_rows():
    with pytest.raises(ValueError, match="no example is left"):
        RefinerRows([], seq_len=16)


def tiny_model(tokenizer, size=64):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=size,
        intermediate_size=2 * size,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = LlamaForCausalLM(config)
    model.config.use_cache = False
    return model


@pytest.fixture
def examples():
    """Windows whose menu is the first line, the last one, or missing."""
    from hf_curation.evaluation.gold_pages import GoldPage
    from hf_curation.programs.model import KeepAll, Program, RemoveLines, Scope
    from hf_curation.refiners.base import Window
    from hf_curation.refiners.prompts import get_preset
    from hf_curation.refiners.training.examples import make_example

    made = []
    for number in range(24):
        kind = number % 3
        lines = ["Sea.", "Fish."]
        lines.insert(kind, "Menu") if kind < 2 else None
        text = "\n".join(lines)
        window = Window(text, 0, Scope(0, len(text), 0))
        program = Program((RemoveLines(kind, kind),) if kind < 2 else (KeepAll(),), scope=window.scope)
        page = GoldPage(f"p{number}", text, "Sea.\nFish.", f"https://{number}.example/")
        preset = get_preset("prox-web-chunk:plain")
        made.append(make_example(page, window, program, preset=preset, origin="pair", split="train", number=number))
    return made


@pytest.fixture
def make_trainer(tokenizer, examples, tmp_path):
    encoded = encode_examples(examples, tokenizer, max_tokens=128)

    def build(steps, *, output=tmp_path / "run", windows=6, model=None, **settings):
        collator = RefinerCollator(tokenizer, trained_positions_only=True)
        asked = EncodedExamples(encoded.examples[:windows], encoded.encoded[:windows])
        given = {"max_steps": steps, "learning_rate": 3e-3, "per_device_train_batch_size": 12, "seed": 3}
        given |= {"remove_unused_columns": False, "report_to": "none", "use_cpu": True, "disable_tqdm": True}
        given |= {"save_strategy": "no", "logging_steps": 5}
        return RefinerTrainer(
            model=model or tiny_model(tokenizer),
            args=TrainingArguments(output_dir=str(output), **given | settings),
            train_dataset=RefinerRows(encoded.encoded, seq_len=128),
            eval_dataset=RefinerRows(encoded.encoded[:6], seq_len=128),
            data_collator=collator,
            processing_class=tokenizer,
            callbacks=[RefinerChecks(collator)],
            windows=asked,
            max_new_tokens=48,
            eval_batch=4,
        )

    return build


@pytest.mark.slow
def test_the_format_is_learnt(make_trainer):
    trainer = make_trainer(140)
    before = trainer.evaluate()
    assert before["eval_valid_programs"] == 0
    trainer.train()
    after = trainer.evaluate()
    assert after["eval_loss"] < before["eval_loss"] / 4
    assert after["eval_valid_programs"] == 1, "the format comes first"
    assert after["eval_line_f1"] > 0.9, "and these windows are easy"
    assert after["eval_over_deletion"] == 0
    logged = {name for entry in trainer.state.log_history for name in entry}
    assert {"eval_loss", "eval_line_f1", "eval_valid_programs"} <= logged
    assert trainer.model.config.use_cache is False, "the evaluation leaves the model as it was"


@pytest.mark.parametrize("bf16", [False, True])
def test_an_adapter_in_training_writes_as_fast_as_merged_weights_and_the_same(
    make_trainer, tokenizer, monkeypatch, bf16
):
    from peft import LoraConfig, get_peft_model

    base = tiny_model(tokenizer)
    with torch.no_grad():
        for weight in base.parameters():
            weight.mul_(8)  # programs of some variety
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(base, config).train()
    trainer = make_trainer(1, model=model, bf16=bf16)
    monkeypatch.setattr("hf_curation.refiners.causal_lm.generating.generate", None)

    def answers():
        with trainer._ready_to_write() as ready:
            assert not any(part.training for part in ready.modules()), "dropout of the adapter is off as well"
            return [draft.text for draft in trainer._answer(ready, range(6))]

    written = answers()
    assert all(part.training for part in model.modules())
    assert trainer.score().num_windows == 6
    with model.disable_adapter():
        assert answers() != written, "the adapter takes part"
    trainer.model = model.merge_and_unload()
    assert bf16 or answers() == written


@pytest.mark.slow
def test_a_run_goes_on_from_its_checkpoint(make_trainer, tmp_path):
    whole = make_trainer(8, output=tmp_path / "whole", windows=0)
    whole.train()
    first = make_trainer(8, windows=0, save_strategy="steps", save_steps=4)
    first.add_callback(stop_at(4))
    first.train()
    checkpoint = last_complete_checkpoint(tmp_path / "run")
    assert checkpoint.endswith("checkpoint-4")
    second = make_trainer(8, windows=0, save_strategy="steps", save_steps=4)
    second.train(resume_from_checkpoint=checkpoint)
    assert second.state.global_step == 8
    for (name, one), other in zip(whole.model.named_parameters(), second.model.parameters(), strict=True):
        assert torch.equal(one, other), name
    state = tmp_path / "run" / "checkpoint-8" / "trainer_state.json"
    state.write_text(json.dumps(json.loads(state.read_text()))[:-20])
    assert last_complete_checkpoint(tmp_path / "run").endswith("checkpoint-4"), "a torn one is passed over"


def test_a_loss_that_is_no_number_stops_the_run(make_trainer):
    trainer = make_trainer(4, windows=0, logging_steps=1)
    with torch.no_grad():
        trainer.model.lm_head.weight.fill_(float("nan"))
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, RefinerChecks):
            callback.collator = None
    with pytest.raises(NonFiniteError, match="at step 1"):
        trainer.train()


def stop_at(step):
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, **kwargs):
            control.should_training_stop = state.global_step >= step

    return Stop()
