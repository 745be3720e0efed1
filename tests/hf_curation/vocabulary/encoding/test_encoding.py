"""The interface: what goes in, what comes out, and that no special token is read out of a text."""

import json
import logging
import sys
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from hf_curation.vocabulary import encoding
from hf_curation.vocabulary.encoding import load_bulk_encoder
from hf_curation.vocabulary.fast_encoding import GigatokenEncoder
from hf_curation.vocabulary.probes import PROBES
from hf_curation.vocabulary.word_runs import GPT2

TEXTS = ["At the end of the day", "", "Съешь же ещё", "x <|endoftext|> y"]


@pytest.fixture(scope="module", params=["plain", "fast"])
def encoder(request, base):
    return load_bulk_encoder(Tokenizer.from_str(json.dumps(base)), backend=request.param)


def ids_of(encoder, texts):
    ids, offsets = encoder.encode(texts)
    return [ids[start:stop].tolist() for start, stop in pairwise(offsets)]


def test_ids_are_those_of_tokenizers_and_types_are_as_promised(encoder, base):
    tokenizer = Tokenizer.from_str(json.dumps(base))
    ids, offsets = encoder.encode(TEXTS[:3])
    assert (ids.dtype, offsets.dtype) == (np.uint32, np.int64)
    assert ids_of(encoder, TEXTS[:3]) == [tokenizer.encode(text).ids for text in TEXTS[:3]]
    assert offsets[0] == 0
    assert offsets[-1] == len(ids)
    assert encoder.num_ids == tokenizer.get_vocab_size()


def test_a_text_cannot_spell_a_special_token(encoder, base):
    special = {token["id"] for token in base["added_tokens"]}
    (ids,) = ids_of(encoder, [TEXTS[3]])
    assert not special & set(ids)
    assert Tokenizer.from_str(json.dumps(base)).decode(ids) == TEXTS[3]


@pytest.mark.parametrize(
    "texts",
    [
        pa.array(TEXTS),
        pa.array(TEXTS, pa.large_string()),
        pa.array(["before", *TEXTS, "after"]).slice(1, 4),
        pa.array(["before", *TEXTS], pa.large_string()).slice(1),
        pa.chunked_array([TEXTS[:1], TEXTS[1:]]),
        pa.array(TEXTS, pa.string_view()),
        tuple(TEXTS),
    ],
    ids=["string", "large", "slice", "large slice", "chunks", "view", "tuple"],
)
def test_arrow_columns_are_texts_too(encoder, texts):
    assert ids_of(encoder, texts) == ids_of(encoder, TEXTS)


@pytest.mark.parametrize("texts", [[], [""], ["", ""], pa.array([], pa.string()), pa.array(["", ""])])
def test_nothing_has_no_ids(encoder, texts):
    ids, offsets = encoder.encode(texts)
    assert len(ids) == 0
    assert offsets.tolist() == [0] * (len(texts) + 1)


@pytest.mark.parametrize("texts", [["a", None], pa.array(["a", None])])
def test_a_missing_text_is_an_error_that_says_which(encoder, texts):
    with pytest.raises(ValueError, match="text 1 is null"):
        encoder.encode(texts)


def test_numbers_are_no_texts(encoder):
    with pytest.raises(ValueError, match="texts must be strings, got an Arrow array of int64"):
        encoder.encode(pa.array([1, 2]))


def test_lone_surrogates_are_replaced(encoder):
    assert ids_of(encoder, ["a\ud800b", "😀"]) == ids_of(encoder, ["a\ufffdb", "\U0001f600"])


def test_tokens_are_shown_to_people(encoder):
    (ids,) = ids_of(encoder, [" of the"])
    assert "".join(encoder.token(token_id) for token_id in ids) == " of the"
    (ids,) = ids_of(encoder, ["\U0010ffff"])
    assert encoder.token(ids[0]) == "\\xf4"
    with pytest.raises(ValueError, match="no token 999999"):
        encoder.token(999999)


