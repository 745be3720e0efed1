"""Interrupted runs equal the uninterrupted one bit for bit; checkpoints torn or of another run are refused."""

import json
import logging
import shutil
from pathlib import Path

import pytest
from transformers import Trainer

from hf_curation.packing.schedule import Schedule
from trainer_callbacks import MeCoDataset, last_complete_checkpoint
from trainer_callbacks.checkpoints import check_resume


@pytest.mark.parametrize("step", [6, 9])
def test_before_and_at_the_switch(train, full, step):
    resumed = train("again", resume=f"full/checkpoint-{step}")
    assert resumed.batches == {key: digest for key, digest in full.batches.items() if key[0] >= step}
    assert resumed.weights == full.weights
    assert resumed.logs[-1]["loss"] == full.logs[-1]["loss"]


@pytest.mark.slow
@pytest.mark.parametrize("step", [3, 6, 9, 10])
@pytest.mark.parametrize(
    "settings",
    [
        {"dataloader_num_workers": 2, "dataloader_persistent_workers": True},
        {"gradient_accumulation_steps": 1, "per_device_train_batch_size": 4},
        {"max_steps": -1, "num_train_epochs": 1, "dataloader_num_workers": 1},
    ],
)
def test_anywhere_with_workers_accumulation_and_epochs(train, step, settings):
    steps = {"save_steps": 1, "save_only_model": False}
    full = train("full", **settings, **steps)
    resumed = train("again", resume=f"full/checkpoint-{step}", **settings, **steps)
    assert resumed.batches == {key: digest for key, digest in full.batches.items() if key[0] >= step}
    assert resumed.weights == full.weights


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


@pytest.mark.parametrize("during", ["_save_optimizer_and_scheduler", "_save_rng_state"])
def test_a_kill_in_mid_save_costs_the_steps_since_the_save_before(train, full, tmp_path, monkeypatch, during):
    original = getattr(Trainer, during)

    def dying(self, output_dir):
        if self.state.global_step == 9:
            raise Killed
        original(self, output_dir)

    monkeypatch.setattr(Trainer, during, dying)
    with pytest.raises(Killed):
        train("out")
    monkeypatch.undo()
    assert (tmp_path / "out/checkpoint-9/model.safetensors").exists(), "torn, and the newest by its number"
    newest = last_complete_checkpoint(tmp_path / "out")
    assert Path(newest).name == "checkpoint-6"
    resumed = train("out", resume="out/checkpoint-6", save_total_limit=1)
    assert resumed.weights == full.weights
    assert resumed.batches == {key: digest for key, digest in full.batches.items() if key[0] >= 6}
    assert Path(last_complete_checkpoint(tmp_path / "out")).name == "checkpoint-12"


def test_torn_checkpoints_are_passed_over(train, full, tmp_path):
    out = tmp_path / "full"
    assert last_complete_checkpoint(tmp_path / "nowhere") is None
    assert Path(last_complete_checkpoint(out)).name == "checkpoint-12"
    with (out / "checkpoint-12/optimizer.pt").open("r+b") as file:
        file.truncate(1000)
    assert Path(last_complete_checkpoint(out)).name == "checkpoint-9"
    (out / "checkpoint-9/scheduler.pt").unlink()
    assert Path(last_complete_checkpoint(out)).name == "checkpoint-6"
    (out / "checkpoint-6/meco_state.json").write_text('{"files": ')
    assert Path(last_complete_checkpoint(out)).name == "checkpoint-3"
    with pytest.raises(ValueError, match="checkpoint-6 was not written whole: use resume_from_checkpoint=last_comp"):
        train("full", resume="full/checkpoint-6")


