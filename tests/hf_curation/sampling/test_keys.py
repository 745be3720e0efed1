"""Keys: the same everywhere, of the right distribution, never infinite."""

import math
import sys
from hashlib import blake2b

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.sampling import keys
from hf_curation.sampling.exact_log import exact_log
from hf_curation.sampling.keys import gumbel_keys, mixed, sortable, stable_hash64, uniforms

MASK = (1 << 64) - 1
IDS = ["", "page/0", "page/1", "naïve", "日本", "\ud800 alone", "a\0b"]


def mixed_plainly(hash_, seed, stream):
    words = blake2b(f"{seed}\0{stream}".encode(), digest_size=16).digest()

    def finalise(z):
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 & MASK
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB & MASK
        return z ^ (z >> 31)

    once = finalise(hash_ ^ int.from_bytes(words[:8], "big"))
    return finalise(once + int.from_bytes(words[8:], "big") & MASK)


def log_plainly(x):
    """The same operations in the same order, on Python's floats."""
    mantissa, exponent = math.frexp(x)
    if mantissa < math.sqrt(0.5):
        mantissa, exponent = 2 * mantissa, exponent - 1
    t = (mantissa - 1) / ((mantissa - 1) + 2)
    series = 2 / 23
    for k in range(10, 0, -1):
        series = series * (t * t) + 2 / (2 * k + 1)
    low = float.fromhex("0x1.cf79abc9e3b3ap-40")
    return exponent * float.fromhex("0x1.62e42fefa0000p-1") + (2 * t + (t * (t * t) * series + exponent * low))


