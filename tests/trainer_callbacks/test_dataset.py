"""The order of a MeCo run: phases by position, no document in both, the same rows whoever asks."""

import pickle
import shutil
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hf_curation.packing.schedule import Phase, Schedule
from trainer_callbacks.collator import MeCoDataCollator
from trainer_callbacks.dataset import MeCoDataset


@pytest.fixture
def make(token_store, tokenizer):
    def build(**settings):
        defaults = {"seq_len": 96, "samples_per_step": 2, "schedule": Schedule(cooldown_fraction=0.25)}
        return MeCoDataset(token_store, tokenizer, **defaults | settings)

    return build


def documents(dataset, rows) -> set[int]:
    return {part["document"] for row in rows for part in dataset[row]["segments"]}


def test_conditioned_rows_first_then_the_cooldown_on_documents_never_seen(make):
    dataset = make()
    assert len(dataset) == dataset.max_steps * 2
    assert dataset.switch_step == round(dataset.max_steps * 0.75)
    before, after = range(dataset.switch_row), range(dataset.switch_row, len(dataset))
    assert not documents(dataset, before) & documents(dataset, after)
    assert all(dataset[row]["phase"] == "conditioned" for row in before)
    with_url = [part for row in before for part in dataset[row]["segments"] if part["document"] % 10]
    assert all(len(part["metadata_ids"]) for part in with_url)
    assert not any(len(part["metadata_ids"]) for row in after for part in dataset[row]["segments"])
    with pytest.raises(IndexError):
        dataset[len(dataset)]


@pytest.mark.parametrize("plan", ["best_fit", "truncate", "split"])
def test_every_row_fits_and_its_first_tokens_say_the_host(make, tokenizer, plan):
    dataset = make(plan=plan)
    collate = MeCoDataCollator(tokenizer, max_length=96, pad_to_max_length=True)
    batch = collate([dataset[row] for row in range(len(dataset))])
    assert batch["input_ids"].shape == (len(dataset), 96)
    for row in range(len(dataset)):
        for part in dataset[row]["segments"]:
            text = tokenizer.decode(part["metadata_ids"])
            assert text == "" or text == f"URL: {'abc'[part['document'] % 3]}.example\n\n"


def test_equal_arguments_give_equal_rows_in_any_process(make):
    dataset = make()
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - as a DataLoader worker gets it
    assert copy.fingerprint == make().fingerprint == dataset.fingerprint
    assert make(seed=1).fingerprint != dataset.fingerprint
    for row in range(len(dataset)):
        for a, b in zip(dataset[row]["segments"], copy[row]["segments"], strict=True):
            assert np.array_equal(a.pop("input_ids"), b.pop("input_ids"))
            assert np.array_equal(a.pop("metadata_ids"), b.pop("metadata_ids"))
            assert a == b


def test_in_several_blocks_no_document_is_in_both_phases_and_each_is_in_one(make):
    dataset = make(block_documents=25, plan="split")
    rows = {phase: found.num_rows for phase, found in dataset._phases.items()}
    found = [dataset._phases[phase].documents(row) for phase, num_rows in rows.items() for row in range(num_rows)]
    placed = [document for row in found for document in set(row)]
    assert set(placed) == set(range(120))
    before, after = range(dataset.switch_row), range(dataset.switch_row, len(dataset))
    assert not documents(dataset, before) & documents(dataset, after)
    tokens = [
        sum(len(part["input_ids"]) for row in span for part in dataset[row]["segments"]) for span in (before, after)
    ]
    assert 0.15 < tokens[1] / sum(tokens) < 0.35
    assert dataset.fingerprint == make(block_documents=25, plan="split").fingerprint
    assert dataset.fingerprint != make(plan="split").fingerprint
    assert make(block_documents=120).fingerprint == make(block_documents=10**6).fingerprint


def test_new_data_for_the_cooldown(make, token_store):
    dataset = make(cooldown_store=token_store, max_steps=8)
    assert (dataset.switch_step, len(dataset)) == (6, 16)
    assert documents(dataset, range(12)) & documents(dataset, range(12, 16)), "both phases draw on their whole store"


def test_too_little_data_is_an_error_that_says_how_much(make):
    with pytest.raises(ValueError, match=r"the conditioned phase needs 1500 rows of 96 tokens \(750 steps of 2\)"):
        make(max_steps=1000)
    assert len(make(max_steps=1000, allow_repeats=True)) == 2000
    with pytest.raises(ValueError, match="fewer than one step"):
        make(samples_per_step=10_000)