@pytest.mark.parametrize("missing", ["trainer_state.json", "model.safetensors", "rng_state.pth"])
def test_resuming_by_true_from_a_torn_checkpoint_is_told_what_to_do(train, full, tmp_path, caplog, missing):
    for name in (missing, "meco_state.json"):
        (tmp_path / "full/checkpoint-12" / name).unlink()
    # What is missing may stop the Trainer itself, before any callback hears of the resume.
    with caplog.at_level(logging.WARNING), pytest.raises((ValueError, OSError)):
        train("full", resume="full/checkpoint-12")
    assert "checkpoint-12 was not written whole, and resume_from_checkpoint=True would take it: use" in caplog.text
    assert caplog.text.strip().endswith("checkpoint-9")
    caplog.clear()
    assert train("full", resume="full/checkpoint-9").weights == full.weights
    caplog.clear()
    train("full", resume="full/checkpoint-12")
    assert "not written whole" not in caplog.text


def test_torn_checkpoints_ahead_are_removed_and_others_kept(train, full, tmp_path):
    out = tmp_path / "full"
    shutil.copytree(out / "checkpoint-12", out / "checkpoint-99")
    (out / "checkpoint-99/meco_state.json").unlink()
    (out / "checkpoint-50").mkdir()
    (out / "checkpoint-50/trainer_state.json").write_text("{}")
    train("full", resume="full/checkpoint-9")
    names = {path.name for path in out.iterdir()}
    assert "checkpoint-99" not in names, "ours, and torn"
    assert "checkpoint-50" in names, "somebody else's"


def test_a_mark_goes_before_its_checkpoint_is_written_anew(train, full, tmp_path, monkeypatch):
    def dying(self, output_dir):
        raise Killed

    monkeypatch.setattr(Trainer, "_save_rng_state", dying)
    with pytest.raises(Killed):
        train("full", resume="full/checkpoint-6")
    assert not (tmp_path / "full/checkpoint-9/meco_state.json").exists()
    assert (tmp_path / "full/checkpoint-6/meco_state.json").exists()


def test_a_finished_run_resumes_into_nothing(train, full):
    again = train("full", resume="full/checkpoint-12")
    assert again.batches == {}
    assert again.weights == full.weights


# Another run's checkpoint.


def test_another_geometry_is_refused_or_asked_for(train, full):
    other = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 1}
    with pytest.raises(ValueError, match="per_device_batch was 2 in the checkpoint of step 6 and is 4: launch"):
        train("again", resume="full/checkpoint-6", **other)
    regrouped = train("again", resume="full/checkpoint-6", options={"allow_other_geometry": True}, **other)
    assert regrouped.trainer.state.global_step == 12
    assert sorted(regrouped.batches) == [(step, 0) for step in range(6, 12)]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"seed": 1}, "the rows of the conditioned phase are not those of the checkpoint of step 6"),
        ({"template": "{host}\n"}, "the rows of the conditioned phase"),
        ({"schedule": Schedule(cooldown_fraction=0.5)}, "switch_step was 9 .* and is 6: set the old schedule"),
    ],
)
def test_other_data_is_refused(train, full, token_store, tokenizer, layout, message):
    settings = {"seq_len": 96, "samples_per_step": 4, "max_steps": 12, "schedule": Schedule(cooldown_fraction=0.25)}
    data = MeCoDataset(token_store, tokenizer, **settings | layout)
    with pytest.raises(ValueError, match=message):
        train("again", resume="full/checkpoint-6", data=data)


def test_a_longer_run_is_refused(train, full, token_store, tokenizer):
    schedule = Schedule(cooldown_fraction=0.25)
    data = MeCoDataset(
        token_store, tokenizer, seq_len=96, samples_per_step=4, max_steps=13, schedule=schedule, allow_repeats=True
    )
    with pytest.raises(ValueError, match=r"max_steps was 12 .* and is 13: set the old value"):
        train("again", resume="full/checkpoint-6", data=data, max_steps=13)


def test_a_checkpoint_of_no_meco_run_is_refused(train, full, tmp_path):
    path = tmp_path / "full/checkpoint-6/trainer_state.json"
    state = json.loads(path.read_text())
    del state["stateful_callbacks"]["meco"]
    path.write_text(json.dumps(state))
    with pytest.raises(ValueError, match="is of no MeCo run"):
        train("again", resume="full/checkpoint-6")


