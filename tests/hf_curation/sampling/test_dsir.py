"""The preset `dsir` is DSIR: its authors' package gives the same buckets, counts, lengths and weights."""

import random

import numpy as np
import pytest

from hf_curation.sampling import BackOff, FeatureSpec, Floor, ImportanceModel, Scoring, load_featurizer
from hf_curation.sampling.words import find_words

RAW = ["Whales sing. The sea is cold.", "Buy now! Click here, click now."]
TARGET = ["The whale sings in the cold sea."]

ALPHABETS = [
    "etaoinshrdluETAOIN      ,.'-!?\n\t0123456789_",
    "αβγδεΣσςΑΒΓ άέή;·   ",
    "абвгдежзиклмнопрстАБВ   —«»",
    "日本語漢字かなカナ、。「」 ",
    "한국어조선말 한 글 ",
    "العربيةكتاب ،؟  ",
    "עבריתספר  ־",
    "ıiIğĞşŞçÇöÖ  ",
    "ßẞſÀÉÎõüñÅøŁȺȾ   ",
    "🙂🎉👍🏽€£→∑≠“”… ab ",
    "\x00\x01\x07\x1b\x7f\x80\x9f\xa0\u2003\u2028\ufeff\u3000 ab",
]
OTHER_CLASSES = "a bİ\x1c\x1d\x1e\x1f²³½Ⅷⓐ\u0301\u0903हिन्दी‿\u200d\u0558"
"""Characters that nltk 3.10, through `regex`, puts in another class than `re` does (İ: its lower case has U+0307)."""


def make_documents(num_documents: int, alphabets: list[str], seed: int) -> list[str]:
    rng = random.Random(seed)  # noqa: S311
    words = ["the", "The", "of", "whale", "SEA", "click", "now", "e.g.", "naïve", "ΟΔΟΣ", "x" * 70, "日本"]
    documents = []
    for number in range(num_documents):
        parts = [rng.choice(words) for _ in range(rng.randrange(12))]
        for _ in range(rng.randrange(4)):
            parts.append("".join(rng.choices(rng.choice(alphabets), k=rng.randrange(1, 60))))
        rng.shuffle(parts)
        documents.append(f"{number} " * (number % 7 > 0) + " ".join(parts))
    return documents


def theirs(raw: list[str], target: list[str], folder, tokenizer=None):
    """Fit and weigh with the package; return weights, lengths in words, and the fitted object."""
    HashedNgramDSIR = pytest.importorskip("data_selection").HashedNgramDSIR
    datasets = {"raw": raw, "target": target}
    dsir = HashedNgramDSIR(
        ["raw"],
        ["target"],
        folder,
        raw_load_dataset_fn=datasets.get,
        target_load_dataset_fn=datasets.get,
        raw_parse_example_fn=str,
        target_parse_example_fn=str,
        num_proc=1,
    )
    if tokenizer is not None:
        dsir.tokenizer = tokenizer
    dsir.fit_importance_estimator(num_tokens_to_fit="all")
    dsir.compute_importance_weights()
    return (
        np.load(dsir.log_importance_weights_dir / "0.npy"),
        np.load(dsir.perexample_metadata_dir / "0.npy"),
        dsir,
    )


def ours(raw: list[str], target: list[str], backend: str):
    spec = FeatureSpec.dsir()
    featurizer = load_featurizer(spec, backend=backend)
    raw_counts, target_counts = np.zeros((2, spec.num_buckets), np.int64)
    featurizer.count(raw, raw_counts)
    featurizer.count(target, target_counts)
    model = ImportanceModel.fit(target_counts, raw_counts, spec, smoothing=Floor())
    return model.log_weights(raw, scoring=Scoring.dsir(), featurizer=featurizer), model, raw_counts


@pytest.mark.parametrize("backend", ["plain", "fast"])
def test_known_answers(backend):
    if backend == "fast":
        pytest.importorskip("numba")
    featurizer = load_featurizer(FeatureSpec.dsir(), backend=backend)
    buckets = {"the": 8288, "of the": 2932, "whale": 6657, ".": 3960, "naïve": 8184, "日本": 3586}
    for gram, bucket in buckets.items():
        assert dict(featurizer.ngrams(gram.upper()))[gram] == bucket
        counts = np.zeros(10_000, np.int64)
        featurizer.count([gram], counts)
        assert counts[bucket] == 1
    found, model, raw_counts = ours(RAW, TARGET, backend)
    assert found.log_weight == pytest.approx([-147.958248, -243.085784], abs=1e-6)
    assert found.num_tokens.tolist() == [8, 9]
    assert (raw_counts.sum(), model.facts["target_ngrams"], model.facts["raw_ngrams"]) == (32, [15], 32)


@pytest.mark.slow
def test_equal_to_the_package(tmp_path):
    """5,000 documents in many scripts, of characters on whose class nltk 3.10 and `re` agree: the package as it is."""
    pytest.importorskip("numba")
    raw, target = make_documents(5000, ALPHABETS, 0), make_documents(300, ALPHABETS[:2], 1)
    weights, lengths, dsir = theirs(raw, target, tmp_path)
    found, model, _ = ours(raw, target, "fast")
    assert np.abs(found.log_weight - weights).max() < 1e-9
    assert np.abs(model.table - dsir.log_diff).max() < 1e-12
    assert ((found.num_ngrams + 1) // 2).tolist() == lengths.tolist()
    assert weights.std() > 10


@pytest.mark.slow
def test_equal_to_the_package_with_the_classes_of_re(tmp_path):
    """Every character: the package with the tokenizer that it had when it was published, nltk's pattern in `re`."""
    pytest.importorskip("numba")
    alphabets = [*ALPHABETS, OTHER_CLASSES]
    raw, target = make_documents(2000, alphabets, 2), make_documents(200, alphabets, 3)
    weights, _, _ = theirs(raw, target, tmp_path, lambda text: find_words(text, lower=False))
    assert np.abs(ours(raw, target, "fast")[0].log_weight - weights).max() < 1e-9


def test_nltk_3_10_gives_other_weights_for_some_characters(tmp_path):
    """The other fact: with nltk's own tokenizer of today the package differs, on such characters only."""
    nltk = pytest.importorskip("nltk")
    raw, target = [*RAW, "a\x1cb x² हिन्दी"], [*TARGET, "हिन्दी x²"]
    weights, _, _ = theirs(raw, target, tmp_path)
    difference = np.abs(ours(raw, target, "plain")[0].log_weight - weights)
    since_3_10 = tuple(int(part) for part in nltk.__version__.split(".")[:2]) >= (3, 10)
    assert (difference[2] > 1) == since_3_10


def test_a_rare_bucket_costs_less_with_back_off():
    """A bucket with q = 1e-4 that a target of 15,000 n-grams lacks: 9.2 nats by the floor, under 1 by back-off."""
    spec = FeatureSpec(num_buckets=10_000)
    raw = np.full(10_000, 1000)
    target = np.full(10_000, 15)
    raw[7], target[7] = 1000, 0
    floor = ImportanceModel.fit(target * 1, raw, spec, smoothing=Floor()).table[7]
    back_off = ImportanceModel.fit(target * 1, raw, spec, smoothing=BackOff()).table[7]
    assert floor == pytest.approx(-9.21, abs=0.01)
    assert back_off == pytest.approx(np.log(10_000 / (15 * 9999 + 10_000)), abs=1e-6)
