"""The compiled featurizer gives what the plain one gives, bit for bit, and that what the definition says."""

import hashlib
from collections import Counter
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.sampling import FeatureSpec, load_featurizer
from hf_curation.sampling.mix64 import bucket_of, ngram_hash, word_hash
from hf_curation.sampling.words import find_words

TRICKY = (
    "aZ09_ .,-\t\n\r\x00\x1c\x1d\x1e\x1f\x7f\x80\x85\xa0ªµßÀİıſΣσςǅȺȾẞΩKÅ \u2028\u200b\u3000\u0301\u0130"
    "日本語한글हिन्दीعربעברית²½Ⅷⓐ𝐀𐐀🙂\U0001f1e9\ufeff\uffff\U0010ffff"
)
WORDS = ["the", "Whale", "OF", "naïve", "internationalization", "x" * 63, "ÀÉÎ" * 30, "—", "...", "σοφός ΣΟΦΟΣ"]
texts = st.lists(
    st.one_of(
        st.text(max_size=200),
        st.text(alphabet=TRICKY, max_size=300),
        st.lists(st.sampled_from(WORDS), max_size=120).map(" ".join),
        st.builds(
            lambda before, text: " " * before + text, st.integers(50, 70), st.text(alphabet=TRICKY, max_size=30)
        ),
    ),
    max_size=8,
)
specs = st.builds(
    FeatureSpec,
    lower=st.booleans(),
    max_order=st.sampled_from([1, 2, 3, 5]),
    num_buckets=st.sampled_from([1, 7, 1000, 1 << 16]),
    hash=st.sampled_from(["mix64", "sha256"]),
)
backends = pytest.mark.parametrize("backend", ["plain", "fast"])


@pytest.fixture(autouse=True)
def _numba(request):
    if "backend" not in request.fixturenames or request.getfixturevalue("backend") == "fast":
        pytest.importorskip("numba")


def by_the_definition(text: str, spec: FeatureSpec) -> list[tuple[str, int]]:
    """N-grams and buckets in pure Python, one at a time."""
    words = find_words(text, lower=spec.lower)
    found = []
    for order in range(1, spec.max_order + 1):
        for start in range(len(words) - order + 1):
            gram = words[start : start + order]
            if spec.hash == "sha256":
                digest = hashlib.sha256(" ".join(gram).encode()).hexdigest()
                bucket = int(digest, 16) % spec.num_buckets
            else:
                bucket = bucket_of(ngram_hash([word_hash(word.encode()) for word in gram]), spec.num_buckets)
            found.append((" ".join(gram), bucket))
    return found


@lru_cache
def featurizer_for(spec: FeatureSpec, backend: str):
    """One for all examples: its memory of words goes from one to the next."""
    return load_featurizer(spec, backend=backend)


def table_for(spec: FeatureSpec, num_targets: int | None = None) -> np.ndarray:
    shape = spec.num_buckets if num_targets is None else (num_targets, spec.num_buckets)
    return np.random.default_rng(1).normal(size=shape) * 5


@given(batch=texts, spec=specs)
def test_plain_is_the_definition(batch, spec):
    featurizer = featurizer_for(spec, "plain")
    counts, table = np.zeros(spec.num_buckets, np.int64), table_for(spec)
    sizes, scores = featurizer.count(batch, counts), featurizer.score(batch, table)
    expected = [by_the_definition(text, spec) for text in batch]
    assert dict(Counter(bucket for grams in expected for _, bucket in grams)) == {
        int(b): int(counts[b]) for b in np.flatnonzero(counts)
    }
    assert sizes.num_ngrams.tolist() == scores.num_ngrams.tolist() == [len(grams) for grams in expected]
    assert sizes.num_tokens.tolist() == [len(find_words(text, lower=spec.lower)) for text in batch]
    assert scores.sums == pytest.approx([sum(table[b] for _, b in grams) for grams in expected], rel=1e-9, abs=1e-9)
    assert [featurizer.ngrams(text) for text in batch] == expected


