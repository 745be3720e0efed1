"""What may go wrong in a training run and is told or survived: gradients, workers, odd tokenizers, long metadata."""

import multiprocessing
from itertools import pairwise

import pytest
import torch

from trainer_callbacks import MeCoCooldownCallback, MeCoDataCollator, MeCoDataset, NonFiniteError

URL = "https://whales.example/songs"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_stops_the_run(train, tmp_path, value):
    """The loss of that step is still fine: Trainer's own filter looks at losses only, and would go on."""

    class Poison(MeCoCooldownCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            super().on_step_begin(args, state, control, **kwargs)
            if state.global_step == 4:
                kwargs["model"].lm_head.weight.register_hook(lambda gradient: gradient * value)

    with pytest.raises(NonFiniteError, match="grad_norm is nan at step 5"):
        train(callback=Poison)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["checkpoint-3"], "nothing poisoned was saved"


@pytest.mark.slow
def test_a_killed_dataloader_worker_is_told_and_the_run_resumes(train, tmp_path):
    class Killer(MeCoCooldownCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            super().on_step_begin(args, state, control, **kwargs)
            if state.global_step == 4:
                for process in multiprocessing.active_children():
                    process.kill()
                    process.join()

    # Slowly read ahead, so that the worker has something left to do.
    settings = {"dataloader_num_workers": 1, "dataloader_prefetch_factor": 1}
    full = train("full", **settings)
    with pytest.raises(RuntimeError, match=r"DataLoader worker .* (is killed|exited unexpectedly)"):
        train("out", callback=Killer, **settings)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["checkpoint-3"]
    assert train("out", resume="out/checkpoint-3", **settings).weights == full.weights


def test_optimizer_and_random_state_are_those_of_the_uninterrupted_run(train, full, tmp_path):
    train("again", resume="full/checkpoint-6")

    def state(folder, name):
        return torch.load(tmp_path / folder / "checkpoint-12" / name, weights_only=True)

    one, two = (state(folder, "optimizer.pt")["state"] for folder in ("full", "again"))
    assert one.keys() == two.keys()
    for key, moments in one.items():
        assert all(torch.equal(moments[name], two[key][name]) for name in ("step", "exp_avg", "exp_avg_sq"))
    assert state("full", "scheduler.pt") == state("again", "scheduler.pt")


def test_the_learning_rate_knows_nothing_of_the_switch(full):
    rates = [entry["learning_rate"] for entry in full.logs]
    steps = [after - before for before, after in pairwise(rates)]
    assert len(rates) == 12
    assert max(steps) == pytest.approx(min(steps)), "one straight line down to zero, through the switch at step 9"


def test_no_loss_on_the_prefix_and_all_of_it_from_the_first_token_of_the_page(tokenizer):
    batch = MeCoDataCollator(tokenizer)([{"text": "abc", "url": URL}])
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    page = tokenizer("abc", add_special_tokens=False)["input_ids"]
    at = len(ids) - len(page) - 1  # EOS
    assert tokenizer.decode(ids[:at]).endswith("whales.example\n\n")
    assert labels[:at] == [-100] * at
    assert labels[at:] == ids[at:] == [*page, tokenizer.eos_token_id]


@pytest.mark.parametrize(("bos", "eos"), [(False, True), (True, False), (False, False)])
def test_tokenizers_without_bos_or_eos(make_tokenizer, bos, eos):
    tokenizer = make_tokenizer(bos=bos, eos=eos)
    batch = MeCoDataCollator(tokenizer, template="{host} ")([{"text": "abc", "url": URL}])
    text = tokenizer.decode(batch["input_ids"][0])
    assert text == f"{'<s>' * bos}whales.example abc{'</s>' * eos}"
    assert (batch["labels"][0] != -100).sum() == 3 + eos, "the page, and EOS where there is one"


def test_metadata_longer_than_a_row_are_an_error(token_store, tokenizer):
    layout = {"max_steps": 2, "samples_per_step": 2, "seq_len": 12}
    with pytest.raises(ValueError, match=r"leaves no room|seq_len"):
        MeCoDataset(token_store, tokenizer, template="{url} and so on and on\n", **layout)


def test_no_row_is_masked_as_a_whole(tokenizer):
    """The mean of the loss over no token would be NaN; pages without a token do not get into a store."""
    empty = MeCoDataCollator(tokenizer, template="{host} ")([{"text": "", "url": URL}])
    assert (empty["labels"] != -100).sum() == 1, "EOS is learnt even after an empty page"