def test_loads_from_a_file_and_from_a_folder_with_equal_digests(base, tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(base), encoding="utf-8")
    encoders = [load_bulk_encoder(path, backend="plain") for path in (tmp_path, tmp_path / "tokenizer.json")]
    encoders.append(load_bulk_encoder(Tokenizer.from_str(json.dumps(base)), backend="plain"))
    assert len({encoder.tokenizer_sha256 for encoder in encoders}) == 1
    assert len({encoder.vocabulary_sha256 for encoder in encoders}) == 1


def test_the_digest_sees_the_pattern_and_the_stores_hash_does_not(base):
    other = json.loads(json.dumps(base))
    other["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\s+"
    one, two = (load_bulk_encoder(Tokenizer.from_str(json.dumps(x)), backend="plain") for x in (base, other))
    assert one.tokenizer_sha256 != two.tokenizer_sha256
    assert one.vocabulary_sha256 == two.vocabulary_sha256


def test_the_hash_is_the_one_that_token_stores_record(base):
    from hf_curation.packing.store import vocabulary_hash

    tokenizer = Tokenizer.from_str(json.dumps(base))
    assert load_bulk_encoder(tokenizer, backend="plain").vocabulary_sha256 == vocabulary_hash(tokenizer)


@pytest.mark.parametrize("name", ["/nowhere/at/all", "./nowhere", "nowhere.json"])
def test_a_path_with_nothing_there_is_one_line(name):
    with pytest.raises(ValueError, match=r"is not there; give a tokenizer\.json"):
        load_bulk_encoder(name)


def test_a_file_that_is_no_tokenizer_is_one_line(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": {}}')
    with pytest.raises(ValueError, match="that `tokenizers` can load"):
        load_bulk_encoder(tmp_path)


def test_falls_back_with_one_line_where_gigatoken_is_not_there(base, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "gigatoken", None)
    tokenizer = Tokenizer.from_str(json.dumps(base))
    with caplog.at_level(logging.WARNING):
        assert load_bulk_encoder(tokenizer).backend_name == "tokenizers"
    assert [record.message for record in caplog.records if "hf-curation[fast]" in record.message]
    with pytest.raises(ValueError, match=r"no fast encoder: gigatoken is not installed"):
        load_bulk_encoder(tokenizer, backend="fast")


def test_falls_back_where_one_id_of_a_probe_differs(base, monkeypatch, caplog):
    class NearlyRight(GigatokenEncoder):
        def encode(self, texts):
            ids, offsets = super().encode(texts)
            cyrillic = next(i for i, probe in enumerate(PROBES) if probe.startswith("Съешь"))
            ids = ids.copy()
            ids[offsets[cyrillic]] += 1
            return ids, offsets

    monkeypatch.setattr(encoding, "GigatokenEncoder", NearlyRight)
    with caplog.at_level(logging.WARNING):
        assert load_bulk_encoder(Tokenizer.from_str(json.dumps(base))).backend_name == "tokenizers"
    assert "gives other ids than `tokenizers` for 'Съешь" in caplog.text


def test_a_tokenizer_that_gigatoken_does_not_know_is_encoded_plainly(base, caplog):
    other = json.loads(json.dumps(base))
    other["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+|\W+"
    with caplog.at_level(logging.WARNING):
        encoder = load_bulk_encoder(Tokenizer.from_str(json.dumps(other)))
    assert encoder.backend_name == "tokenizers"
    assert "gigatoken does not take this tokenizer" in caplog.text


@settings(max_examples=200)
@given(texts=st.lists(st.text(), max_size=4))
def test_fast_and_plain_agree_on_any_text(twins, texts):
    plain, fast = twins
    for one, two in zip(plain.encode(texts), fast.encode(texts), strict=True):
        assert np.array_equal(one, two)


@pytest.fixture(scope="module")
def twins(base):
    tokenizer = Tokenizer.from_str(json.dumps(base))
    return load_bulk_encoder(tokenizer, backend="plain"), load_bulk_encoder(tokenizer, backend="fast")


def test_gpt2s_pattern_written_out_is_as_fast(base):
    other = json.loads(json.dumps(base))
    other["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = GPT2
    assert load_bulk_encoder(Tokenizer.from_str(json.dumps(other)), backend="fast").backend_name == "gigatoken"
