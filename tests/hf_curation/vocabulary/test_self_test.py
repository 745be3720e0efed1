"""The self-test finds what it is there to find."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.byte_level import byte_chars
from hf_curation.vocabulary.export import export_bpe
from hf_curation.vocabulary.merge_tree import MergeTree
from hf_curation.vocabulary.self_test import SelfTestError, fuzzed_texts, self_test

Spoil = Callable[[ByteLevelBPE], dict[str, Any]]


@pytest.fixture(scope="module")
def good(llama_like: ByteLevelBPE) -> ByteLevelBPE:
    tree = MergeTree.of(llama_like)
    tree.add(tree.index["Ġof"], tree.index["Ġthe"])
    return export_bpe(llama_like, tree, [True] * len(tree.strings))


def fields(bpe: ByteLevelBPE, **changes: Any) -> dict[str, Any]:
    return {"vocab": bpe.vocab, "merges": bpe.merges, "body": bpe.body} | changes


def without_a_byte(bpe: ByteLevelBPE) -> dict[str, Any]:
    lost = byte_chars()[4]
    vocab = [token for token in bpe.vocab if token != lost]
    return fields(bpe, vocab={token: i for i, token in enumerate(vocab)})


def with_an_unreachable_token(bpe: ByteLevelBPE) -> dict[str, Any]:
    return fields(bpe, merges=bpe.merges[:-1])


def with_a_gap(bpe: ByteLevelBPE) -> dict[str, Any]:
    return fields(bpe, vocab={token: i + (i > 300) for token, i in bpe.vocab.items()})


def with_merges_out_of_order(bpe: ByteLevelBPE) -> dict[str, Any]:
    return fields(bpe, merges=[*bpe.merges[:-2], bpe.merges[-1], bpe.merges[-2]])


def with_the_old_pattern(bpe: ByteLevelBPE) -> dict[str, Any]:
    from hf_curation.vocabulary.word_runs import LLAMA3

    split, last = bpe.body["pre_tokenizer"]["pretokenizers"]
    steps = [{**split, "pattern": {"Regex": LLAMA3}}, last]
    return fields(bpe, body={**bpe.body, "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}})


def with_an_old_special_id(bpe: ByteLevelBPE) -> dict[str, Any]:
    processor = bpe.body["post_processor"]
    special = {name: {**value, "ids": [300]} for name, value in processor["special_tokens"].items()}
    return fields(bpe, body={**bpe.body, "post_processor": {**processor, "special_tokens": special}})


def with_a_lossy_normalizer(bpe: ByteLevelBPE) -> dict[str, Any]:
    decoder = {
        "type": "Sequence",
        "decoders": [bpe.body["decoder"], {"type": "Strip", "content": " ", "start": 1, "stop": 0}],
    }
    return fields(bpe, body={**bpe.body, "decoder": decoder})


def test_passes_and_says_what_it_did(good: ByteLevelBPE) -> None:
    report = self_test(good, added=["ĠofĠthe"], texts=["one", "two"])
    assert report["tokens_reachable"] == len(good.vocab)
    assert report["added_tokens_found"] == 1
    assert report["texts_round_trip"] > 100


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_a_byte, "1 bytes without a token: '0x4'"),
        (with_an_unreachable_token, "unreachable tokens: 'ĠofĠthe'"),
        (with_a_gap, "ids that are not dense"),
        (with_merges_out_of_order, "1 merges across spaces before others"),
        (with_the_old_pattern, "1 added tokens that their text does not give: 'ĠofĠthe'"),
        (with_an_old_special_id, "ids of special tokens: 'id 300 from the post-processor'"),
        (with_a_lossy_normalizer, "texts that do not come back"),
    ],
)
def test_finds(good: ByteLevelBPE, spoil: Spoil, message: str) -> None:
    with pytest.raises(SelfTestError, match=message):
        self_test(ByteLevelBPE(**spoil(good)), added=["ĠofĠthe"])


def test_fuzz_is_the_same_each_time() -> None:
    assert list(fuzzed_texts(20)) == list(fuzzed_texts(20))
    assert list(fuzzed_texts(20)) != list(fuzzed_texts(20, seed=1))


@pytest.mark.slow
def test_a_million_spaces(good: ByteLevelBPE, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("hf_curation.vocabulary.self_test"), "MANY_SPACES", 1_000_000)
    assert self_test(good)["texts_round_trip"] > 60
