"""Character n-grams: both counters against one that slices strings."""

import re
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hf_curation.sampling.probes import CharNgrams


def plain_count(probes: CharNgrams, texts: list[str]) -> dict[int, int]:
    """The slow twin: fold with `str`, slice, count."""
    counts: Counter[int] = Counter()
    for text in texts:
        folded = "".join(" " if one.isspace() else one.lower()[0] for one in text)
        folded = re.sub(" +", " ", folded)
        counts.update(probes.bucket(folded[i : i + probes.n]) for i in range(len(folded) - probes.n + 1))
    return dict(counts)


@settings(max_examples=150, deadline=None)
@given(
    texts=st.lists(st.text(st.one_of(st.characters(), st.sampled_from(" \n\u2003\x1caAİẞ\ud800𐐀")), max_size=40)),
    n=st.sampled_from([1, 2, 5, 32]),
    num_buckets=st.sampled_from([1, 7, 10_000]),
)
@example(texts=["Two  spaces\n\nhere", "two spaces here"], n=5, num_buckets=10_000)
def test_both_counters_agree_with_slices(texts: list[str], n: int, num_buckets: int) -> None:
    probes = CharNgrams(n=n, num_buckets=num_buckets)
    expected = plain_count(probes, texts)
    for backend in ("fast", "numpy"):
        counts = probes.empty()
        assert probes.count(texts, counts, backend=backend) == sum(expected.values())
        assert {int(i): int(counts[i]) for i in np.flatnonzero(counts)} == expected, backend


def test_case_and_white_space_make_no_difference_and_a_letter_does() -> None:
    probes = CharNgrams()
    counts = [probes.empty() for _ in range(3)]
    for text, one in zip(("Sea  Ice\tmelts", "sea ice melts", "sea ice melt"), counts, strict=True):
        probes.count([text], one)
    assert np.array_equal(counts[0], counts[1])
    assert counts[1].sum() - counts[2].sum() == 1


def test_arrow_arrays_count_as_lists_do() -> None:
    probes = CharNgrams(num_buckets=64)
    texts = ["öffentlich", None, "nothing", "日本語のページ"]
    expected = probes.empty()
    probes.count([text or "" for text in texts], expected)
    for form in (pa.array(texts), pa.chunked_array([texts[:1], texts[1:]], pa.large_string())):
        for backend in ("fast", "numpy"):
            counts = probes.empty()
            probes.count(form, counts, backend=backend)
            assert np.array_equal(counts, expected)


def test_buckets_are_what_they_were() -> None:
    """Counts of several runs are added up: this number changes only together with `HASH_VERSION`."""
    assert CharNgrams().bucket("whale") == 9682


def test_buckets_fill_evenly() -> None:
    probes = CharNgrams(num_buckets=100)
    counts = probes.empty()
    probes.count([f"{i:05d}" for i in range(20_000)], counts)
    assert counts.sum() == 20_000
    assert 120 < counts.min() <= counts.max() < 290


@pytest.mark.parametrize("settings", [{"n": 0}, {"n": 33}, {"num_buckets": 0}])
def test_senseless_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        CharNgrams(**settings)
