"""N-grams of a tokenizer's ids: fast, plain, and by the definition."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.sampling import FeatureSpec, ImportanceModel, load_featurizer
from hf_curation.sampling.mix64 import bucket_of, id_hash, ngram_hash
from hf_curation.vocabulary.encoding import load_bulk_encoder


@pytest.fixture(scope="module")
def folder(make_byte_tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer")
    make_byte_tokenizer().save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def featurizers(folder):
    spec = FeatureSpec(tokens=folder, lower=False, max_order=3, num_buckets=500)
    encoder = load_bulk_encoder(folder, backend="plain")
    return {backend: load_featurizer(spec, backend=backend, encoder=encoder) for backend in ("fast", "plain")}


@given(texts=st.lists(st.text(max_size=60), max_size=5), chunk=st.integers(1, 30))
def test_fast_plain_and_definition(featurizers, texts, chunk):
    pytest.importorskip("numba")
    fast, plain = featurizers["fast"], featurizers["plain"]
    table = np.random.default_rng(0).normal(size=(2, 500))
    counts, expected_counts = np.zeros((2, 500), np.int64)
    sizes, expected = fast.count(texts, counts), plain.count(texts, expected_counts)
    assert (counts == expected_counts).all()
    assert sizes.num_tokens.tolist() == expected.num_tokens.tolist() == [len(text.encode()) for text in texts]
    for got, wanted in (
        (fast.score(texts, table), plain.score(texts, table)),
        (fast.score_chunks(texts, table, chunk), plain.score_chunks(texts, table, chunk)),
    ):
        assert got.sums.tobytes() == wanted.sums.tobytes()
        assert got.num_ngrams.tolist() == wanted.num_ngrams.tolist()
    for text in texts:
        ids = [byte + 3 for byte in text.encode()]
        runs = [ids[start : start + order] for order in (1, 2, 3) for start in range(len(ids) - order + 1)]
        buckets = [bucket_of(ngram_hash([id_hash(i) for i in run]), 500) for run in runs]
        assert [bucket for _, bucket in fast.ngrams(text)] == buckets


def test_ngrams_are_readable(featurizers):
    assert [gram for gram, _ in featurizers["plain"].ngrams("a b")] == ["a", " ", "b", "a| ", " |b", "a| |b"]


def test_a_model_knows_its_tokenizer(folder, make_byte_tokenizer, tmp_path):
    """The folder's name does not matter; what is in it does."""
    from hf_curation.sampling.spec import _tokenizer_digest

    spec = FeatureSpec(tokens=folder, lower=False, num_buckets=500)
    model = ImportanceModel.fit(np.ones(500, np.int64), np.ones(500, np.int64), spec)
    assert len(model.facts["features"]["tokenizer_sha256"]) == 64
    model.save(tmp_path / "model.npz")
    shutil.copytree(folder, tmp_path / "elsewhere" / Path(folder).name)
    for place in (folder, str(tmp_path / "elsewhere" / Path(folder).name)):
        assert ImportanceModel.load(tmp_path / "model.npz", tokens=place).digest == model.digest
    other = make_byte_tokenizer()
    other.backend_tokenizer.add_tokens(["whale"])
    other.save_pretrained(folder)
    _tokenizer_digest.cache_clear()
    with pytest.raises(ValueError, match="tokenizer_sha256 was"):
        ImportanceModel.load(tmp_path / "model.npz", tokens=folder)