@settings(max_examples=150)
@given(batch=texts, spec=specs, chunk=st.integers(1, 40), exponent=st.sampled_from([0.0, 0.5, 1.0]))
def test_fast_is_plain_bit_for_bit(batch, spec, chunk, exponent):
    fast, plain = featurizer_for(spec, "fast"), featurizer_for(spec, "plain")
    counts, expected_counts = np.zeros((2, spec.num_buckets), np.int64)
    sizes, expected = fast.count(batch, counts), plain.count(batch, expected_counts)
    assert (counts == expected_counts).all()
    assert sizes.num_tokens.tolist() == expected.num_tokens.tolist()
    assert sizes.num_ngrams.tolist() == expected.num_ngrams.tolist()
    for table in (table_for(spec), table_for(spec, 3)):
        assert_equal(fast.score(batch, table), plain.score(batch, table))
        assert_equal(
            fast.score_chunks(batch, table, chunk, length_exponent=exponent),
            plain.score_chunks(batch, table, chunk, length_exponent=exponent),
        )


def assert_equal(got, expected):
    assert got.sums.shape == expected.sums.shape
    assert got.sums.tobytes() == expected.sums.tobytes()
    for name in ("num_tokens", "num_ngrams", "num_chunks"):
        assert getattr(got, name).tolist() == getattr(expected, name).tolist(), name


@given(batch=texts, cuts=st.lists(st.integers(0, 8), max_size=3), hash_name=st.sampled_from(["mix64", "sha256"]))
def test_arrow_of_any_shape_and_cut(batch, cuts, hash_name):
    """Lists, string and large_string arrays, slices with offsets, chunks: one result, whatever the batch is."""
    spec = FeatureSpec(hash=hash_name)
    fast, table = featurizer_for(spec, "fast"), table_for(spec)
    whole = fast.score(batch, table)
    padded = ["off the left", *batch, "off the right"]
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        assert_equal(fast.score(pa.array(padded, kind)[1:-1], table), whole)
    borders = sorted({0, len(batch), *(min(cut, len(batch)) for cut in cuts)})
    pieces = [pa.array(batch[a:b], pa.string()) for a, b in pairwise(borders)]
    assert_equal(fast.score(pa.chunked_array(pieces, pa.string()), table), whole)
    one_by_one = [fast.score([text], table).sums[0] for text in batch]
    assert np.array(one_by_one).tobytes() == whole.sums.tobytes()


@backends
def test_null_is_an_error(backend):
    featurizer = load_featurizer(FeatureSpec(), backend=backend)
    for batch in (["a", None], pa.array(["a", None]), pa.chunked_array([["a"], [None]])):
        with pytest.raises(ValueError, match="text 1 is null"):
            featurizer.score(batch, np.zeros(10_000))


def test_bytes_that_are_no_utf8_are_an_error():
    column = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xe2\x82")]
    )
    with pytest.raises(pa.ArrowInvalid, match="UTF8"):
        load_featurizer(FeatureSpec(), backend="fast").score(column, np.zeros(10_000))


@backends
@pytest.mark.parametrize("hash_name", ["mix64", "sha256"])
def test_texts_without_tokens(backend, hash_name):
    featurizer = load_featurizer(FeatureSpec(hash=hash_name), backend=backend)
    found = featurizer.score(["", " \n\u3000", "one", ""], np.ones(10_000))
    assert found.sums.tolist() == [0.0, 0.0, 1.0, 0.0]
    assert found.num_ngrams.tolist() == [0, 0, 1, 0]
    assert found.num_chunks.tolist() == [0, 0, 1, 0]
    assert featurizer.score([], np.ones(10_000)).sums.shape == (0,)
    assert featurizer.score_chunks([""], np.ones((2, 10_000)), 5).sums.tolist() == [[0.0, 0.0]]
    assert featurizer.ngrams("") == []


