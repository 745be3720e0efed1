"""Whole runs of the real Trainer on a tiny model: what happens at the switch, what the callback sees and refuses."""

import json

import pytest
import torch
from transformers import Trainer

from hf_curation.packing.schedule import Schedule
from trainer_callbacks import (
    LeakageError,
    MeCoCooldownCallback,
    MeCoDataCollator,
    MeCoDataset,
    NonFiniteError,
    WrongBatchError,
)


def rows_of(run, dataset, tokenizer):
    """What every batch should have been: the collator on the rows of the step, one process."""
    collate, batch, accumulation = MeCoDataCollator(tokenizer), 2, 2
    from hashlib import sha256

    expected = {}
    for step in range(12):
        for micro in range(accumulation):
            first = (step * accumulation + micro) * batch
            features = collate([dataset[row] for row in range(first, first + batch)])
            ids, labels = features["input_ids"].numpy(), features["labels"].numpy()
            expected[step, micro] = sha256(ids.tobytes() + labels.tobytes()).hexdigest()
    return expected


def test_a_run_trains_every_row_in_order_and_marks_the_switch(train, tokenizer, tmp_path):
    run = train(save_steps=5, logging_steps=2)
    dataset = run.callback.dataset
    assert run.trainer.state.global_step == 12
    assert run.batches == rows_of(run, dataset, tokenizer)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"checkpoint-{step}" for step in (10, 12, 5, 9)
    ], "the step of the switch is saved between the others"
    logs = {entry["step"]: entry for entry in run.logs}
    assert sorted(logs) == [2, 4, 6, 8, 9, 10, 12], "so is its entry in the log"
    assert {step: entry["meco/phase"] for step, entry in logs.items()} == dict.fromkeys((2, 4, 6, 8, 9), 0) | {
        10: 1,
        12: 1,
    }
    assert logs[8]["meco/conditioned_share"] > 0.7
    assert 0.2 < logs[9]["meco/prefix_token_share"] < 0.5
    assert logs[10]["meco/prefix_token_share"] == logs[10]["meco/conditioned_share"] == 0
    mark = json.loads((tmp_path / "out/checkpoint-9/meco_state.json").read_text())
    assert (mark["switch_step"], mark["samples_per_step"], mark["world_size"]) == (9, 4, 1)
    assert {"model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"} <= set(mark["files"])


def test_the_logged_shares_are_those_of_the_batches(train, tokenizer):
    run = train()
    collate = MeCoDataCollator(tokenizer)
    for entry in run.logs:
        features = [run.callback.dataset[row] for row in range((entry["step"] - 1) * 4, entry["step"] * 4)]
        parts = [part for feature in features for part in feature["segments"]]
        conditioned = [part for part in parts if len(part["metadata_ids"])]
        assert entry["meco/conditioned_share"] == len(conditioned) / len(parts)
        prefix = sum(len(part["metadata_ids"]) for part in parts)
        tokens = sum(collate([{"segments": [part]}])["input_ids"].numel() for part in parts)
        assert entry["meco/prefix_token_share"] == prefix / tokens


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {"dataloader_num_workers": 2, "dataloader_prefetch_factor": 4},
        {"dataloader_num_workers": 2, "dataloader_persistent_workers": True},
        {"max_steps": -1, "num_train_epochs": 1},
    ],
)
def test_workers_and_epochs_change_nothing(train, full, settings):
    other = train("other", **settings)
    assert other.batches == full.batches
    assert other.weights == full.weights


@pytest.mark.parametrize("layout", ["flattened", "padded"])
def test_the_other_layouts_train_too(train, tokenizer, layout):
    run = train(collator=MeCoDataCollator(tokenizer, layout=layout), options={"check_leakage": layout == "flattened"})
    assert [entry["meco/phase"] for entry in run.logs] == [0.0] * 9 + [1.0] * 3
    assert run.logs[-1]["loss"] < run.logs[0]["loss"]


