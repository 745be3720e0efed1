import json

import pytest
from datatrove.data import Document
from hypothesis import given
from hypothesis import strategies as st

from datatrove_steps.quarantine import QUARANTINE_REASONS
from datatrove_steps.records import parse_line, to_document

unicode = st.characters(exclude_categories=["Cs"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(unicode),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(unicode), children, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "cut', "bad_json"),
        (b"not json", "bad_json"),
        (b'{"a": 1} {"b": 2}', "bad_json"),
        (b'{"text": "caf\xe9"}', "invalid_utf8"),
        (b'{"text": "\xed\xa0\x80"}', "invalid_utf8"),
        (b'{"text": "\\ud83d"}', "lone_surrogate"),
        (b'{"text": "a", "meta": {"k": ["\\udc00"]}}', "lone_surrogate"),
        (b"[" * 300 + b"]" * 300, "too_deep"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "too_deep"),
        (b"[" * 100_000, "bad_json"),
    ],
)
def test_bad_lines_have_a_reason(line, reason):
    value, found = parse_line(line)
    assert (value, found) in [(None, reason), (None, "too_deep")]
    assert found in QUARANTINE_REASONS


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b'{"n": 18446744073709551615}', {"n": 2**64 - 1}),
        (b'{"n": 18446744073709551616}', {"n": float(2**64)}),
        (b'{"x": Infinity}', {"x": float("inf")}),
        (b'{"text": "\\ud83d\\ude00 \\u0000"}\r\n', {"text": "\U0001f600 \0"}),
        (b'{"a": "' + b"[" * 1000 + b'"}', {"a": "[" * 1000}),
    ],
)
def test_unusual_lines_are_good(line, value):
    assert parse_line(line) == (value, None)


@given(json_values)
def test_what_json_writes_is_read_back(value):
    assert parse_line(json.dumps(value, ensure_ascii=False).encode()) == (value, None)
    assert parse_line(json.dumps(value).encode()) == (value, None)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ([1, 2], "not_an_object"),
        ("text", "not_an_object"),
        (None, "not_an_object"),
        ({}, "missing_text"),
        ({"text": None}, "missing_text"),
        ({"text": 12345}, "text_not_string"),
        ({"text": ["a"]}, "text_not_string"),
        ({"text": b"bytes"}, "text_not_string"),
        ({"text": ""}, "empty_text"),
        ({"text": " \n\t\u3000\u2028"}, "empty_text"),
    ],
)
def test_records_without_text_have_a_reason_and_stay_whole(record, reason):
    before = json.dumps(record, default=repr)
    assert to_document(record, "x/0") == reason
    assert json.dumps(record, default=repr) == before


@pytest.mark.parametrize("text", ["\0", "\u200b", "x" * 10**6, "\u202eabc"])
def test_odd_text_is_text(text):
    assert to_document({"text": text}, "x/0").text == text


@pytest.mark.parametrize(
    ("own", "expected", "metadata"),
    [
        ("mine", "mine", {}),
        (7, "7", {}),
        (0, "0", {}),
        (None, "f/3", {}),
        ("", "f/3", {}),
        (True, "f/3", {"id": True}),
        ([1], "f/3", {"id": [1]}),
        (1.5, "f/3", {"id": 1.5}),
    ],
)
def test_ids(own, expected, metadata):
    assert to_document({"text": "t", "id": own}, "f/3") == Document(text="t", id=expected, metadata=metadata)
    assert to_document({"text": "t"}, "f/3").id == "f/3"


def test_both_layouts_and_other_keys():
    flat = {"text": "t", "id": "1", "url": "u", "score": 0.5}
    nested = {"text": "t", "id": "1", "metadata": {"url": "u", "score": 0.5}}
    as_text = {"text": "t", "id": "1", "metadata": '{"url": "u", "score": 0.5}'}
    for record in (flat, nested, as_text):
        assert to_document(record, "").metadata == {"url": "u", "score": 0.5}
    assert to_document({"body": "b", "key": 9}, "", text_key="body", id_key="key").text == "b"


def test_no_key_of_the_metadata_is_lost():
    record = {"text": "t", "url": "outer", "metadata": {"url": "inner", "lang": "en"}}
    assert to_document(record, "").metadata == {"url": "outer", "lang": "en", "metadata_url": "inner"}
    for other in ("plain words", "[1]", 5, ["a"], '"x"'):
        assert to_document({"text": "t", "metadata": other}, "").metadata == {"metadata": other}
    assert to_document({"text": "t", "metadata": None}, "").metadata == {"metadata": None}
