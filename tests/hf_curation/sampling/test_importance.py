"""Models: mixtures and separate targets, lengths, extreme counts, files."""

import numpy as np
import orjson
import pytest

from hf_curation.sampling import BackOff, FeatureSpec, Floor, ImportanceModel, Scoring
from hf_curation.sampling import importance as importance_module

SPEC = FeatureSpec(num_buckets=1000)


def counts(seed: int, total: int = 50_000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.multinomial(total, rng.dirichlet(np.full(1000, 0.1)))


def test_one_target_and_a_pooled_mixture():
    """Without proportions, targets are one bag: the same as counting them together."""
    a, b, raw = counts(0), counts(1, 9000), counts(2)
    pooled = ImportanceModel.fit(a + b, raw, SPEC)
    mixed = ImportanceModel.fit(np.stack([a, b]), raw, SPEC, target_names=["a", "b"])
    assert (pooled.table == mixed.table).all()
    assert (pooled.target_names, mixed.target_names) == (("target",), ("a", "b"))
    q = (raw + 0.5) / (raw.sum() + 500)
    p = (a + b + 1000 * q) / ((a + b).sum() + 1000)
    assert pooled.table == pytest.approx(np.log(p / q))
    assert np.isclose(p.sum(), 1)
    assert np.isclose(q.sum(), 1)


def test_proportions_mix_probabilities():
    a, b, raw = counts(0), counts(1, 9000), counts(2)
    separate = ImportanceModel.fit(np.stack([a, b]), raw, SPEC, separate=True)
    assert separate.table.shape == (2, 1000)
    assert separate.target_names == ("target_0", "target_1")
    mixed = ImportanceModel.fit(np.stack([a, b]), raw, SPEC, proportions=[3, 1])
    assert mixed.table == pytest.approx(np.log(0.75 * np.exp(separate.table[0]) + 0.25 * np.exp(separate.table[1])))
    assert mixed.facts["proportions"] == [0.75, 0.25]
    alone = ImportanceModel.fit(np.stack([a, b]), raw, SPEC, proportions=[1, 0])
    assert alone.table == pytest.approx(separate.table[0])


@pytest.mark.parametrize("smoothing", [BackOff(), BackOff(strength=1e-3), Floor(), Floor(target_laplace=1.0)])
def test_every_bucket_is_finite(smoothing):
    """Targets and raw corpora that share no bucket, or have one, or a million million n-grams in one."""
    only, other = np.zeros((2, 1000), np.int64)
    only[3], other[5] = 10**12, 1
    for target, raw in ((only, other), (other, only), (only, only), (counts(0), other)):
        table = ImportanceModel.fit(target, raw, SPEC, smoothing=smoothing).table
        assert np.isfinite(table).all()
        assert np.abs(table).max() < 60


def test_back_off_says_nothing_without_evidence():
    """A target like the raw corpus has no preference; a stronger prior never says more."""
    raw = counts(0)
    same = ImportanceModel.fit(raw, raw, SPEC, smoothing=BackOff(raw_pseudo_count=1e-9)).table
    assert np.abs(same[raw > 0]).max() < 1e-6
    weak, strong = (
        np.abs(ImportanceModel.fit(counts(1), raw, SPEC, smoothing=BackOff(strength=strength)).table)
        for strength in (10, 1e5)
    )
    assert (strong <= weak + 1e-12).all()


def test_weights_by_length():
    model = ImportanceModel.fit(counts(0), counts(1), SPEC)
    text = "one two three four five six seven"
    total, mean, root = (
        model.log_weights([text], scoring=Scoring(length_exponent=alpha)) for alpha in (0.0, 1.0, 0.5)
    )
    assert total.num_ngrams.tolist() == [7 + 6]
    assert mean.log_weight[0] == pytest.approx(total.log_weight[0] / 13)
    assert root.log_weight[0] == pytest.approx(total.log_weight[0] / 13**0.5)
    in_pieces = model.log_weights([text], scoring=Scoring(chunk_tokens=100))
    assert in_pieces.log_weight[0] == pytest.approx(mean.log_weight[0])
    pieces = ["one two three four", "five six seven"]
    by_hand = model.log_weights(pieces).log_weight
    chunked = model.log_weights([text], scoring=Scoring(chunk_tokens=4))
    assert chunked.log_weight[0] == pytest.approx((4 * by_hand[0] + 3 * by_hand[1]) / 7)


def test_separate_targets_weigh_in_columns():
    tables = np.stack([counts(0), counts(1)])
    model = ImportanceModel.fit(tables, counts(2), SPEC, separate=True, target_names=["a", "b"])
    texts = ["some words here", "", "others"]
    both = model.log_weights(texts)
    assert both.log_weight.shape == (3, 2)
    for column, of_one in enumerate(tables):
        alone = ImportanceModel.fit(of_one, counts(2), SPEC)
        assert (alone.log_weights(texts).log_weight == both.log_weight[:, column]).all()


def test_a_text_without_ngrams_weighs_nothing_and_says_so():
    found = ImportanceModel.fit(counts(0), counts(1), SPEC).log_weights(["", " \n", "a"])
    assert found.log_weight[:2].tolist() == [0.0, 0.0]
    assert found.num_ngrams.tolist() == [0, 0, 1]


def test_weights_of_thousands_of_nats():
    """A long page of the target's words only: the sum is far beyond what exp can hold, and is exact."""
    target, raw = np.zeros((2, 1000), np.int64)
    target[:500], raw[500:] = 10**9, 10**9
    model = ImportanceModel.fit(target, raw, SPEC, smoothing=BackOff(strength=1e-6, raw_pseudo_count=1e-6))
    text = " ".join(f"word{n}" for n in range(20_000))
    total = model.log_weights([text], scoring=Scoring.dsir()).log_weight[0]
    plain = sum(model.table[bucket] for _, bucket in model.featurizer.ngrams(text))
    assert total == pytest.approx(plain, rel=1e-9)
    assert np.isfinite(total)


def test_save_and_load(tmp_path):
    model = ImportanceModel.fit(np.stack([counts(0), counts(1)]), counts(2), SPEC, proportions=[1, 2])
    model.save(tmp_path / "a.npz")
    model.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = ImportanceModel.load(tmp_path / "a.npz")
    assert (again.table == model.table).all()
    assert (again.spec, again.target_names, again.facts) == (model.spec, model.target_names, model.facts)
    assert again.digest == model.digest
    assert model.digest != ImportanceModel.fit(counts(0), counts(2), SPEC).digest
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert orjson.loads(arrays["header"].tobytes())["schema_version"] == 1


def test_files_that_are_no_model(tmp_path, monkeypatch):
    path = tmp_path / "model.npz"
    path.write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match="is not an importance model"):
        ImportanceModel.load(path)
    np.savez(path, table=np.zeros(3))
    with pytest.raises(ValueError, match="is not an importance model"):
        ImportanceModel.load(path)
    model = ImportanceModel.fit(counts(0), counts(2), SPEC)
    model.save(path)
    monkeypatch.setattr("hf_curation.sampling.spec.MIX64_VERSION", "mix64-2")
    with pytest.raises(ValueError, match="hash_version was 'mix64-1' and is 'mix64-2'; fit it anew"):
        ImportanceModel.load(path)
    monkeypatch.setattr(importance_module, "SCHEMA_VERSION", 2)
    with pytest.raises(ValueError, match="schema version 1, this is 2"):
        ImportanceModel.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_counts_TB": np.zeros(1000, np.int64)}, "target 0 holds no n-gram"),
        ({"raw_counts_B": np.zeros(1000, np.int64)}, "raw corpus holds no n-gram"),
        ({"raw_counts_B": np.ones(999, np.int64)}, "counts must be"),
        ({"target_counts_TB": np.full(1000, -1)}, "cannot be negative"),
        ({"target_names": ["a", "a"]}, "different names"),
        ({"proportions": [1]}, "2 targets need as many proportions"),
        ({"proportions": [1, float("nan")]}, "2 targets need as many proportions"),
        ({"proportions": [0, 0]}, "2 targets need as many proportions"),
        ({"proportions": [1, 1], "separate": True}, "give them to the choice"),
    ],
)
def test_wrong_arguments(change, message):
    arguments = {"target_counts_TB": np.stack([counts(0), counts(1)]), "raw_counts_B": counts(2), "spec": SPEC}
    with pytest.raises(ValueError, match=message):
        ImportanceModel.fit(**(arguments | change))


def test_wrong_settings():
    for make in (
        lambda: Scoring(length_exponent=-1),
        lambda: Scoring(temperature=0),
        lambda: Scoring(chunk_tokens=0),
        lambda: Scoring(clip=-1),
        lambda: BackOff(strength=0),
        lambda: BackOff(raw_pseudo_count=0),
        lambda: Floor(epsilon=0),
        lambda: Floor(target_laplace=-1),
        lambda: FeatureSpec(max_order=0),
        lambda: FeatureSpec(num_buckets=0),
        lambda: FeatureSpec(hash="md5"),
        lambda: FeatureSpec(tokens="gpt2"),
        lambda: FeatureSpec(tokens="gpt2", lower=False, hash="sha256"),
        lambda: FeatureSpec(revision="main"),
        lambda: FeatureSpec(tokens=""),
    ):
        with pytest.raises(ValueError, match=r"must be|take|say lower=False|words have none"):
            make()
