"""What the collator writes, against a token-by-token twin, in all layouts and for all kinds of tokenizers."""

import doctest
import pickle
from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import trainer_callbacks.collator as module
from trainer_callbacks.collator import MeCoDataCollator

URL = "https://user:pw@www.Example.org:8080/page?token=zzz"


def twin(body, metadata, ends, bos, eos, loss):
    """One document, token by token: (id, label) pairs."""
    pairs = [(bos, -100)] if bos is not None else []
    if loss != "appended":
        pairs += [(t, t if loss == "trained" else -100) for t in metadata]
    pairs += [(t, t) for t in body]
    if loss == "appended":
        pairs += [(t, t) for t in metadata]
    if ends and eos is not None:
        pairs += [(eos, eos)]
    return [(pairs[0][0], -100), *pairs[1:]]


segment = st.fixed_dictionaries(
    {
        "input_ids": st.lists(st.integers(3, 200), min_size=1, max_size=9),
        "metadata_ids": st.lists(st.integers(3, 200), max_size=4).map(tuple),
        "ends": st.booleans(),
    }
)


@given(
    rows=st.lists(st.lists(segment, min_size=1, max_size=4), min_size=1, max_size=3),
    bos=st.booleans(),
    eos=st.booleans(),
    loss=st.sampled_from(["masked", "trained", "appended"]),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_all_layouts_equal_the_twin(make_tokenizer, rows, bos, eos, loss):
    tokenizer = _tokenizer(make_tokenizer, bos, eos)
    special = (tokenizer.bos_token_id, tokenizer.eos_token_id)
    expected = [[twin(s["input_ids"], s["metadata_ids"], s["ends"], *special, loss) for s in row] for row in rows]
    features = [{"segments": row} for row in rows]

    batch = MeCoDataCollator(tokenizer, loss_on_metadata=loss)(features)
    assert set(batch) == {"input_ids", "labels", "position_ids"}
    for r, row in enumerate(expected):
        pairs = [pair for one in row for pair in one]
        assert list(zip(*_lists(batch, r), strict=True))[: len(pairs)] == pairs
        assert batch["position_ids"][r, : len(pairs)].tolist() == [i for one in row for i in range(len(one))]
        assert set(batch["labels"][r, len(pairs) :].tolist()) <= {-100}

    flat = MeCoDataCollator(tokenizer, loss_on_metadata=loss, layout="flattened")(features)
    documents = [one for row in expected for one in row]
    borders = flat["cu_seq_lens_q"].tolist()
    assert [b - a for a, b in pairwise(borders)] == [len(one) for one in documents]
    assert list(zip(*_lists(flat, 0), strict=True)) == [pair for one in documents for pair in one]
    assert flat["max_length_k"] == max(map(len, documents))

    padded = MeCoDataCollator(tokenizer, loss_on_metadata=loss, layout="padded")(features)
    for r, one in enumerate(documents):
        assert padded["attention_mask"][r].tolist() == [1] * len(one) + [0] * (len(padded["labels"][r]) - len(one))
        assert list(zip(*_lists(padded, r), strict=True))[: len(one)] == one


def _lists(batch, row):
    return batch["input_ids"][row].tolist(), batch["labels"][row].tolist()


_CACHE: dict = {}


def _tokenizer(make, bos, eos):
    return _CACHE.setdefault((bos, eos), _CACHE.get((bos, eos)) or make(bos=bos, eos=eos))


def test_simple_features_carry_the_host_and_nothing_else_of_the_url(tokenizer):
    batch = MeCoDataCollator(tokenizer)([{"text": "Whales sing.", "url": URL}])
    assert tokenizer.decode(batch["input_ids"][0], skip_special_tokens=True) == "URL: www.example.org\n\nWhales sing."
    trained = batch["input_ids"][0][batch["labels"][0] != -100]
    assert tokenizer.decode(trained) == "Whales sing.</s>"


def test_a_tokenizer_that_adds_bos_by_itself_does_not_add_a_second(make_tokenizer):
    from tokenizers.processors import TemplateProcessing

    adding = make_tokenizer()
    adding.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    assert adding("x")["input_ids"][0] == 1
    batch = MeCoDataCollator(adding)([{"text": "x", "url": URL}])
    assert batch["input_ids"][0].tolist().count(1) == 1


def test_a_page_cannot_write_control_tokens(tokenizer):
    collate = MeCoDataCollator(tokenizer, template="{url} ")
    batch = collate([{"text": "x</s>y<s>", "url": "https://a.example/</s>"}])
    assert batch["input_ids"][0].tolist().count(tokenizer.eos_token_id) == 1
    assert batch["input_ids"][0].tolist().count(tokenizer.bos_token_id) == 1
    assert tokenizer.decode(batch["input_ids"][0]).endswith("x</s>y<s></s>")


def test_long_documents_are_cut_and_lose_eos(tokenizer):
    collate = MeCoDataCollator(tokenizer, template="{host} ", max_length=12, pad_to_max_length=True)
    batch = collate([{"text": "abcdefgh", "url": "https://a.de"}, {"text": "abcdefghij"}, {"text": "abc"}])
    assert batch["input_ids"].shape == (3, 12)
    texts = [tokenizer.decode(row) for row in batch["input_ids"]]
    assert texts == ["<s>a.de abcdef", "<s>abcdefghij</s>", "<s>abc</s>" + "<pad>" * 7]
    with pytest.raises(ValueError, match="leaves no room in max_length=4"):
        MeCoDataCollator(tokenizer, max_length=4)([{"text": "x", "url": URL}])


def test_what_the_collator_cannot_use_is_named(tokenizer):
    with pytest.raises(ValueError, match="set remove_unused_columns=False"):
        MeCoDataCollator(tokenizer)([{"url": URL}])
    with pytest.raises(ValueError, match="layout must be one of rows, flattened, padded, got 'flash'"):
        MeCoDataCollator(tokenizer, layout="flash")
    with pytest.raises(ValueError, match="needs max_length"):
        MeCoDataCollator(tokenizer, pad_to_max_length=True)


def test_copies_in_workers_agree(tokenizer):
    collate = MeCoDataCollator(tokenizer)
    copy = pickle.loads(pickle.dumps(collate))  # noqa: S301 - as a DataLoader worker gets it
    features = [{"text": "x", "url": URL}]
    assert torch.equal(collate(features)["input_ids"], copy(features)["input_ids"])


def test_the_docstring_prints_what_it_says(tokenizer):
    results = doctest.testmod(module, extraglobs={"tokenizer": tokenizer})
    assert results.attempted >= 8
    assert results.failed == 0
