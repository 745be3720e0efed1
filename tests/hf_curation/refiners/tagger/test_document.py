import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs.lines import split_lines
from hf_curation.refiners.base import Stage
from hf_curation.refiners.tagger import LineTagger
from hf_curation.refiners.tagger.document import (
    LENGTHS,
    DocumentHead,
    Evidence,
    length_band,
    load_head,
    page_evidence,
    word_gate,
)
from hf_curation.refiners.tagger.document_statistics import MAX_WORDS, STATISTICS, page_statistics
from hf_curation.refiners.tagger.features import page_features
from hf_curation.refiners.tagger.line_tagger import DOCUMENT_WEIGHTS

JUNK = (
    "404 Not Found\n\nnginx",
    "We use cookies\nAccept all\nReject all\nManage preferences\nPrivacy policy",
    "Log in\nUsername\nPassword\nForgot your password?\nSign up",
)
LOOK_ALIKES = (
    "The cookie law of 2009 asks every site for consent before it stores anything on a device. Regulators have since "
    "fined large firms whose banner had a button to accept all cookies, but none to reject them.",
    "How to write a good 404 page\n1. Say that the page was not found.\n2. Offer a search box and a link "
    "to the home page.\n3. Send the right status code, or search engines will index your error page.",
    "Whales sing at night.\nNobody knows why, but the bay is quiet then and a song carries ten times as far.",
)


@pytest.fixture(scope="module")
def judge():
    return LineTagger(stage=Stage.DOCUMENT)


def _evidence(judge, text):
    lines = split_lines(text)
    page = page_features(lines)
    probabilities = judge.probabilities(text)[page.rows]
    return page_evidence(lines, page, probabilities)


def _verdict(judge, text):
    return judge.write(judge.windows(text))[0].text


def test_drops_pages_to_drop_and_none_to_keep(judge, recipe):
    """The margin above the limits (`MARGIN` of the recipe) costs junk, never text: .29 of the one, 0 of the other.

    The head learnt from these pages; held-out figures are in the recipe's README.
    """
    dropped = {True: [], False: []}
    for text, is_junk, _, _ in recipe("junk").read_junk():
        dropped[is_junk].append(_verdict(judge, text) == "drop_doc()")
    assert np.mean(dropped[True]) > 0.25
    assert not any(dropped[False])


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_keeps_texts_about_the_same_things(judge, text):
    assert _verdict(judge, text) == "keep_doc()"


@pytest.mark.parametrize("text", ["", " \n\t\n", "\u2028"])
def test_keeps_a_page_without_text(judge, text):
    assert _verdict(judge, text) == "keep_doc()"


def test_much_content_is_never_dropped_for_its_words(judge):
    body = "\n".join(
        f"On day {k} the whales sang in the quiet bay, and nobody could say why they did so." for k in range(40)
    )
    with_words = judge.head.arrays["words"] * 0 + 100.0  # every word shouts "junk"
    loud = DocumentHead({**judge.head.arrays, "words": with_words}, judge.head.config)
    assert loud.is_junk(_evidence(judge, JUNK[0]))
    assert not loud.is_junk(_evidence(judge, body))


def test_the_gate_closes_with_content_and_with_many_words():
    statistics = np.zeros(len(STATISTICS), dtype=np.float32)
    assert word_gate(statistics, 9, 100) == pytest.approx(1.0)
    assert word_gate(statistics, 36, 100) == pytest.approx(0.5)
    statistics[STATISTICS.index("log_wanted_words")] = np.log1p(100)
    assert word_gate(statistics, 9, 100) == pytest.approx(0.5)


def test_bands_begin_at_their_lengths():
    statistics = np.zeros(len(STATISTICS), dtype=np.float32)
    for words, band in ((1, 0), (LENGTHS[0] + 1, 1), (LENGTHS[1] + 1, 2), (10**6, 2)):
        statistics[STATISTICS.index("log_words")] = np.log1p(words)
        assert length_band(statistics) == band