@pytest.mark.slow
def test_accumulation_groups_rows_and_moves_no_switch(train):
    runs = [train(f"a{n}", per_device_train_batch_size=4 // n, gradient_accumulation_steps=n) for n in (1, 2, 4)]
    assert [len(run.batches) for run in runs] == [12, 24, 48]
    for run in runs[1:]:
        phases = [[entry["meco/phase"] for entry in one.logs] for one in (runs[0], run)]
        assert phases[0] == phases[1] == [0.0] * 9 + [1.0] * 3
        # Attention dropout draws differently for other batch shapes, so only the first steps are close.
        assert run.logs[0]["loss"] == pytest.approx(runs[0].logs[0]["loss"], rel=0.02)


def test_evaluates_at_the_switch(train):
    run = train(eval_strategy="steps", eval_steps=100)
    assert [entry["step"] for entry in run.trainer.state.log_history if "eval_loss" in entry] == [9, 12]


def test_no_checkpoint_where_none_are_wanted(train, tmp_path):
    train(save_strategy="no")
    assert not list((tmp_path / "out").glob("checkpoint-*"))


def test_reporters_see_the_figures_of_a_callback_that_leads(train):
    seen = []

    class Reporter(MeCoCooldownCallback):
        pass

    def prepare(trainer):
        from transformers import TrainerCallback

        class Early(TrainerCallback):
            def on_log(self, args, state, control, logs=None, **kwargs):
                seen.append(set(logs))

        handler = trainer.callback_handler
        handler.callbacks.insert(1, Early())  # where the Trainer puts the reporters
        next(c for c in handler.callbacks if isinstance(c, Reporter)).lead(trainer)

    train(callback=Reporter, prepare=prepare)
    assert {"meco/phase", "meco/conditioned_share", "meco/prefix_token_share"} <= seen[0]


# What is refused before the first step.


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train_sampling_strategy": "random"}, "set train_sampling_strategy='sequential'"),
        ({"remove_unused_columns": True}, "set remove_unused_columns=False"),
        ({"ignore_data_skip": True}, "set ignore_data_skip=False"),
        ({"dataloader_in_order": False}, "set dataloader_in_order=True"),
        ({"max_steps": 11}, r"the run has 11 steps, the data was laid out for 12: set max_steps=12"),
        ({"max_steps": -1, "num_train_epochs": 2}, "the run has 24 steps"),
        ({"gradient_accumulation_steps": 1}, r"has 2 rows \(1 processes x batch 2 x accumulation 1\), .* for 4"),
        ({"accelerator_config": {"split_batches": True}}, "split_batches=False"),
        ({"accelerator_config": {"dispatch_batches": True}}, "dispatch_batches=False"),
        ({"save_strategy": "best", "metric_for_best_model": "loss", "eval_strategy": "steps"}, "save_strategy='best'"),
    ],
)
def test_a_run_that_does_not_fit_the_data_says_what_to_set(train, settings, message):
    with pytest.raises(ValueError, match=message):
        train(**settings)


def test_the_same_data_set_must_be_trained(train, token_store, tokenizer):
    other = MeCoDataset(token_store, tokenizer, seq_len=96, samples_per_step=4, max_steps=12)

    class OnOther(MeCoCooldownCallback):
        def __init__(self, dataset, **options):
            super().__init__(other, **options)

    with pytest.raises(ValueError, match="pass this MeCoDataset as train_dataset"):
        train(callback=OnOther)


def test_collator_and_data_share_a_tokenizer(train, make_tokenizer):
    with pytest.raises(ValueError, match="give both one tokenizer"):
        train(collator=MeCoDataCollator(make_tokenizer(bos=False)))


def test_flash_attention_on_rows_is_refused(train):
    def pretend(trainer):
        trainer.model.config._attn_implementation_internal = "flash_attention_2"

    with pytest.raises(ValueError, match="layout='flattened'"):
        train(prepare=pretend)


# What is noticed on the way.


class Shuffled(Trainer):
    """Says sequential and shuffles, as a careless subclass would."""

    def _get_train_sampler(self, train_dataset=None):
        generator = torch.Generator().manual_seed(1)
        return torch.utils.data.RandomSampler(self.train_dataset, generator=generator)


def test_a_batch_out_of_order_is_noticed_before_it_trains(train, tmp_path):
    with pytest.raises(WrongBatchError, match=r"step 0, rows 0 to 1 \(process 0\) is not the one"):
        train(trainer=Shuffled)
    assert not list((tmp_path / "out").glob("checkpoint-*"))
    assert train("unchecked", trainer=Shuffled, options={"check_batches": False}).trainer.state.global_step == 12


def test_a_batch_of_the_wrong_phase_is_noticed(train, token_store, tokenizer):
    class Late(MeCoDataset):
        """The cooldown begins one step late in the copies that workers hold."""

        def __getitem__(self, row):
            item = super().__getitem__(row)
            if row == 37 and torch.utils.data.get_worker_info():
                item["segments"] = super().__getitem__(5)["segments"]
            return item

    data = Late(
        token_store,
        tokenizer,
        seq_len=96,
        samples_per_step=4,
        max_steps=12,
        schedule=Schedule(cooldown_fraction=0.25),
    )
    with pytest.raises(WrongBatchError, match=r"step 9, rows 36 to 37 .* cooldown phase"):
        train(data=data, dataloader_num_workers=1)


