"""H_v and leaf removal: exact changes, the slow twin, and what naive removal does."""

import math
import random
from collections import Counter

import numpy as np
import pytest

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.counts import count_target, find_unreachable, join_words, segment_words, working_tokenizer
from hf_curation.vocabulary.merge_tree import MergeTree, children_of
from hf_curation.vocabulary.prune import LeafPruner
from hf_curation.vocabulary.utility import TOKEN_LENGTHS, Sums, TokenLength, measure
from hf_curation.vocabulary.word_runs import word_run_pre_tokenizer

READING: TokenLength = "used_types"


def slow_utility(counts: dict[int, int], lengths: list[int], types: list[int], reading: TokenLength) -> float:
    """H_v from its definition."""
    used = {i: c for i, c in counts.items() if c}
    num = sum(used.values())
    entropy = math.fsum(-c / num * math.log(c / num) for c in used.values())
    length = {
        "used_types": sum(lengths[i] for i in used) / len(used),
        "all_types": sum(lengths[i] for i in types) / len(types),
        "occurrences": sum(lengths[i] * c for i, c in used.items()) / num,
    }[reading]
    return entropy / length


def moved(counts: dict[int, int], tree: MergeTree, leaf: int) -> dict[int, int]:
    """Counts after a removal, with the leaf's occurrences given to its parts."""
    new = Counter(counts)
    count = new.pop(leaf, 0)
    new[tree.left[leaf]] += count
    new[tree.right[leaf]] += count
    return new


@pytest.fixture(scope="module")
def doubled(llama_like: ByteLevelBPE) -> MergeTree:
    """A tree with leaves whose parts are one token: `aaaa` of `aa` and `aa`."""
    tree = MergeTree.of(llama_like)
    for char in "qz":
        two = tree.add(tree.index[char], tree.index[char])
        tree.add(two, two)
    return tree


@pytest.mark.parametrize("reading", TOKEN_LENGTHS)
def test_changes_equal_a_full_recount(doubled: MergeTree, reading: TokenLength) -> None:
    rng = random.Random(0)  # noqa: S311
    lengths = doubled.num_bytes()
    children = children_of(doubled)
    leaves = [i for i in doubled.order if not children[i]]
    assert sum(doubled.left[i] == doubled.right[i] for i in leaves) >= 2
    for _ in range(20):
        counts = {i: rng.choice((0, 0, 1, 2, 7, 100, 5000)) for i in range(len(lengths)) if i not in doubled.protected}
        counts |= {i: rng.choice((0, 3, 900)) for i in doubled.protected}
        pruner = LeafPruner(doubled, np.array([counts[i] for i in range(len(lengths))]), token_length=reading)
        pool = pruner.pool()
        for place, leaf in enumerate(pool.tokens[: pool.size].tolist()):
            types = [i for i in range(len(lengths)) if i != leaf]
            expected = slow_utility(moved(counts, doubled, leaf), lengths, types, reading)
            assert pool.utilities()[place] == pytest.approx(expected, rel=1e-9)


def test_by_hand() -> None:
    """Three tokens of 1, 1 and 2 bytes, counts 1, 1, 2: H = 1.5 ln 2; lengths 4/3, 4/3, 6/4."""
    point = measure(
        np.array([1, 1, 2]),
        np.array([1, 1, 2]),
        np.array([True] * 3),
        is_multi_word_V=np.array([False, False, True]),
        is_added_V=np.array([False] * 3),
        size=3,
        target_bytes=6,
        unreachable=0,
    )
    assert point.entropy == pytest.approx(1.5 * math.log(2))
    assert point.token_length == pytest.approx({"used_types": 4 / 3, "all_types": 4 / 3, "occurrences": 1.5})
    assert point.utility["occurrences"] == pytest.approx(math.log(2))
    assert (point.tokens_per_byte, point.multi_word_share, point.types_used) == (4 / 6, 0.5, 3)


@pytest.mark.parametrize("reading", TOKEN_LENGTHS)
def test_equals_a_twin_that_tokenises_again(base: ByteLevelBPE, texts: list[str], reading: TokenLength) -> None:
    """Three steps of 25: each choice by the definition of H_v over all leaves, counts by encoding every run."""
    tree = MergeTree.of(base)
    target = count_target(texts[:150], word_run_pre_tokenizer(base.body["pre_tokenizer"]))
    runs, _ = join_words(target, segment_words(target, tree))
    pruner = LeafPruner(tree, runs.counts(len(tree.strings)), token_length=reading)
    slow_kept, slow_removed = [True] * len(tree.strings), list[int]()
    for _ in range(3):
        encoder = working_tokenizer(tree, slow_kept)
        counts = Counter[int]()
        for run, weight in zip(target.runs, target.run_weights_U.tolist(), strict=True):
            counts.update(dict.fromkeys(encoder.encode(run).ids, 0))
            for i in encoder.encode(run).ids:
                counts[i] += weight
        pruner.set_counts(np.array([counts[i] for i in range(len(tree.strings))]))
        pruner.remove(25)
        for _ in range(25):
            slow_removed.append(slow_choice(tree, slow_kept, counts, reading))
            slow_kept[slow_removed[-1]] = False
            counts = Counter(moved(counts, tree, slow_removed[-1]))
        assert pruner.removed == slow_removed
    assert any(target_count > 0 for target_count in runs.counts(len(tree.strings))[slow_removed])


