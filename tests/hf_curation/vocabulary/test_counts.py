"""Counts by distinct runs against encoding every text."""

from collections import Counter

import numpy as np
import pytest

from hf_curation.vocabulary import counts as counts_module
from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.counts import count_target, join_words, recount, segment_words, working_tokenizer
from hf_curation.vocabulary.merge_tree import MergeTree, children_of
from hf_curation.vocabulary.word_runs import word_run_pre_tokenizer


def test_counts_equal_encoding_every_text(base: ByteLevelBPE, texts: list[str]) -> None:
    tree = MergeTree.of(base)
    target = count_target(texts, word_run_pre_tokenizer(base.body["pre_tokenizer"]))
    tokenizer = base.to_tokenizer()
    slow = Counter(t for text in texts for t in tokenizer.encode(text, add_special_tokens=False).tokens)
    words = segment_words(target, tree)
    runs, starts = join_words(target, words)
    for stream in (words, runs):
        counts = stream.counts(len(tree.strings))
        assert {tree.strings[i]: int(n) for i, n in enumerate(counts) if n} == slow
    assert int(starts.sum()) == len(target.run_words)
    assert target.num_bytes == sum(len(text.encode()) for text in texts)


def test_order_of_texts_and_how_they_come_do_not_matter(base: ByteLevelBPE, texts: list[str]) -> None:
    pre_tokenizer = word_run_pre_tokenizer(base.body["pre_tokenizer"])
    one = count_target(texts, pre_tokenizer)
    other = count_target(reversed(texts), pre_tokenizer)
    assert one.digest == other.digest
    assert one.runs == other.runs
    for name in ("run_weights_U", "run_words", "run_offsets", "word_weights_W"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert count_target(texts[:-1], pre_tokenizer).digest != one.digest


@pytest.mark.parametrize("batch", [1, 7])
def test_batches_of_strings_change_nothing(
    base: ByteLevelBPE, texts: list[str], batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = count_target(texts, word_run_pre_tokenizer(base.body["pre_tokenizer"]))
    whole = segment_words(target, MergeTree.of(base))
    monkeypatch.setattr(counts_module, "_BATCH_UNITS", batch)
    parts = segment_words(target, MergeTree.of(base))
    for name in ("ids_P", "offsets", "weights_U"):
        assert np.array_equal(getattr(parts, name), getattr(whole, name))


def test_lone_surrogates_are_counted_and_repaired(base: ByteLevelBPE) -> None:
    target = count_target(["a\ud800b", "ab"], word_run_pre_tokenizer(base.body["pre_tokenizer"]))
    assert target.num_repaired == 1
    assert any("\ufffd" in run for run in target.runs)
    segment_words(target, MergeTree.of(base))


def test_normalizer_of_the_base_is_applied(base: ByteLevelBPE) -> None:
    target = count_target(["ABC"], word_run_pre_tokenizer(base.body["pre_tokenizer"]), str.lower)
    assert target.runs == ["abc"]


@pytest.mark.parametrize("texts", [[], [""]])
def test_empty_target(base: ByteLevelBPE, texts: list[str]) -> None:
    with pytest.raises(ValueError, match=f"{len(texts)} texts without a character"):
        count_target(texts, word_run_pre_tokenizer(base.body["pre_tokenizer"]))


@pytest.mark.parametrize("number", [0, 1, 60])
def test_recount_equals_encoding_all_again(base: ByteLevelBPE, texts: list[str], number: int) -> None:
    tree = MergeTree.of(base)
    target = count_target(texts, word_run_pre_tokenizer(base.body["pre_tokenizer"]))
    runs, _ = join_words(target, segment_words(target, tree))
    kept, children = np.ones(len(tree.strings), dtype=bool), children_of(tree)
    leaves = [i for i in tree.order if not children[i]]
    kept[leaves[:number]] = False
    tokenizer = working_tokenizer(tree, kept.tolist())
    fast = recount(runs, target.runs, ~kept, tokenizer)
    slow = [tokenizer.encode(run).ids for run in target.runs]
    assert fast.ids_P.tolist() == [i for ids in slow for i in ids]
    assert np.diff(fast.offsets).tolist() == [len(ids) for ids in slow]