@pytest.mark.parametrize(
    "change",
    [
        lambda batch: batch.pop("position_ids"),
        lambda batch: batch["labels"].fill_(-100),
        lambda batch: batch.update(attention_mask=torch.ones_like(batch["input_ids"])),
    ],
)
def test_whatever_changes_a_batch_on_its_way_is_noticed(train, change):
    class Meddling(Trainer):
        def _prepare_inputs(self, inputs):
            if self.state.global_step == 2:
                change(inputs)
            return super()._prepare_inputs(inputs)

    with pytest.raises(WrongBatchError, match="step 2, rows 8 to 9"):
        train(trainer=Meddling)


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_documents(train, tmp_path):
    class Poison(MeCoCooldownCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            super().on_step_begin(args, state, control, **kwargs)
            if state.global_step == 7:
                kwargs["model"].model.norm.weight.data[0] = float("nan")

    with pytest.raises(NonFiniteError, match=r"step 7, rows 28 to 29 .* documents in the batch: d\d+, d\d+") as caught:
        train(callback=Poison)
    names = str(caught.value).split("batch: ")[1].split(". Look")[0].split(", ")
    assert len(names) >= 2
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["checkpoint-3", "checkpoint-6"]
    weights = torch.load(tmp_path / "out/checkpoint-6/optimizer.pt", weights_only=True)
    assert all(torch.isfinite(state["exp_avg"]).all() for state in weights["state"].values())


def test_weights_that_are_no_numbers_are_not_saved(train, tmp_path):
    class Poison(MeCoCooldownCallback):
        def on_optimizer_step(self, args, state, control, **kwargs):
            if state.global_step == 5:
                kwargs["model"].lm_head.weight.data[0, 0] = float("inf")

    with pytest.raises(NonFiniteError, match=r"lm_head.weight holds NaN or infinity after step 6"):
        train(callback=Poison)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["checkpoint-3"]


def test_a_failed_run_leaves_no_hook_on_the_model(train):
    models = []
    with pytest.raises(WrongBatchError):
        train(trainer=Shuffled, prepare=lambda trainer: models.append(trainer.model))
    assert [hook.__qualname__ for hook in models[0]._forward_pre_hooks.values()] == ["BatchLog.note"]
    assert not models[0]._forward_hooks


def test_leakage_is_checked_at_the_start_on_request(train, tokenizer):
    class Masking(MeCoDataCollator):
        def __call__(self, features):
            batch = super().__call__(features)
            return batch | {"attention_mask": torch.ones_like(batch["input_ids"])}

    with pytest.raises(LeakageError, match="leave attention_mask out"):
        train(collator=Masking(tokenizer), options={"check_leakage": True})
    assert train("fine", options={"check_leakage": True}).trainer.state.global_step == 12


def test_the_docstring_prints_what_it_says(token_store, tokenizer, make_model, tmp_path):
    import contextlib
    import doctest

    from transformers import TrainingArguments

    import trainer_callbacks
    from trainer_callbacks import cooldown

    args = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=10,
        train_sampling_strategy="sequential",
        remove_unused_columns=False,
        use_cpu=True,
        disable_tqdm=True,
    )
    names = {name: getattr(trainer_callbacks, name) for name in trainer_callbacks.__all__}

    class Quiet(Trainer):
        def train(self, *arguments, **options):
            with contextlib.redirect_stdout(None):
                return super().train(*arguments, **options)

    names |= {"Trainer": Quiet, "store": token_store, "tokenizer": tokenizer, "args": args, "model": make_model()}
    results = doctest.testmod(cooldown, extraglobs=names, optionflags=doctest.ELLIPSIS)
    assert (results.attempted, results.failed) == (4, 0)


def put_off(self, kind, rows, is_good):
    """As on a GPU: nothing is read until `settle`."""
    self._pending.append((kind, self._step, rows, is_good))


@pytest.mark.parametrize(("logging_steps", "last"), [(1, None), (100, None), (4, "checkpoint-3")])
def test_where_reading_is_put_off_nothing_unchecked_is_saved(train, tmp_path, monkeypatch, logging_steps, last):
    monkeypatch.setattr("trainer_callbacks.watch.BatchWatch._note", put_off)
    trainer = Shuffled if last is None else Meddling
    with pytest.raises(WrongBatchError, match="step 0, rows 0" if last is None else "step 3, rows 12 to 13"):
        train(trainer=trainer, logging_steps=logging_steps)
    assert [path.name for path in (tmp_path / "out").glob("checkpoint-*")] == ([last] if last else [])


class Meddling(Trainer):
    """Forgets the mask from step 3 on."""

    def _prepare_inputs(self, inputs):
        if self.state.global_step >= 3:
            inputs["labels"] = inputs["input_ids"].clone()
        return super()._prepare_inputs(inputs)


def test_the_collator_alone_serves_an_ordinary_trainer(tokenizer, make_model, tmp_path):
    from transformers import TrainingArguments

    pages = [{"text": f"page {i} of this site", "url": f"https://h{i % 3}.example"} for i in range(16)]
    args = TrainingArguments(output_dir=str(tmp_path), max_steps=4, use_cpu=True, remove_unused_columns=False)
    trainer = Trainer(make_model(), args, MeCoDataCollator(tokenizer, layout="padded"), pages)
    assert trainer.train().training_loss > 0
