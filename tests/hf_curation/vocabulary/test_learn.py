"""Continued BPE against a twin that counts everything anew for each merge."""

import random
from collections import Counter

import numpy as np
import pytest

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.byte_level import text_of
from hf_curation.vocabulary.counts import (
    TargetText,
    count_target,
    encode_units,
    join_words,
    segment_words,
    working_tokenizer,
)
from hf_curation.vocabulary.learn import LearnedMerge, learn_across_spaces, learn_in_words, span_filter, word_filter
from hf_curation.vocabulary.merge_tree import MergeTree
from hf_curation.vocabulary.word_runs import word_run_pre_tokenizer, word_splitter


def prepared(base: ByteLevelBPE, texts: list[str]) -> tuple[MergeTree, TargetText]:
    return MergeTree.of(base), count_target(texts, word_run_pre_tokenizer(base.body["pre_tokenizer"]))


def slow_learn(
    units: list[list[list[str]]], weights: list[int], *, number: int, min_count: int, ids: dict[str, int], across: bool
) -> list[tuple[str, str, int]]:
    """Units are lists of words, which are lists of token strings."""
    accept = span_filter(4, 32) if across else word_filter(32)
    found: list[tuple[str, str, int]] = []
    # Each token: its string, its word, whether it is the first of it, whether a word begins with it, or ends in it.
    flat = [
        [
            (t, w, i == 0, i == 0 or _is_mark(word[i - 1]), i == len(word) - 1)
            for w, word in enumerate(unit)
            for i, t in enumerate(word)
        ]
        for unit in units
    ]
    refused: set[tuple[str, str]] = set()
    while len(found) < number:
        counts: Counter[tuple[str, str]] = Counter()
        for unit, weight in zip(flat, weights, strict=True):
            for k in range(len(unit) - 1):
                (a, word_a, _, opens, _), (b, word_b, first, _, closes) = unit[k], unit[k + 1]
                if across and first and opens and closes:
                    counts[a, b] += weight
                if not across and word_a == word_b:
                    counts[a, b] += weight
        left = [(-n, ids[a], ids[b], a, b) for (a, b), n in counts.items() if n >= min_count and (a, b) not in refused]
        if not left:
            break
        count, _, _, a, b = min(left)
        if not accept(a + b):
            refused.add((a, b))
            continue
        ids.setdefault(a + b, len(ids))
        found.append((a, b, -count))
        flat = [_merge(unit, a, b, across=across) for unit in flat]
    return found


def _is_mark(token: str) -> bool:
    text = text_of(token)
    return text is not None and not text[-1].isalpha()


def _merge(unit: list, a: str, b: str, *, across: bool) -> list:
    new, k = [], 0
    while k < len(unit):
        follows = k + 1 < len(unit) and unit[k][0] == a and unit[k + 1][0] == b
        if follows and (unit[k + 1][2] if across else unit[k][1] == unit[k + 1][1]):
            new.append((a + b, *unit[k][1:4], unit[k + 1][4]))
            k += 2
        else:
            new.append(unit[k])
            k += 1
    return new


def as_strings(tree: MergeTree, learned: list[LearnedMerge]) -> list[tuple[str, str, int]]:
    return [(tree.strings[tree.left[m.token]], tree.strings[tree.right[m.token]], m.count) for m in learned]


def made_up(seed: int) -> list[str]:
    rng = random.Random(seed)  # noqa: S311
    words = ["".join(rng.choices("abo", k=rng.randint(1, 5))) for _ in range(12)]
    return [" ".join(rng.choices(words, k=rng.randint(1, 9))) + rng.choice(["", ".", "\nx", " 12"]) for _ in range(60)]