def test_a_mixed_schedule_decides_by_document(make):
    dataset = make(schedule=Schedule(kind="mix", probability=0.5))
    assert dataset.switch_row == len(dataset)
    carried = {
        part["document"]: len(part["metadata_ids"]) > 0
        for row in range(len(dataset))
        for part in dataset[row]["segments"]
        if part["document"] % 10
    }
    assert 0.3 < np.mean(list(carried.values())) < 0.7


def test_a_template_over_a_column_that_is_not_there(make):
    with pytest.raises(ValueError, match="needs the column 'lang'; the store holds id, url"):
        make(template="{column:lang} ")


def test_a_template_without_fields_conditions_every_document_alike(make, tokenizer):
    parts = make(template="Web page.\n", schedule=Schedule(kind="always"))[0]["segments"]
    assert {tokenizer.decode(part["metadata_ids"]) for part in parts} == {"Web page.\n"}


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_the_switch_is_where_the_fraction_says(max_steps, fraction):
    schedule = Schedule(cooldown_fraction=fraction)
    switch = schedule.switch_step(max_steps)
    assert switch == round(max_steps * (1 - fraction))
    for step in {0, switch - 1, switch, max_steps - 1} & set(range(max_steps)):
        assert (schedule.phase_at(step, max_steps) is Phase.COOLDOWN) == (step >= switch)


def test_shares_of_a_mix_are_nested_and_stable():
    few, many = (Schedule(kind="mix", probability=p) for p in (0.3, 0.6))
    ids = [f"doc{i}" for i in range(2000)]
    in_few = {i for i in ids if few.is_conditioned(Phase.CONDITIONED, i)}
    in_many = {i for i in ids if many.is_conditioned(Phase.CONDITIONED, i)}
    assert in_few < in_many
    assert 0.25 < len(in_few) / 2000 < 0.35
    other = {i for i in ids if Schedule(kind="mix", probability=0.3, seed=1).is_conditioned(Phase.CONDITIONED, i)}
    assert other != in_few


def test_a_schedule_that_is_none():
    with pytest.raises(ValueError, match="got 'linear'"):
        Schedule(kind="linear")
    with pytest.raises(ValueError, match=r"cooldown_fraction must be in \[0, 1\], got 10"):
        Schedule(cooldown_fraction=10)


@given(first=st.integers(0, 300), count=st.integers(1, 300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
def test_figures_of_a_span_are_those_of_its_rows(make, tokenizer, first, count):
    """The plan's figures against a count over the rows, across the switch and through several rounds of the data."""
    dataset = _repeating(make)
    rows = range(first, min(first + count, len(dataset)))
    parts = [part for row in rows for part in dataset[row]["segments"]]
    prefixes = [len(part["metadata_ids"]) for part in parts]
    collate = MeCoDataCollator(tokenizer)
    num_tokens = sum(collate([{"segments": [part]}])["input_ids"].numel() for part in parts)
    expected = (len(parts), sum(n > 0 for n in prefixes), num_tokens, sum(prefixes))
    figures = dataset.figures(rows)
    found = (figures.num_documents, figures.num_conditioned, figures.num_tokens, figures.num_prefix_tokens)
    assert found == expected


_CACHE: list = []


def _repeating(make):
    if not _CACHE:
        _CACHE.append(make(max_steps=200, allow_repeats=True))
    return _CACHE[0]


def test_no_rows_have_no_metadata(make):
    dataset = make()
    for row in (0, dataset.switch_row, len(dataset)):
        assert astuple(dataset.figures(range(row, row))) == (0, 0, 0, 0)


def test_one_process_of_a_machine_keeps_the_prefixes(tmp_path, token_store, tokenizer, monkeypatch):
    monkeypatch.setattr("hf_curation.packing.prefix_cache.MIN_DOCUMENTS", 1)
    shutil.copytree(token_store.folder, tmp_path / "store")
    fingerprints = set()
    for rank, is_kept in (("1", False), ("0", True), ("1", True)):
        monkeypatch.setenv("LOCAL_RANK", rank)
        dataset = MeCoDataset(tmp_path / "store", tokenizer, seq_len=96, samples_per_step=4)
        fingerprints.add(dataset.fingerprint)
        assert len(list(tmp_path.glob("store/prefixes/*.safetensors"))) == is_kept
    assert len(fingerprints) == 1
