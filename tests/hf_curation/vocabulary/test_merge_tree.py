"""The live merge of each token: dropping the others changes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.byte_level import token_of
from hf_curation.vocabulary.counts import find_unreachable, working_tokenizer
from hf_curation.vocabulary.merge_tree import MergeTree, children_of, crosses_space, multi_word_tokens


def test_trained_tokenizer_has_one_merge_a_token(base: ByteLevelBPE) -> None:
    tree = MergeTree.of(base)
    assert tree.num_merges == len(base.merges)
    assert tree.unreachable == set()
    assert [(tree.strings[tree.left[i]], tree.strings[tree.right[i]]) for i in tree.order] == base.merges


def test_special_tokens_and_bytes_are_protected(base: ByteLevelBPE) -> None:
    tree = MergeTree.of(base)
    names = {tree.strings[i] for i in tree.protected}
    assert len(names) == 256 + sum(token["content"] in base.vocab for token in base.added_tokens)


def test_all_splits_keep_one_live_merge(all_splits: ByteLevelBPE) -> None:
    tree = MergeTree.of(all_splits)
    products = {a + b for a, b in all_splits.merges}
    assert len(all_splits.merges) > 1.5 * len(products)
    assert tree.num_merges <= len(products)
    assert {tree.strings[i] for i in tree.unreachable} >= {"Ġquxb"}


def test_unreachable_are_those_that_the_library_does_not_give_back(all_splits: ByteLevelBPE) -> None:
    tree = MergeTree.of(all_splits)
    plain = Tokenizer(models.BPE(all_splits.vocab, all_splits.merges))
    slow = {i for i, token in enumerate(tree.strings) if plain.encode(token).ids != [all_splits.vocab[token]]}
    assert tree.unreachable == slow
    assert find_unreachable(tree, [True] * len(tree.strings)) == sorted(slow)


@pytest.fixture(scope="module")
def every_and_live(all_splits: ByteLevelBPE) -> tuple[Tokenizer, Tokenizer]:
    tree = MergeTree.of(all_splits)
    every = Tokenizer(models.BPE(all_splits.vocab, all_splits.merges))
    return every, working_tokenizer(tree, [True] * len(tree.strings), raw=True)


@settings(max_examples=200)
@given(text=st.one_of(st.text(max_size=60), st.text(alphabet="thedofan r", max_size=40)))
def test_dead_merges_never_fire(every_and_live: tuple[Tokenizer, Tokenizer], text: str) -> None:
    every, live = every_and_live
    assert live.encode(token_of(text)).tokens == every.encode(token_of(text)).tokens


def test_children_are_counted(llama_like: ByteLevelBPE) -> None:
    tree = MergeTree.of(llama_like)
    parts = [part for i in tree.order for part in (tree.left[i], tree.right[i])]
    assert children_of(tree) == [parts.count(i) for i in range(len(tree.strings))]


def test_add_gives_an_unreachable_token_its_merge(all_splits: ByteLevelBPE) -> None:
    tree = MergeTree.of(all_splits)
    lost = tree.index["Ġquxb"]
    assert lost in tree.unreachable
    size = len(tree.strings)
    left = tree.add(tree.index["q"], tree.index["u"])
    right = tree.add(tree.index["x"], tree.index["b"])
    left = tree.add(tree.index["Ġ"], left)
    assert len(tree.strings) == size + 3
    assert tree.add(left, right) == lost
    assert lost not in tree.unreachable


@pytest.mark.parametrize(
    ("left", "right", "crosses"),
    [
        ("Ġof", "Ġthe", True),
        ("Ġ", "the", False),
        ("ĠĠ", "Ġ", False),
        ("Ċ", "Ġ", False),
        (token_of("\u3000"), "Ġ", False),
    ],
)
def test_crossing(left: str, right: str, crosses: bool) -> None:
    assert crosses_space(left, right) is crosses


def test_tokens_made_of_multi_word_tokens_are_multi_word(llama_like: ByteLevelBPE) -> None:
    tree = MergeTree.of(llama_like)
    assert multi_word_tokens(tree) == set()
    two = tree.add(tree.index["Ġof"], tree.index["Ġthe"])
    three = tree.add(two, tree.index["Ġ"])
    assert multi_word_tokens(tree) == {two, three}