@pytest.mark.parametrize("seed", range(6))
def test_both_stages_equal_the_slow_twin(base: ByteLevelBPE, texts: list[str], seed: int) -> None:
    tree, target = prepared(base, made_up(seed) if seed else texts[:80])
    words = segment_words(target, tree)
    as_tokens = [
        [tree.strings[i] for i in words.ids_P[a:b]] for a, b in zip(words.offsets, words.offsets[1:], strict=False)
    ]
    ids = {token: i for i, token in enumerate(tree.strings)}
    slow = slow_learn(
        [[word] for word in as_tokens], target.word_weights_W.tolist(), number=40, min_count=4, ids=ids, across=False
    )
    fast, words = learn_in_words(words, tree, accept=word_filter(32), max_merges=40, min_count=4)
    assert as_strings(tree, fast) == slow
    assert seed == 0 or slow

    runs, starts = join_words(target, words)
    split = word_splitter()
    encoder = working_tokenizer(tree, [True] * len(tree.strings))
    units = [[encoder.encode(word).tokens for word in split(run)] for run in target.runs]
    slow = slow_learn(units, target.run_weights_U.tolist(), number=60, min_count=3, ids=ids, across=True)
    fast, runs = learn_across_spaces(runs, starts, tree, accept=span_filter(4, 32), max_merges=60, min_count=3)
    assert as_strings(tree, fast) == slow
    assert slow

    encoded = encode_units(working_tokenizer(tree, [True] * len(tree.strings)), target.runs, target.run_weights_U)
    assert np.array_equal(encoded.ids_P, runs.ids_P)
    assert np.array_equal(encoded.offsets, runs.offsets)


def test_only_letters_and_single_spaces(base: ByteLevelBPE, texts: list[str]) -> None:
    tree, target = prepared(base, texts)
    first = len(tree.strings)
    words = segment_words(target, tree)
    _, words = learn_in_words(words, tree, accept=word_filter(12), max_merges=500, min_count=2)
    assert max(len(text_of(token)) for token in tree.strings[first:]) <= 12
    runs, starts = join_words(target, words)
    middle = len(tree.strings)
    learn_across_spaces(runs, starts, tree, accept=span_filter(3, 20), max_merges=500, min_count=2)
    for token in tree.strings[first:]:
        text = text_of(token)
        assert text is not None
        assert all(word.isalpha() for word in text.removeprefix(" ").split(" "))
    spans = [text_of(token).removeprefix(" ").split(" ") for token in tree.strings[middle:]]
    assert {len(span) for span in spans} == {2, 3}
    assert max(len(text_of(token)) for token in tree.strings[middle:]) <= 20


def test_tokens_across_spaces_join_whole_words(llama_like: ByteLevelBPE) -> None:
    """`lking xto` is frequent only as an end of words and the word after it, so it is not learned."""
    lines = [f"{a}lking xto" for a in "wtsbc" for _ in range(5)] + ["xto the"] * 5
    tree, target = prepared(llama_like, lines)
    runs, starts = join_words(target, segment_words(target, tree))
    learned, _ = learn_across_spaces(runs, starts, tree, accept=span_filter(4, 32), max_merges=99, min_count=4)
    assert all(text_of(tree.strings[m.token]).startswith((" x", "x")) for m in learned)


def test_too_few_pairs_is_no_error(base: ByteLevelBPE) -> None:
    tree, target = prepared(base, ["a"])
    words = segment_words(target, tree)
    learned, words = learn_in_words(words, tree, accept=word_filter(32), max_merges=10, min_count=1)
    runs, starts = join_words(target, words)
    again, runs = learn_across_spaces(runs, starts, tree, accept=span_filter(4, 32), max_merges=10, min_count=1)
    assert (learned, again, runs.ids_P.tolist()) == ([], [], [tree.index["a"]])


def test_fragments_of_characters_are_no_tokens(llama_like: ByteLevelBPE) -> None:
    tree, target = prepared(llama_like, ["文語 文語 文語 文語", "語文 語文"] * 9)
    first = len(tree.strings)
    words = segment_words(target, tree)
    learn_in_words(words, tree, accept=word_filter(32), max_merges=50, min_count=2)
    assert all(text_of(token) is not None for token in tree.strings[first:])


def test_a_learned_token_that_the_base_could_not_make_keeps_its_place(all_splits: ByteLevelBPE) -> None:
    tree, target = prepared(all_splits, ["a quxb"] * 30)
    lost = tree.index["Ġquxb"]
    words = segment_words(target, tree)
    learned, _ = learn_in_words(words, tree, accept="Ġquxb".__contains__, max_merges=50, min_count=2)
    assert lost in {merge.token for merge in learned}
    assert lost not in tree.unreachable
