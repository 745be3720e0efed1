"""Packed documents do not see each other, and where they do, it is noticed; packed and padded losses are equal."""

import pytest
import torch

from trainer_callbacks import LeakageError, MeCoDataCollator, MeCoDataset, check_no_leakage

ATTENTIONS = ["eager", "sdpa"]


@pytest.fixture
def quiet_model(make_model):
    """A model with the cache off, as the Trainer leaves it."""

    def make(attention="sdpa"):
        model = make_model(attention)
        model.config.use_cache = False
        return model

    return make


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("layout", ["rows", "flattened", "padded"])
def test_our_layouts_keep_documents_apart(quiet_model, tokenizer, attention, layout):
    model = quiet_model(attention).train()
    assert check_no_leakage(model, MeCoDataCollator(tokenizer, layout=layout)) < 1e-5
    assert model.training


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda b: b | {"attention_mask": torch.ones_like(b["input_ids"])}, "leave attention_mask out"),
        (lambda b: {"input_ids": b["input_ids"]}, "gives no position_ids"),
        (lambda b: b | {"position_ids": torch.arange(b["input_ids"].shape[1])[None]}, "does not separate documents"),
    ],
)
def test_what_mixes_documents_is_named(quiet_model, tokenizer, attention, spoil, cause):
    collate = MeCoDataCollator(tokenizer)
    with pytest.raises(LeakageError, match=cause) as caught:
        check_no_leakage(quiet_model(attention), lambda features: spoil(collate(features)))
    assert "rounding: 0.0001" in str(caught.value)


def test_a_cache_mixes_documents(make_model, tokenizer):
    model = make_model()
    assert model.config.use_cache, "the default, in every evaluation loop that is written by hand"
    with pytest.raises(LeakageError, match="use_cache=False"):
        check_no_leakage(model, MeCoDataCollator(tokenizer))


def test_rows_of_a_data_set_and_simple_features(quiet_model, tokenizer, token_store):
    dataset = MeCoDataset(token_store, tokenizer, seq_len=96, samples_per_step=1)
    collate = MeCoDataCollator(tokenizer)
    assert check_no_leakage(quiet_model(), collate, features=[dataset[0], dataset[len(dataset) - 1]]) < 1e-5
    pages = [{"text": "one page", "url": "https://a.example"}, {"text": "another, longer page"}]
    flat = MeCoDataCollator(tokenizer, layout="flattened")
    assert check_no_leakage(quiet_model(), flat, features=pages) < 1e-5


def test_transformers_own_flattening_collator_passes_on_simple_features(quiet_model):
    from transformers import DataCollatorWithFlattening

    features = [{"input_ids": list(range(10, 20))}, {"input_ids": list(range(30, 50))}]
    assert check_no_leakage(quiet_model(), DataCollatorWithFlattening(), features=features) < 1e-5


def test_half_precision_has_a_tolerance_of_its_own(quiet_model, tokenizer):
    model = quiet_model().to(torch.bfloat16)
    collate = MeCoDataCollator(tokenizer)
    assert check_no_leakage(model, collate) < 0.1
    with pytest.raises(LeakageError):
        check_no_leakage(model, lambda f: collate(f) | {"attention_mask": torch.ones_like(collate(f)["input_ids"])})


def test_rounding_of_mixed_precision_is_no_leak(quiet_model, tokenizer):
    """Weights are in float32 and passes in bfloat16, as under `training.bf16`; other neighbours change nothing."""
    model, collate = quiet_model(), MeCoDataCollator(tokenizer)
    with torch.autocast("cpu", torch.bfloat16):
        assert check_no_leakage(model, collate) > 1e-4, "more than float32 may differ by"
        with pytest.raises(LeakageError):
            check_no_leakage(model, lambda features: {"input_ids": collate(features)["input_ids"]})


def test_a_collator_that_cuts_is_an_error(quiet_model, tokenizer):
    def cutting(features):
        batch = MeCoDataCollator(tokenizer)(features)
        return {name: tensor[:, : 8 if len(features) > 1 else None] for name, tensor in batch.items()}

    with pytest.raises(ValueError, match="document 0 is longer than the packed batch"):
        check_no_leakage(quiet_model(), cutting)


@pytest.mark.parametrize("loss", ["masked", "trained", "appended"])
def test_packed_and_padded_losses_are_equal(quiet_model, tokenizer, token_store, loss):
    dataset = MeCoDataset(token_store, tokenizer, seq_len=96, samples_per_step=4)
    features = [dataset[row] for row in (0, 1, len(dataset) - 2, len(dataset) - 1)]
    model = quiet_model().eval()
    losses = {}
    for layout in ("rows", "flattened", "padded"):
        batch = MeCoDataCollator(tokenizer, layout=layout, loss_on_metadata=loss)(features)
        with torch.no_grad():
            losses[layout] = float(model(**batch).loss)
    assert losses["flattened"] == pytest.approx(losses["rows"], abs=1e-5)
    assert losses["padded"] == pytest.approx(losses["rows"], abs=1e-5)
