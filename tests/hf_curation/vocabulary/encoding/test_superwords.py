"""Merges across spaces on ids: always what `tokenizers` gives for the whole vocabulary."""

import copy
import json
import logging
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from hf_curation.vocabulary import word_runs
from hf_curation.vocabulary.encoding import load_bulk_encoder
from hf_curation.vocabulary.fast_encoding import GigatokenEncoder, NotExactError
from hf_curation.vocabulary.probes import PROBES, SENTENCES
from hf_curation.vocabulary.superwords import SuperwordEncoder, has_word_runs, merge_plain, split_superwords


@pytest.fixture(scope="module")
def plain(adapted):
    return load_bulk_encoder(Tokenizer.from_str(json.dumps(adapted)), backend="plain")


@pytest.fixture(scope="module")
def fast(adapted):
    return load_bulk_encoder(Tokenizer.from_str(json.dumps(adapted)), backend="fast")


def assert_equal(plain, fast, texts):
    for one, two in zip(plain.encode(texts), fast.encode(texts), strict=True):
        assert np.array_equal(one, two)


def test_the_fast_path_is_taken_and_superwords_form(plain, fast):
    assert fast.backend_name == "gigatoken+superwords"
    ids, _ = fast.encode(["At the end of the day"])
    assert any(" " in fast.token(token_id).strip() for token_id in ids)
    assert "".join(fast.token(token_id) for token_id in ids) == "At the end of the day"


def test_equal_on_real_sentences_and_on_odd_corners(plain, fast):
    assert_equal(plain, fast, PROBES)
    assert_equal(plain, fast, pa.array(PROBES))


WORDS = [
    "the",
    "of",
    "end",
    "it",
    "was",
    "age",
    "is",
    "day",
    "s",
    "re",
    "The",
    "о",
    "день",
    "ह",
    "i",
    "é",
    "ſ",
    "hill",
]
GLUE = [
    " ",
    " ",
    " ",
    " ",
    " ",
    "  ",
    "'",
    "''",
    "’",
    "\n",
    "\t",
    ", ",
    ". ",
    " (",
    "1",
    " 2 ",
    "-",
    "\u00a0",
    "\u0301",
    "",
]


@settings(max_examples=300)
@given(pieces=st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GLUE)), max_size=40))
def test_equal_where_runs_end(plain, fast, pieces):
    assert_equal(plain, fast, ["".join(word + glue for word, glue in pieces)])


@pytest.fixture(scope="module", params=["GPT2", "QWEN2", "O200K"])
def other_bases(request, adapted):
    """The same merges under the patterns of other bases, encoded plainly and fast."""
    data = copy.deepcopy(adapted)
    runs = word_runs.PATTERNS[getattr(word_runs, request.param)]
    data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = runs
    tokenizer = Tokenizer.from_str(json.dumps(data))
    return [load_bulk_encoder(tokenizer, backend=backend) for backend in ("plain", "fast")]


@settings(max_examples=100)
@given(pieces=st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GLUE)), max_size=40))
def test_equal_under_the_patterns_of_other_bases(other_bases, pieces):
    assert other_bases[1].backend_name == "gigatoken+superwords"
    assert_equal(*other_bases, ["".join(word + glue for word, glue in pieces), *PROBES[:3]])


@settings(max_examples=150)
@given(texts=st.lists(st.text(alphabet=st.one_of(st.sampled_from("the of isad'\n.1"), st.characters())), max_size=4))
def test_equal_on_any_text(plain, fast, texts):
    assert_equal(plain, fast, texts)


def test_an_unclear_document_is_settled_and_its_neighbours_stay(plain, adapted):
    # `s` may begin a superword here, and no token spells `'s`: after an apostrophe only the pattern knows
    data = copy.deepcopy(adapted)
    merges, vocabulary = data["model"]["merges"], data["model"]["vocab"]
    data["model"]["merges"] = [merge for merge in merges if "'" not in "".join(merge)] + [["s", "Ġof"]]
    for text in [text for text in vocabulary if "'" in text and text != "'"]:
        del vocabulary[text]
    data["model"]["vocab"]["sĠof"] = 5000
    tokenizer = Tokenizer.from_str(json.dumps(data))
    slow, encoder = (load_bulk_encoder(tokenizer, backend=backend) for backend in ("plain", "fast"))
    texts = ["it is one of the", "the hill's of the", "''s of the day", "s of it", "it was the age of it"]
    assert_equal(slow, encoder, texts)
    _, unclear = encoder._merge(*(np.array(x) for x in encoder._base.encode(texts)), encoder._tables)
    assert unclear.tolist() == [False, True, True, False, False]


def test_the_kernel_is_its_readable_twin(adapted, plain):
    base, superwords = split_superwords(adapted)
    encoder = SuperwordEncoder(plain)
    run = "it was the age of the end of the day it was the end of the hill of the king of the age"
    ids = GigatokenEncoder(plain, base).encode([run])[0]
    assert encoder.encode([run])[0].tolist() == merge_plain(ids.tolist(), superwords)


def test_a_long_run_without_punctuation_takes_no_square_time(plain, fast):
    text = " of the end of the day" * 20_000
    ids, offsets = fast.encode([text, SENTENCES[0]])
    assert len(ids) < 100_000
    assert_equal(plain, fast, [text[:10_000], SENTENCES[0]])
    assert "".join(fast.token(token_id) for token_id in ids[: offsets[1]]) == text


def test_base_vocabularies_have_no_runs(base, adapted):
    assert not has_word_runs(base)
    assert has_word_runs(adapted)


def change(data, **model):
    return {**data, "model": {**data["model"], **model}}


def test_what_does_not_fit_is_refused(adapted):
    merges, vocabulary = adapted["model"]["merges"], adapted["model"]["vocab"]
    with pytest.raises(NotExactError, match="whole words first"):
        split_superwords(change(adapted, ignore_merges=True))
    with pytest.raises(NotExactError, match="ranks after merges across spaces"):
        split_superwords(change(adapted, merges=[*merges, merges[0]]))
    with pytest.raises(NotExactError, match="leaves its word"):
        split_superwords(change(adapted, merges=[["e", "Ġ"], *merges], vocab=vocabulary | {"eĠ": 9000}))
    with pytest.raises(NotExactError, match="not made of whole words"):
        split_superwords(change(adapted, merges=[*merges, ["theĠ", "age"]], vocab=vocabulary | {"theĠage": 9000}))


def test_what_is_refused_is_encoded_plainly(adapted, caplog):
    tokenizer = Tokenizer.from_str(json.dumps(change(adapted, ignore_merges=True)))
    with caplog.at_level(logging.WARNING):
        assert load_bulk_encoder(tokenizer).backend_name == "tokenizers"
    assert "ignore_merges" in caplog.text


def test_without_numba_it_is_encoded_plainly(adapted, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "hf_curation.vocabulary.superword_kernel", None)
    with caplog.at_level(logging.WARNING):
        assert load_bulk_encoder(Tokenizer.from_str(json.dumps(adapted))).backend_name == "tokenizers"
    assert "numba is not installed" in caplog.text
