"""From an HTTP response to a draft, or to one word of `FAILURES`. Pure: no socket, no clock.

Servers differ most where they are wrong: a proxy answers 200 with a page of HTML, a gateway forwards `choices: []`,
a chat endpoint returns `content: null` when the model wrote only reasoning. Everything that is not exactly one choice
with a string in it is a failure with a name.
"""

import re
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import orjson

from hf_curation.refiners.base import Draft
from hf_curation.refiners.server.failures import Failure

Api = Literal["completions", "chat"]

MAX_WORDS: Final = 200
"""Characters of a server's own message that are passed on to the operator."""
_SHARED_WITH_PROMPT: Final = 24
_SHARED_WITH_KEY: Final = 6
"""A server's message with a run of so many characters of the prompt, or of the key, is not passed on."""
_STATUS_KINDS: Final = {
    401: "refused",
    403: "refused",
    404: "not_there",
    405: "not_there",
    408: "timeout",
    413: "context_length",
    425: "server_error",
    429: "rate_limited",
}
_CONTEXT_WORDS: Final = (
    "context length",
    "context_length",
    "context size",
    "context window",
    "too long",
    "too many tok",
)


def read_answer(body: bytes, api: Api, max_tokens: int | None) -> Draft | Failure:
    """Read the body of a response with status 200.

    `finish_reason` becomes `length` where the server says so, or says nothing and the token budget is spent: an answer
    of unknown end must not be taken for a whole one.
    """
    answer = _json_object(body)
    if answer is None:
        return Failure("not_json", f"{len(body)} bytes")
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return Failure("no_choices")
    if len(choices) != 1:
        return Failure("wrong_count", f"{len(choices)} choices")
    choice = choices[0]
    text = choice.get("text") if api == "completions" else _content(choice.get("message"))
    reason = choice.get("finish_reason")
    if reason == "content_filter":
        return Failure("filtered")
    if reason in ("abort", "error"):
        return Failure("aborted")
    if not isinstance(text, str):
        return Failure("no_content")
    usage = answer.get("usage")
    prompt_tokens, output_tokens = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    cut = reason == "length" or (reason is None and max_tokens is not None and output_tokens >= max_tokens)
    return Draft(text, "length" if cut else "stop", None, prompt_tokens, output_tokens)


def read_refusal(
    status: int,
    body: bytes,
    *,
    location: str | None = None,
    retry_after_s: float | None = None,
    key: str = "",
    prompt: str = "",
) -> Failure:
    """Read a response whose status is not 200.

    Args:
        status: the HTTP status.
        body: its body, of any kind.
        location: the `Location` header of a redirect; only its host is passed on.
        retry_after_s: the `Retry-After` header, read.
        key: the API key; words that repeat a piece of it are withheld.
        prompt: what was sent; words that repeat a longer run of it are withheld.
    """
    if 300 <= status < 400:
        return Failure("redirected", f"HTTP {status}", words=f"go to {_host(location)}" if location else "")
    words = _server_words(body)
    kind = _STATUS_KINDS.get(status)
    if kind is None:
        kind = "server_error" if status >= 500 or status < 400 else "bad_request"
    if kind == "bad_request" and speaks_of_context(words):
        kind = "context_length"
    return Failure(
        kind, f"HTTP {status}", words="" if _echoes(words, key, prompt) else words, retry_after_s=retry_after_s
    )


def speaks_of_context(words: str) -> bool:
    """Return whether a server's refusal is about the length of the prompt; there is no code for it on all servers."""
    return any(phrase in words.lower() for phrase in _CONTEXT_WORDS)


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return answer if isinstance(answer, dict) else None


def _content(message: object) -> object:
    return message.get("content") if isinstance(message, dict) else None


def _count(usage: object, name: str) -> int:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _host(location: str) -> str:
    try:
        return urlsplit(location).hostname or "another path of the same host"
    except ValueError:
        return "an unreadable address"


def _server_words(body: bytes) -> str:
    """Return the message of an error body on one line; OpenAI, vLLM, llama.cpp and FastAPI each put it elsewhere."""
    answer = _json_object(body)
    message: object = None
    if answer is not None:
        error = answer.get("error", answer)
        message = error if isinstance(error, str) else None
        if isinstance(error, dict):
            message = error.get("message") or error.get("detail")
    return (
        re.sub(r"[\x00-\x20\x7f-\x9f\u2028\u2029]+", " ", message).strip()[:MAX_WORDS]
        if isinstance(message, str)
        else ""
    )


def _echoes(words: str, key: str, prompt: str) -> bool:
    return _share_a_run(words, key, _SHARED_WITH_KEY) or _share_a_run(words, prompt, _SHARED_WITH_PROMPT)


def _share_a_run(words: str, secret: str, length: int) -> bool:
    length = min(length, len(secret))
    return length > 0 and any(words[i : i + length] in secret for i in range(len(words) - length + 1))
