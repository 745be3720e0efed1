"""The draw is the one it claims to be: inclusion against exact probabilities of sampling without replacement.

Gumbel top-k draws document by document in proportion to exp(s / temperature) among those left (Plackett-Luce), so the
probability of a set of k is a sum over its orders.
"""

from itertools import combinations, permutations

import numpy as np
import pytest

from hf_curation.sampling.candidates import Candidates
from hf_curation.sampling.choose import choose
from hf_curation.sampling.keys import gumbel_keys, stable_hash64
from hf_curation.sampling.rules import ChoiceRules

NUM_DRAWS = 10_000
WEIGHTS = np.array([0.0, 0.5, -0.7, 1.2, 0.1, -2.0])
TEMPERATURE = 0.8
CHI_SQUARE_19_P_1E4 = 50.8
CHI_SQUARE_29_P_1E4 = 65.9


def probability_of_set(members):
    p = np.exp(WEIGHTS / TEMPERATURE)
    total = 0.0
    for order in permutations(members):
        left, probability = p.sum(), 1.0
        for member in order:
            probability *= p[member] / left
            left -= p[member]
        total += probability
    return total


def chi_square(counts, probabilities):
    assert sum(probabilities) == pytest.approx(1)
    assert sum(counts) == NUM_DRAWS
    expected = np.array(probabilities) * NUM_DRAWS
    return ((np.array(counts) - expected) ** 2 / expected).sum()


def test_keys_of_many_ids_draw_without_replacement():
    hashes = stable_hash64(f"group {i // 6}, document {i % 6}" for i in range(6 * NUM_DRAWS))
    keys = gumbel_keys(np.tile(WEIGHTS, NUM_DRAWS), hashes, 0, temperature=TEMPERATURE).reshape(NUM_DRAWS, 6)
    top = np.sort(np.argsort(keys, axis=1)[:, -3:], axis=1)
    sets = list(combinations(range(6), 3))
    counts = [int((top == np.array(one)).all(axis=1).sum()) for one in sets]
    assert chi_square(counts, [probability_of_set(one) for one in sets]) < CHI_SQUARE_19_P_1E4


@pytest.mark.slow
def test_choices_with_many_seeds_draw_without_replacement():
    candidates = Candidates(hashes=stable_hash64("abcdef"), log_weights=WEIGHTS, num_tokens=np.ones(6, int))
    sets = list(combinations(range(6), 3))
    counts = dict.fromkeys(sets, 0)
    for seed in range(NUM_DRAWS):
        rules = ChoiceRules(budget="3 documents", seed=seed, temperature=TEMPERATURE)
        which = choose(lambda: iter([candidates]), rules).of(candidates)
        counts[tuple(np.flatnonzero(which.copies).tolist())] += 1
    assert chi_square(list(counts.values()), [probability_of_set(one) for one in sets]) < CHI_SQUARE_19_P_1E4


@pytest.mark.slow
def test_a_second_target_draws_from_what_the_first_left_with_noise_of_its_own():
    other = WEIGHTS[::-1].copy()
    weights = np.stack([WEIGHTS, other], axis=1)
    candidates = Candidates(hashes=stable_hash64("abcdef"), log_weights=weights, num_tokens=np.ones(6, int))
    p, q = np.exp(WEIGHTS / TEMPERATURE), np.exp(other / TEMPERATURE)
    pairs = list(permutations(range(6), 2))
    counts = dict.fromkeys(pairs, 0)
    for seed in range(NUM_DRAWS):
        rules = ChoiceRules(budget="2 documents", seed=seed, temperature=TEMPERATURE)
        lane = choose(lambda: iter([candidates]), rules, target_names=("a", "b")).of(candidates).lane.tolist()
        counts[lane.index(1), lane.index(2)] += 1
    expected = [p[i] / p.sum() * q[j] / (q.sum() - q[i]) for i, j in pairs]
    assert chi_square(list(counts.values()), expected) < CHI_SQUARE_29_P_1E4
