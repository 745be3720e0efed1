"""The hash is what its docstring says, on every machine and for ever; and it fills buckets evenly."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.sampling import mix64

A, C, M = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93, 1 << 64


def by_the_docstring(words: list[bytes]) -> int:
    """Written once more, from the definition alone."""

    def mix(x):
        x ^= x >> 32
        x = x * C % M
        x ^= x >> 29
        return x

    def word(data):
        h = A * (len(data) + 1) % M
        padded = data + b"\0" * (-len(data) % 8)
        for i in range(0, len(padded), 8):
            h = mix(h ^ sum(byte << 8 * place for place, byte in enumerate(padded[i : i + 8])))
        return mix(h)

    g = word(words[0])
    for w in words[1:]:
        g = mix((g * A + word(w)) % M)
    return g


def test_frozen_values():
    """Weights that were saved yesterday must mean the same tomorrow: a change here needs a new MIX64_VERSION."""
    assert mix64.MIX64_VERSION == "mix64-1"
    grams = [["the"], ["of", "the"], ["naïve"], ["日本"], ["internationalization"], ["a", "b", "c"]]
    hashes = [mix64.ngram_hash([mix64.word_hash(word.encode()) for word in gram]) for gram in grams]
    assert [mix64.bucket_of(h, 10_000) for h in hashes] == [6908, 7509, 187, 7498, 5264, 654]
    assert [mix64.bucket_of(mix64.id_hash(i), 10_000) for i in (0, 1, 128_000)] == [8798, 5850, 4660]


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.integers(1, 1 << 28))
def test_the_definition(words, num_buckets):
    h = mix64.ngram_hash([mix64.word_hash(word) for word in words])
    assert h == by_the_docstring(words)
    assert mix64.bucket_of(h, num_buckets) == (h // 2**32) * num_buckets // 2**32
    assert 0 <= mix64.bucket_of(h, num_buckets) < num_buckets


@given(st.lists(st.integers(0, (1 << 32) - 1), min_size=2, max_size=20), st.integers(1, 1 << 28))
def test_numpy_forms(ids, num_buckets):
    hashes = mix64.id_hashes(np.array(ids, np.uint32))
    assert hashes.tolist() == [mix64.id_hash(i) for i in ids]
    pairs = mix64.combine_hashes(hashes[:-1], hashes[1:])
    assert pairs.tolist() == [mix64.ngram_hash([mix64.id_hash(a), mix64.id_hash(b)]) for a, b in pairwise(ids)]
    assert mix64.buckets_of(pairs, num_buckets).tolist() == [mix64.bucket_of(h, num_buckets) for h in pairs.tolist()]


@pytest.mark.parametrize("num_buckets", [1000, 10_000, 4096])
@pytest.mark.parametrize("kind", ["numbers", "short words", "word pairs", "ids", "id pairs"])
def test_buckets_fill_evenly(kind, num_buckets):
    """Chi-square over the buckets of 200,000 similar keys: within 6 standard deviations of its mean."""
    n = 200_000
    letters = "abcdefghijklmnopqrstuvwxyz"
    short = [a + b + c + d for a in letters for b in letters for c in letters for d in letters]
    if kind == "numbers":
        hashes = [mix64.word_hash(str(i).encode()) for i in range(n)]
    elif kind == "short words":
        hashes = [mix64.word_hash(word.encode()) for word in short[:n]]
    elif kind == "word pairs":
        few = [mix64.word_hash(word.encode()) for word in short[:450]]
        hashes = [mix64.ngram_hash([a, b]) for a in few for b in few][:n]
    elif kind == "ids":
        hashes = mix64.id_hashes(np.arange(n, dtype=np.uint32)).tolist()
    else:
        few = mix64.id_hashes(np.arange(450, dtype=np.uint32))
        hashes = mix64.combine_hashes(np.repeat(few, 450), np.tile(few, 450)).tolist()[:n]
    counts = np.bincount(mix64.buckets_of(np.array(hashes, np.uint64), num_buckets), minlength=num_buckets)
    expected = n / num_buckets
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert abs(chi_square - (num_buckets - 1)) < 6 * np.sqrt(2 * num_buckets)