def test_score_is_its_readable_twin(judge):
    head = judge.head
    for text in (*JUNK, *LOOK_ALIKES):
        evidence = _evidence(judge, text)
        w = {name: array.astype(np.float64) for name, array in head.arrays.items()}
        x = [min(max((s - m) / d, -4), 4) for s, m, d in zip(evidence.statistics, w["mean"], w["scale"], strict=True)]
        score = float(w["output.bias"][0])
        for row, bias, out in zip(w["hidden.weight"], w["hidden.bias"], w["output.weight"], strict=True):
            score += out * np.tanh(sum(a * b for a, b in zip(row, x, strict=True)) + bias)
        buckets = {int(word) >> (32 - head.config["table_bits"]) for word in evidence.words}
        wanted = np.expm1(evidence.statistics[STATISTICS.index("log_wanted_words")])
        gate = 3 / len(buckets) ** 0.5 / (1 + wanted / head.config["gate_words"])
        score += gate * sum(float(w["words"][bucket]) for bucket in buckets)
        assert head.junk_score(evidence) == pytest.approx(score, abs=1e-3)


def test_statistics_of_a_small_page():
    lines = ["Home", "", "Whales sing at night in the bay.", "Home"]
    page = page_features(lines)
    found = dict(zip(STATISTICS, page_statistics(lines, page, np.array([0, 1, 0], np.float32)), strict=True))
    assert found["log_words"] == pytest.approx(np.log1p(9))
    assert found["wanted_share"] == pytest.approx(7 / 9)
    assert found["sentence_share"] == pytest.approx(7 / 9)
    assert found["repeated_lines"] == pytest.approx(1 / 3)
    assert found["commonest_word"] == pytest.approx(2 / 9)
    assert found["short_lines"] == pytest.approx(2 / 3)


@given(st.text(max_size=200), st.integers(0, 3))
@settings(max_examples=60)
def test_statistics_are_finite(text, repeats):
    lines = split_lines(text * (repeats + 1))
    page = page_features(lines)
    if len(page.rows):
        found = page_statistics(lines, page, np.full(len(page.rows), 0.5, np.float32))
        assert found.shape == (len(STATISTICS),)
        assert np.isfinite(found).all()


def test_words_are_capped():
    lines = ["one two three four five six seven " * 20 + str(k) for k in range(300)]
    page = page_features(lines)
    evidence = page_evidence(lines, page, np.ones(len(page.rows), np.float32))
    assert len(page.words) > MAX_WORDS
    assert isinstance(evidence, Evidence)
    assert len(evidence.words) <= MAX_WORDS


def test_takes_less_than_the_network(judge):
    lines = [f"{k} Whales sing at night in bay number {k}." for k in range(400)]
    page = page_features(lines)
    probabilities = np.ones(len(page.rows), np.float32)
    judge.head.is_junk(page_evidence(lines, page, probabilities))
    begun = time.process_time()
    for _ in range(20):
        judge.head.is_junk(page_evidence(lines, page, probabilities))
    assert (time.process_time() - begun) / 20 < 0.01  # measured: 1 ms


def test_pickles_without_its_weights(judge):
    _verdict(judge, JUNK[0])
    packed = pickle.dumps(judge)
    assert len(packed) < 2_000
    copy = pickle.loads(packed)  # noqa: S301
    for text in (*JUNK, *LOOK_ALIKES):
        assert copy.head.junk_score(_evidence(copy, text)) == judge.head.junk_score(_evidence(judge, text))


def test_other_files_are_refused(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "other.safetensors"
    save_file({"x": np.zeros(1)}, path)
    with pytest.raises(ValueError, match="fit it again"):
        load_head(path)
    with pytest.raises(ValueError, match="no weights at"):
        LineTagger(stage=Stage.DOCUMENT, document_weights=tmp_path / "none.safetensors")


def test_the_head_that_ships_says_what_it_was_fitted_to():
    config = load_head(DOCUMENT_WEIGHTS).config
    assert len(config["thresholds"]) == len(LENGTHS) + 1
    assert len(config["line_weights_sha256"]) == 64
    assert config["dropped"]["pages"]["page"] < 0.01
