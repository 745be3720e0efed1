"""Reading what came back: exactly one choice with a string in it, or a failure with a name."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.refiners.base import Draft
from hf_curation.refiners.server.answers import read_answer, read_refusal
from hf_curation.refiners.server.failures import FAILURES, Failure

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "text", "message", "content", "finish_reason", "usage", "error", "completion_tokens"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def body(**choice: object) -> bytes:
    return json.dumps({"choices": [choice], "usage": {"prompt_tokens": 5, "completion_tokens": 4}}).encode()


def test_completion_and_chat() -> None:
    assert read_answer(body(text="a", finish_reason="stop"), "completions", 9) == Draft("a", "stop", None, 5, 4)
    assert read_answer(body(message={"content": "b"}, finish_reason="stop"), "chat", 9) == Draft(
        "b", "stop", None, 5, 4
    )


@pytest.mark.parametrize(
    ("reason", "max_tokens", "expected"),
    [("length", 9, "length"), ("stop", 4, "stop"), (None, 9, "stop"), (None, 4, "length"), ("eos_token", 4, "stop")],
)
def test_an_answer_of_unknown_end_at_the_limit_counts_as_cut(reason: object, max_tokens: int, expected: str) -> None:
    draft = read_answer(body(text="a", finish_reason=reason), "completions", max_tokens)
    assert isinstance(draft, Draft)
    assert draft.finish_reason == expected


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", "not_json"),
        (b"<html>502</html>", "not_json"),
        (b'{"choices": [{"text": "remove_li', "not_json"),
        (b"[1]", "not_json"),
        (b"{}", "no_choices"),
        (b'{"choices": []}', "no_choices"),
        (b'{"choices": null}', "no_choices"),
        (b'{"choices": ["text"]}', "no_choices"),
        (b'{"choices": [{"text": "a"}, {"text": "b"}]}', "wrong_count"),
        (b'{"choices": [{"text": null}]}', "no_content"),
        (b'{"choices": [{"text": ["a"]}]}', "no_content"),
        (b'{"choices": [{"message": {"content": "a"}}]}', "no_content"),
        (b'{"choices": [{"text": "a", "finish_reason": "content_filter"}]}', "filtered"),
        (b'{"choices": [{"text": "a", "finish_reason": "abort"}]}', "aborted"),
    ],
)
def test_what_is_no_answer(answer: bytes, kind: str) -> None:
    failure = read_answer(answer, "completions", 9)
    assert isinstance(failure, Failure)
    assert failure.kind == kind


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (301, "", "redirected"),
        (204, "", "server_error"),
        (400, "This model's maximum context length is 2048 tokens.", "context_length"),
        (400, "the request exceeds the available context size", "context_length"),
        (400, "unknown field", "bad_request"),
        (401, "no", "refused"),
        (403, "no", "refused"),
        (404, "no model", "not_there"),
        (408, "", "timeout"),
        (413, "", "context_length"),
        (422, "prompt is too long", "context_length"),
        (429, "", "rate_limited"),
        (500, "", "server_error"),
        (503, "", "server_error"),
        (599, "", "server_error"),
    ],
)
def test_status(status: int, message: str, kind: str) -> None:
    failure = read_refusal(status, json.dumps({"error": {"message": message}}).encode())
    assert failure.kind == kind
    assert failure.line == f"{kind}: HTTP {status}"


@pytest.mark.parametrize(
    "wrap", [{"error": {"message": "why"}}, {"error": "why"}, {"message": "why"}, {"detail": "why"}]
)
def test_words_of_several_servers(wrap: dict[str, object]) -> None:
    assert read_refusal(400, json.dumps(wrap).encode()).words == "why"


def test_words_are_withheld_if_they_echo_the_key_or_the_page() -> None:
    def said(message: str) -> str:
        return read_refusal(
            400,
            json.dumps({"error": {"message": message}}).encode(),
            key="sk-canary-12345",
            prompt="x" * 10 + "a" * 40,
        ).words

    assert said("bad thing") == "bad thing"
    assert said("Incorrect API key: sk-can***45") == ""
    assert said("cannot read " + "a" * 24) == ""
    assert said("one\nline\x00\u2028of many " + "b" * 999).startswith("one line of many b")
    assert len(said("b" * 999)) == 200
    assert read_refusal(400, b'{"error": "key EMPTY"}', key="EMPTY").words == ""


def test_a_redirect_names_only_the_host() -> None:
    assert read_refusal(302, b"", location="https://u:p@evil.example/x?y=z").words == "go to evil.example"
    assert read_refusal(302, b"", location="http://[bad").words == "go to an unreadable address"
    assert read_refusal(307, b"", location="/v1/").words == "go to another path of the same host"


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()), st.sampled_from([200, 302, 400, 500])
)
def test_nothing_a_server_says_raises(answer: bytes, status: int) -> None:
    for api in ("completions", "chat"):
        outcome = read_answer(answer, api, 9)
        assert isinstance(outcome, Draft) or outcome.kind in FAILURES
    failure = read_refusal(status, answer, location=answer.decode("latin-1"), key="k" * 9, prompt="p" * 99)
    assert "\n" not in failure.report
