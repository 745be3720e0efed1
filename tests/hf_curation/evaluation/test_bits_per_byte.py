"""The sums behind bits per byte, and the same as a metric of `evaluate`, loaded offline by path."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.evaluation import DocumentScore, bits_per_byte, metric_path, score_of

LOG_PROBS = st.lists(st.floats(-50, 0), min_size=1, max_size=8)


def test_one_bit_a_byte():
    assert bits_per_byte([score_of([-math.log(2), -2 * math.log(2)], "abc")]) == pytest.approx(1.0)


def test_bytes_are_those_of_utf8():
    assert score_of([-1.0], "ö€").num_bytes == 5


@given(prefix=LOG_PROBS, own=LOG_PROBS, text=st.text(min_size=1))
def test_prefix_tokens_are_in_neither_sum(prefix, own, text):
    with_prefix = score_of([*prefix, *own], text, num_prefix_tokens=len(prefix))
    plain = score_of(own, text)
    assert with_prefix.bits_per_byte == plain.bits_per_byte
    assert (with_prefix.num_bytes, with_prefix.num_tokens) == (plain.num_bytes, plain.num_tokens)


def test_the_mean_is_over_bytes():
    short, long = DocumentScore(-1.0, 1, 1), DocumentScore(-1.0, 1, 9)
    assert bits_per_byte([short, long]) == pytest.approx(2 / math.log(2) / 10)


@pytest.mark.parametrize("log_likelihood", [0.5, float("nan"), float("-inf")])
def test_what_is_no_log_likelihood_is_refused(log_likelihood):
    with pytest.raises(ValueError, match="finite number of at most 0"):
        bits_per_byte([DocumentScore(log_likelihood, 1, 1)])


def test_no_bytes_no_figure():
    for scores in ([], [DocumentScore(0.0, 0, 0)]):
        with pytest.raises(ValueError, match="no text"):
            bits_per_byte(scores)
    with pytest.raises(ValueError, match="3 prefix tokens in 2"):
        score_of([-1.0, -1.0], "x", num_prefix_tokens=3)
    with pytest.raises(ValueError, match="no log-probability for a text of 1"):
        score_of([-1.0], "x", num_prefix_tokens=1)


@pytest.fixture(scope="module")
def metric(tmp_path_factory):
    evaluate = pytest.importorskip("evaluate")
    return evaluate.load(metric_path("bits_per_byte"), cache_dir=str(tmp_path_factory.mktemp("metrics")))


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(
    documents=st.lists(st.tuples(LOG_PROBS, LOG_PROBS, st.text(st.characters(codec="utf-8"), min_size=1)), min_size=1)
)
def test_the_metric_is_the_function(metric, documents):
    result = metric.compute(
        predictions=[[*prefix, *own] for prefix, own, _ in documents],
        references=[text for *_, text in documents],
        num_prefix_tokens=[len(prefix) for prefix, *_ in documents],
    )
    expected = [score_of(own, text) for _, own, text in documents]
    assert result["bits_per_byte"] == pytest.approx(bits_per_byte(expected))
    assert result["num_bytes"] == sum(score.num_bytes for score in expected)
    assert result["num_prefix_tokens"] == sum(len(prefix) for prefix, *_ in documents)


@pytest.mark.slow
def test_the_metric_takes_batches_and_documents_without_metadata(metric):
    metric.add_batch(predictions=[[-1.0], [-2.0, -3.0]], references=["a", "bcd"])
    metric.add(prediction=[-4.0], reference="e")
    assert metric.compute() == {
        "bits_per_byte": pytest.approx(10 / math.log(2) / 5),
        "num_bytes": 5,
        "num_tokens": 4,
        "num_prefix_tokens": 0,
    }
    metric.add_batch(predictions=[[-1.0, -8.0], [-2.0, -3.0]], references=["a", "b"])
    result = metric.compute(num_prefix_tokens=[1, 0])
    assert (result["bits_per_byte"], result["num_prefix_tokens"]) == (pytest.approx(13 / math.log(2) / 2), 1)


def test_the_readme_of_the_metric_says_what_comes_out():
    score = score_of([-3.2, -1.1, -2.1, -0.7], "hi!", num_prefix_tokens=2)
    assert f"{score.bits_per_byte:.4f}" == "1.3465"


def test_unknown_metrics_are_named():
    with pytest.raises(ValueError, match="there are: bits_per_byte"):
        metric_path("bits")