def test_hashes_are_blake2b():
    expected = [
        int.from_bytes(blake2b(i.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big") for i in IDS
    ]
    assert stable_hash64(IDS).tolist() == expected
    assert stable_hash64(IDS).dtype == np.uint64
    assert len(stable_hash64([])) == 0


def test_known_answers():
    hashes = stable_hash64(["page/0", "page/1"])
    assert [f"{h:016x}" for h in hashes.tolist()] == ["f8281b031d7a3d5b", "6ef2360942b36491"]
    assert [f"{h:016x}" for h in mixed(hashes, 7, "target:1").tolist()] == ["335dea05da4a8ea8", "904ccfdb76a1f9a2"]
    assert [k.hex() for k in gumbel_keys(np.zeros(2), hashes, 7, stream="target:1").tolist()] == [
        "-0x1.e53bed4e07070p-2",
        "0x1.1cdd5ddc755fep-1",
    ]


@given(st.lists(st.integers(0, MASK), max_size=20), st.integers(-5, 1 << 70), st.sampled_from(["", "general", "été"]))
def test_the_mixer_and_its_scalar_twin(hashes, seed, stream):
    got = mixed(np.array(hashes, dtype=np.uint64), seed, stream)
    assert got.tolist() == [mixed_plainly(h, seed, stream) for h in hashes]


def test_blocks_do_not_show():
    hashes = np.arange(40_000, dtype=np.uint64)
    whole = uniforms(hashes, 1)
    assert np.array_equal(whole, np.concatenate([uniforms(part, 1) for part in np.split(hashes, [1, 16_384, 16_390])]))


def test_uniforms_stay_inside_at_the_extremes_of_the_bits(monkeypatch):
    extremes = np.array([0, MASK], dtype=np.uint64)
    monkeypatch.setattr(keys, "_mix", lambda hashes, words: hashes)
    low, high = uniforms(extremes, 0)
    assert 0 < low < 1e-15
    assert 1 - 1e-15 < high < 1
    log_2 = math.log(2)
    assert keys.plain_noise(extremes, 0, 0) == pytest.approx([-math.log(53 * log_2), 53 * log_2], rel=1e-12)


@given(st.lists(st.floats(1e-300, 1e300) | st.floats(0.5, 2.0), min_size=1, max_size=50))
def test_the_logarithm_is_right_and_the_same_as_its_twin(values):
    got = exact_log(np.array(values))
    assert got.tolist() == [log_plainly(v) for v in values]
    for value, ours in zip(values, got.tolist(), strict=True):
        assert abs(ours - math.log(value)) <= 2 * math.ulp(math.log(value))


def test_uniforms_are_uniform_and_streams_and_seeds_independent():
    hashes = stable_hash64(f"page/{i}" for i in range(50_000))
    draws = [uniforms(hashes, *which) for which in [(0, ""), (1, ""), (2, ""), (0, "general"), (0, "target:1")]]
    for u in draws:
        counts = np.bincount((u * 100).astype(int), minlength=100)
        assert ((counts - 500) ** 2 / 500).sum() < 160  # chi-square, 99 degrees: p = 1e-4
    correlations = np.corrcoef(draws)[np.triu_indices(len(draws), 1)]
    assert np.abs(correlations).max() < 4.5 / math.sqrt(50_000)


def test_one_bit_of_a_hash_or_of_the_seed_turns_half_of_the_bits():
    hashes = stable_hash64(f"page/{i}" for i in range(2_000))
    for bit in (0, 1, 31, 62, 63):
        flipped = mixed(hashes, 0) ^ mixed(hashes ^ np.uint64(1 << bit), 0)
        assert np.bitwise_count(flipped).mean() == pytest.approx(32, abs=0.5)
    assert np.bitwise_count(mixed(hashes, 0) ^ mixed(hashes, 1)).mean() == pytest.approx(32, abs=0.5)


def test_noise_is_standard_gumbel():
    noise = gumbel_keys(np.zeros(200_000), stable_hash64(f"{i}" for i in range(200_000)), 3)
    assert noise.mean() == pytest.approx(0.5772156649, abs=0.015)
    assert noise.var() == pytest.approx(math.pi**2 / 6, abs=0.03)


@pytest.mark.parametrize("size", [1e3, 1e6, 1e300, 1.7e308])
def test_large_weights_do_not_overflow(size):
    weights = np.array([size, -size, 0.0])
    with np.errstate(all="raise", over="ignore"):
        got = gumbel_keys(weights, stable_hash64("abc"), 0)
    assert np.isfinite(got).all()
    assert got.argsort().tolist() == [1, 2, 0]


def test_compiled_noise_has_the_same_bits():
    keys_fast = pytest.importorskip("hf_curation.sampling.keys_fast")
    hashes = np.random.default_rng(0).integers(0, 1 << 64, 100_001, dtype=np.uint64)
    for words in [(np.uint64(0), np.uint64(0)), (np.uint64(MASK), np.uint64(12345))]:
        fast = keys_fast.compiled_noise(hashes, *words)
        assert np.array_equal(fast.view(np.uint64), keys.plain_noise(hashes, *words).view(np.uint64))
    assert len(keys_fast.compiled_noise(hashes[:0], *words)) == 0
    assert np.array_equal(keys_fast.compiled_noise(hashes[::-3], *words), fast[::-3])


def test_noise_is_compiled_when_it_pays_and_never_changes(monkeypatch):
    hashes = stable_hash64(f"{i}" for i in range(100))
    draws = []
    for has_numba in (False, True):
        noise = keys._Noise(num_plain=keys._PLAIN_KEYS)
        monkeypatch.setattr(keys, "_noise", noise)
        if not has_numba:
            monkeypatch.setitem(sys.modules, "hf_curation.sampling.keys_fast", None)
        else:
            monkeypatch.delitem(sys.modules, "hf_curation.sampling.keys_fast")
            pytest.importorskip("numba")
        draws += [gumbel_keys(np.zeros(100), hashes, 3).tolist() for _ in range(2)]
        assert (noise.compiled is keys.plain_noise) == (not has_numba)
    assert draws[0] == draws[1] == draws[2] == draws[3]


def test_temperature_and_clip():
    weights, hashes = np.array([1.0, -3.0, 0.2]), stable_hash64("abc")
    noise = gumbel_keys(np.zeros(3), hashes, 5)
    assert gumbel_keys(weights, hashes, 5, temperature=0.5) - noise == pytest.approx([2.0, -6.0, 0.4])
    assert gumbel_keys(weights, hashes, 5, temperature=0.5, clip=1.5) - noise == pytest.approx([1.5, -1.5, 0.4])


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=30))
def test_sortable_keeps_the_order(values):
    got = sortable(np.array(values)).tolist()
    for a, b in zip(range(len(values)), range(1, len(values)), strict=False):
        assert (values[a] < values[b], values[a] == values[b]) == (got[a] < got[b], got[a] == got[b])