def slow_choice(tree: MergeTree, kept: list[bool], counts: dict[int, int], reading: TokenLength) -> int:
    lengths, place = tree.num_bytes(), {token: i for i, token in enumerate(tree.order)}
    parts = {part for i in tree.order if kept[i] for part in (tree.left[i], tree.right[i])}
    leaves = [i for i in tree.order if kept[i] and i not in parts]
    unused = [i for i in leaves if not counts.get(i)]
    if unused:
        return max(unused, key=place.__getitem__)
    named = {i for i in tree.protected if len(tree.strings[i]) > 1}
    scored = []
    for leaf in leaves:
        types = [i for i in range(len(lengths)) if kept[i] and i != leaf and i not in named]
        scored.append(
            (round(slow_utility(moved(counts, tree, leaf), lengths, types, reading), 12), -place[leaf], leaf)
        )
    return min(scored)[2]


def test_nothing_becomes_unreachable_and_naive_removal_does(llama_like: ByteLevelBPE, texts: list[str]) -> None:
    tree = MergeTree.of(llama_like)
    target = count_target(texts, word_run_pre_tokenizer(llama_like.body["pre_tokenizer"]))
    runs, _ = join_words(target, segment_words(target, tree))
    counts = runs.counts(len(tree.strings))
    pruner = LeafPruner(tree, counts, token_length=READING)
    pruner.remove(80)
    assert find_unreachable(tree, pruner.kept.tolist()) == []

    kept = [True] * len(tree.strings)
    for i in sorted(tree.order, key=lambda i: int(counts[i]))[:80]:
        kept[i] = False
    closed = [i for i in tree.order if kept[i] and kept[tree.left[i]] and kept[tree.right[i]]]
    assert len(closed) < sum(kept[i] for i in tree.order)


def test_all_but_bytes_and_added_tokens_can_go(base: ByteLevelBPE) -> None:
    tree = MergeTree.of(base)
    counts = np.ones(len(tree.strings), dtype=np.int64)
    pruner = LeafPruner(tree, counts, token_length=READING)
    pruner.remove(10**6)
    assert set(np.flatnonzero(pruner.kept).tolist()) == tree.protected
    assert sorted(pruner.removed) == sorted(tree.order)
    assert not pruner.remove(1)


def test_unused_leaves_change_no_segmentation(base: ByteLevelBPE, texts: list[str]) -> None:
    tree = MergeTree.of(base)
    target = count_target(texts[:40], word_run_pre_tokenizer(base.body["pre_tokenizer"]))
    runs, _ = join_words(target, segment_words(target, tree))
    counts = runs.counts(len(tree.strings))
    pruner = LeafPruner(tree, counts, token_length=READING)
    leaves = pruner.leaves()
    number = int((counts[leaves] == 0).sum())
    assert number
    assert not pruner.remove(number)
    encoder = working_tokenizer(tree, pruner.kept.tolist())
    assert [i for run in target.runs for i in encoder.encode(run).ids] == runs.ids_P.tolist()


def test_by_frequency_the_rarest_leaf_goes_first(base: ByteLevelBPE, texts: list[str]) -> None:
    """And the text gets fewer tokens than by H_v, which splits what is frequent: that makes entropy low."""
    tree = MergeTree.of(base)
    target = count_target(texts, word_run_pre_tokenizer(base.body["pre_tokenizer"]))
    counts = join_words(target, segment_words(target, tree))[0].counts(len(tree.strings))
    pruner = LeafPruner(tree, counts, token_length=READING, order="frequency")
    for _ in range(60):
        leaves = pruner.leaves()
        rarest, before = int(pruner.counts[leaves].min()), pruner.counts.copy()
        pruner.remove(1)
        assert before[pruner.removed[-1]] == rarest
    other = LeafPruner(tree, counts, token_length=READING)
    other.remove(60)
    assert pruner.counts.sum() <= other.counts.sum()


def test_sums_follow_the_reading() -> None:
    counts, lengths = np.array([2, 0, 3]), np.array([1, 5, 2])
    every = np.array([True, True, True])
    assert Sums.of(counts, lengths, every, "used_types").bytes_of_types == 3
    assert Sums.of(counts, lengths, every, "all_types").bytes_of_types == 8
    assert Sums.of(counts, lengths, every, "occurrences").bytes_of_types == 8