@backends
def test_chunks_are_averaged_by_their_tokens(backend):
    """Five words in pieces of two: a b | c d | e. Bigrams `b c` and `d e` cross a border and do not count."""
    featurizer = load_featurizer(FeatureSpec(), backend=backend)
    table = np.zeros(10_000)
    bucket = dict(featurizer.ngrams("a b c d e"))
    table[[bucket["a b"], bucket["c d"], bucket["e"]]] = 3.0, 6.0, 10.0
    table[[bucket["b c"], bucket["d e"]]] = 1e6
    sums = featurizer.score_chunks(["a b c d e"], table, 2)
    assert sums.sums[0] == pytest.approx((3 * 2 + 6 * 2 + 10 * 1) / 5)
    assert (sums.num_ngrams[0], sums.num_chunks[0]) == (3 + 3 + 1, 3)
    means = featurizer.score_chunks(["a b c d e"], table, 2, length_exponent=1.0)
    assert means.sums[0] == pytest.approx((1 * 2 + 2 * 2 + 10 * 1) / 5)


@backends
@pytest.mark.parametrize("hash_name", ["mix64", "sha256"])
def test_long_documents_and_long_words(backend, hash_name):
    """Over many segments, with words that are longer than a segment, and one of 100,000 letters."""
    rng = np.random.default_rng(0)
    words = ["w" * int(n) for n in rng.integers(1, 200, 3000)]
    batch = [" ".join(words), "é" * 40_000, "a" * 100_000 + " end", "x," * 20_000, "日本 " * 9000]
    spec = FeatureSpec(hash=hash_name)
    got = load_featurizer(spec, backend=backend).score(batch, table_for(spec))
    assert got.num_tokens.tolist() == [3000, 1, 2, 40_000, 9000]
    assert_equal(got, load_featurizer(spec, backend="plain").score(batch, table_for(spec)))


def test_the_memory_of_words_empties_and_grows(monkeypatch):
    """A memory for 64 words of 512 bytes: texts that fill it, and one that alone does not fit."""
    from hf_curation.sampling import fast as fast_module

    monkeypatch.setattr(fast_module, "MEMORY_WORDS", 64)
    monkeypatch.setattr(fast_module, "MEMORY_BYTES", 512)
    monkeypatch.setattr(fast_module, "MEMORY_PAIRS", 16)
    rng = np.random.default_rng(0)
    batch = [" ".join(str(n) for n in rng.integers(0, 10**6, size)) for size in (40, 30, 50, 0, 300, 20, 60)]
    fast, plain = (load_featurizer(FeatureSpec.dsir(), backend=name) for name in ("fast", "plain"))
    table = table_for(fast.spec)
    assert_equal(fast.score(batch, table), plain.score(batch, table))
    counts, expected = np.zeros((2, 10_000), np.int64)
    fast.count(batch * 2, counts)
    plain.count(batch * 2, expected)
    assert (counts == expected).all()


@backends
def test_letters_that_only_python_can_lower(backend):
    batch = ["plain", "ΟΔΥΣΣΕΥΣ ΣΑΣ", "İstanbul", "ΣΑΣ", "KELVIN \u212a"]
    featurizer = load_featurizer(FeatureSpec(), backend=backend)
    grams = [[gram for gram, _ in featurizer.ngrams(text)] for text in batch]
    assert grams[1] == ["οδυσσευς", "σας", "οδυσσευς σας"]
    assert featurizer.count(batch, np.zeros(10_000, np.int64)).num_tokens.tolist() == [1, 2, 3, 1, 2]
    if backend == "fast":
        assert featurizer.num_lowered_by_python == 4


@backends
def test_wrong_arrays_are_named(backend):
    featurizer = load_featurizer(FeatureSpec(num_buckets=100), backend=backend)
    with pytest.raises(ValueError, match=r"int64\[100\], got int32\[100\]"):
        featurizer.count(["a"], np.zeros(100, np.int32))
    with pytest.raises(ValueError, match="100 buckets"):
        featurizer.score(["a"], np.zeros(99))
    with pytest.raises(ValueError, match="chunk_tokens"):
        featurizer.score_chunks(["a"], np.zeros(100), 0)
    with pytest.raises(ValueError, match="backend"):
        load_featurizer(FeatureSpec(), backend="quick")
