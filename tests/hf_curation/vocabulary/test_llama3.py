"""What is known of Llama 3's real vocabulary; its rules are tested on small ones beside this file.

LLAMA3_TOKENIZER=FOLDER pytest tests/hf_curation/vocabulary/test_llama3.py

The folder holds its `tokenizer.json`, which has a licence of its own and is not in this repository.
"""

import os
from pathlib import Path

import pytest

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.counts import find_unreachable
from hf_curation.vocabulary.export import export_bpe
from hf_curation.vocabulary.merge_tree import MergeTree, children_of

FOLDER = os.environ.get("LLAMA3_TOKENIZER")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FOLDER is None, reason="set LLAMA3_TOKENIZER to a folder with Llama 3's tokenizer.json"),
]


@pytest.fixture(scope="module")
def base() -> ByteLevelBPE:
    return ByteLevelBPE.load(Path(str(FOLDER)))


@pytest.fixture(scope="module")
def tree(base: ByteLevelBPE) -> MergeTree:
    return MergeTree.of(base)


def test_merges_and_unreachable_tokens(base: ByteLevelBPE, tree: MergeTree) -> None:
    """280,147 merges for 127,744 products, 127,156 live; 588 tokens only as whole pre-tokens."""
    products = [a + b for a, b in base.merges]
    assert (len(products), len(set(products))) == (280_147, 127_744)
    assert max(products.count(token) for token in ("Ġcommunication",)) > 1
    assert tree.num_merges == 127_156
    assert len(tree.unreachable) == 588
    assert find_unreachable(tree, [i not in tree.unreachable for i in range(len(tree.strings))]) == []
    assert base.ignore_merges
    assert base.size == 128_256


def test_known_answers(base: ByteLevelBPE, tree: MergeTree) -> None:
    kept = [i not in tree.unreachable for i in range(len(tree.strings))]
    plain = export_bpe(base, tree, kept).to_tokenizer()
    grown = MergeTree.of(base)
    grown.add(grown.index["Ġof"], grown.index["Ġthe"])
    across = export_bpe(base, grown, [*kept, True]).to_tokenizer()
    assert base.to_tokenizer().encode("end of the day").tokens == ["end", "Ġof", "Ġthe", "Ġday"]
    assert plain.encode("end of the day").tokens == ["end", "Ġof", "Ġthe", "Ġday"]
    assert across.encode("end of the day").tokens == ["end", "ĠofĠthe", "Ġday"]
    assert across.encode("of the").tokens == ["of", "Ġthe"]
    for text, number in (("URL: en.wikipedia.org\n\n", 6), ("URL: www.factmonster.com\n\n", 8)):
        for tokenizer in (base.to_tokenizer(), plain, across):
            assert len(tokenizer.encode(text).tokens) == number
            assert tokenizer.encode(text).tokens[-1] == "ĊĊ"


def test_special_tokens_move_together(base: ByteLevelBPE, tree: MergeTree) -> None:
    kept = [i not in tree.unreachable for i in range(len(tree.strings))]
    exported = export_bpe(base, tree, kept)
    ids = [token["id"] for token in exported.added_tokens]
    assert ids == list(range(128_000 - 588, 128_256 - 588))
    assert exported.added_tokens[0]["content"] == "<|begin_of_text|>"


def test_leaf_removal_leaves_nothing_unreachable(tree: MergeTree) -> None:
    children = children_of(tree)
    kept = [i not in tree.unreachable for i in range(len(tree.strings))]
    for token in [i for i in tree.order if not children[i]][-50_000:]:
        kept[token] = False
    assert find_unreachable(tree, kept) == []
