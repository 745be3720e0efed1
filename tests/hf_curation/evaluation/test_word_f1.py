import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.evaluation.word_f1 import (
    bootstrap_mean,
    over_deletion,
    paired_difference,
    word_f1,
    word_score,
)


def test_counts_words_as_a_multiset():
    score = word_score("the cat sat, THE end", "The cat")  # 5 words, 2 wanted, 2 in common: one "the" is too many
    assert (score.precision, score.recall) == (2 / 5, 1.0)
    assert score.f1 == pytest.approx(4 / 7)


def test_order_case_and_punctuation_do_not_count():
    assert word_f1("Sing, whales!", "whales sing") == 1.0


@pytest.mark.parametrize(
    ("text", "gold", "expected"),
    [("", "", 1.0), ("...", "\n", 1.0), ("word", "", 0.0), ("", "word", 0.0), ("a", "b", 0.0)],
)
def test_texts_without_words(text, gold, expected):
    assert word_f1(text, gold) == expected


def _slow_f1(text, gold):
    """Match words one by one."""
    import re

    left = re.findall(r"\w+", gold.lower())
    num_gold, words, common = len(left), re.findall(r"\w+", text.lower()), 0
    for word in words:
        if word in left:
            left.remove(word)
            common += 1
    return 2 * common / (len(words) + num_gold) if words or num_gold else 1.0


@given(st.text("abc \n.", max_size=60), st.text("abc \n.", max_size=60))
def test_equals_its_slow_twin(text, gold):
    assert word_f1(text, gold) == pytest.approx(_slow_f1(text, gold))
    assert word_f1(text, gold) == pytest.approx(word_f1(gold, text))


def test_bootstrap_interval_covers_the_true_mean():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(60):
        interval = bootstrap_mean(rng.normal(0.5, 0.2, 80).tolist(), num_resamples=300, seed=seed)
        assert interval.low <= interval.mean <= interval.high
        hits += interval.low <= 0.5 <= interval.high
    assert 50 <= hits <= 60  # 57 expected


def test_bootstrap_is_a_function_of_the_seed():
    values = list(np.linspace(0, 1, 50))
    assert bootstrap_mean(values, num_resamples=200) == bootstrap_mean(values, num_resamples=200)
    assert bootstrap_mean(values, num_resamples=200, seed=1) != bootstrap_mean(values, num_resamples=200)


def test_pairing_sees_what_separate_intervals_hide():
    baseline = list(np.linspace(0, 1, 100))  # pages differ much more than the refiners do
    better = [value + 0.02 + 0.001 * (k % 3) for k, value in enumerate(baseline)]
    gain = paired_difference(better, baseline, num_resamples=500)
    assert 0.02 <= gain.low <= gain.high <= 0.0221
    assert bootstrap_mean(better, num_resamples=500).low < bootstrap_mean(baseline, num_resamples=500).high


def test_what_cannot_be_measured_is_an_error():
    with pytest.raises(ValueError, match="no pages"):
        bootstrap_mean([])
    with pytest.raises(ValueError, match=r"got 1\.5"):
        bootstrap_mean([1.0], confidence=1.5)
    with pytest.raises(ValueError, match="got 2 and 1"):
        paired_difference([1.0, 2.0], [1.0])


def test_over_deletion_counts_visible_characters():
    assert over_deletion([("abcd\n\n efgh", "abcd"), ("xx", "xx")]) == 4 / 10
    assert over_deletion([("a  b", "a b")]) == 0.0
    assert over_deletion([]) == 0.0