def test_callback_states_may_be_restored(train, full):
    resumed = train("again", resume="full/checkpoint-6", restore_callback_states_from_checkpoint=True)
    assert resumed.weights == full.weights


# The paper's two runs.


def test_two_runs_equal_one_and_no_file_is_removed_by_hand(train, full, tmp_path):
    first = train("one", options={"stop_after_conditioned": True}, save_strategy="no")
    assert first.trainer.state.global_step == 9
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["checkpoint-9"]
    with pytest.raises(ValueError, match=r"the conditioned phase ended at step 9 .* set stop_after_conditioned=False"):
        train("one", resume="one/checkpoint-9", options={"stop_after_conditioned": True})
    second = train("two", resume="one/checkpoint-9")
    assert second.weights == full.weights
    assert first.batches | second.batches == full.batches


def test_a_schedule_without_cooldown_has_nothing_to_stop_after(train, token_store, tokenizer):
    data = MeCoDataset(
        token_store, tokenizer, seq_len=96, samples_per_step=4, max_steps=12, schedule=Schedule(kind="mix")
    )
    with pytest.raises(ValueError, match="the schedule mix has no cooldown"):
        train(data=data, options={"stop_after_conditioned": True})


def test_a_run_in_blocks_goes_on_in_the_middle_of_one(train, token_store, tokenizer):
    settings = {"seq_len": 96, "samples_per_step": 4, "max_steps": 12, "schedule": Schedule(cooldown_fraction=0.25)}

    def data(block_documents):
        return MeCoDataset(token_store, tokenizer, block_documents=block_documents, **settings)

    full = train("full", data=data(25))
    first_rows = full.callback.dataset._phases["conditioned"]._first_B1
    assert len(first_rows) > 3
    assert 6 * 4 not in first_rows
    resumed = train("full", resume="full/checkpoint-6", data=data(25), dataloader_num_workers=1)
    assert resumed.weights == full.weights
    assert resumed.batches == {key: digest for key, digest in full.batches.items() if key[0] >= 6}
    with pytest.raises(ValueError, match=r"the conditioned phase are not .* block_documents was 25 and is 120"):
        train("full", resume="full/checkpoint-6", data=data(120))


def test_a_checkpoint_of_an_earlier_release_goes_on_where_its_order_is_the_same(full_run):
    record = full_run.trainer.state.stateful_callbacks["meco"]
    old = {name: value for name, value in record.items() if name != "block_documents"}
    check_resume(old, record, 6, allow_other_geometry=False)
    with pytest.raises(ValueError, match=r"all documents as one block: block_documents=len\(store\) does so"):
        check_resume(old | {"data": {"conditioned": "other"}}, record, 6, allow_other_geometry=False)


def test_one_trunk_serves_several_cooldowns(train, token_store, tokenizer):
    settings = {"seq_len": 96, "samples_per_step": 4, "max_steps": 12, "schedule": Schedule(cooldown_fraction=0.25)}
    trunk = MeCoDataset(token_store, tokenizer, cooldown_store=token_store, **settings)
    train("trunk", data=trunk, options={"stop_after_conditioned": True})
    branch = MeCoDataset(token_store, tokenizer, cooldown_store=token_store, **settings)
    branch._phases["cooldown"] = branch._phases["conditioned"]  # other rows, from another store as it were
    assert branch.phase_fingerprints["cooldown"] != trunk.phase_fingerprints["cooldown"]
    assert branch.phase_fingerprints["conditioned"] == trunk.phase_fingerprints["conditioned"]
    other = train("branch", resume="trunk/checkpoint-9", data=branch)
    assert other.trainer.state.global_step == 12
    with pytest.raises(ValueError, match="the rows of the cooldown phase are not those"):
        train("late", resume="branch/checkpoint-12", data=trunk)
