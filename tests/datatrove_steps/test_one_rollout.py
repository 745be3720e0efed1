"""One rollout after another, each given the answers that its requests get; and what is refused before any."""

import asyncio
import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from datatrove.data import Document
from datatrove.pipeline.inference.run_inference import InferenceConfig
from datatrove.pipeline.inference.types import InferenceError, InferenceResult, ServerError
from datatrove.pipeline.writers import JsonlWriter

from datatrove_steps import inference
from datatrove_steps.inference import RefineRunner, check_imports
from datatrove_steps.rollouts import RefineRollout
from hf_curation.refiners.server import RequestForm, ServerDown, ServerPolicy, ServerRefused, TooManyFailures


@pytest.fixture
def policy() -> ServerPolicy:
    return ServerPolicy(retries=3, backoff_s=0.01, max_backoff_s=0.02, deadline_s=20.0, failures_allowed=3)


def generator_of(*outcomes: Any) -> Any:
    """A `generate` that gives these outcomes in turn, then the last for ever."""
    left = list(outcomes)

    async def generate(payload: dict[str, Any]) -> InferenceResult:
        payload["model"] = "tiny"
        outcome = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(outcome, BaseException):
            raise outcome
        return InferenceResult(outcome, "stop", {})

    return generate


@pytest.fixture
def rollout(policy: ServerPolicy) -> RefineRollout:
    return RefineRollout(RequestForm("prox-web-chunk"), policy=policy)


def one(rollout: RefineRollout, text: Any, *outcomes: Any) -> tuple[Any, Document]:
    document = Document(text=text, id="a")
    return asyncio.run(rollout(document, generator_of(*outcomes), some_shared_thing=1)), document


@pytest.mark.parametrize("text", ["", "  \n\t", "\x00", "word " * 20_000, "\u2028\x0c\r\r\n", "اللغة", "x" * 100_000])
def test_poison_documents_go_through(text: str, rollout: RefineRollout) -> None:
    result, document = one(rollout, text, "keep_chunk()")
    assert document.text == text
    assert result["status"] in ("kept", "fallback")
    rollout.account.check("chunk")


@pytest.mark.parametrize(
    ("text", "reason"), [("a\ud800", "lone_surrogate"), (12, "text_not_string"), (None, "text_not_string")]
)
def test_what_no_writer_could_write_is_quarantined(text: Any, reason: str, rollout: RefineRollout) -> None:
    assert one(rollout, text, "keep_chunk()")[0] is None
    assert rollout.account.quarantined == {reason: 1}
    rollout.account.check("chunk")


def test_a_bug_keeps_the_text_and_says_so(rollout: RefineRollout, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RequestForm, "windows", lambda self, text: 1 / 0)
    result, document = one(rollout, "Whales sing.", "keep_chunk()")
    assert result["status"] == "fallback"
    assert document.text == "Whales sing."
    assert document.metadata["refine_fallbacks"] == ["refiner_failed"]
    assert len(document.metadata["original_sha256"]) == 64


@pytest.mark.parametrize(
    ("outcome", "error"),
    [
        (ServerError("engine died"), ServerError),
        (asyncio.CancelledError(), asyncio.CancelledError),
        (InferenceError(None, "Failed to process request after 6 attempts"), ServerDown),
        (InferenceError(None, "Error http status 401"), ServerRefused),
        (InferenceError(None, "Error code: 404 - {'error': 'no model'}"), ServerRefused),
    ],
)
def test_what_ends_the_task(outcome: BaseException, error: type[BaseException], rollout: RefineRollout) -> None:
    with pytest.raises(error):
        one(rollout, "Whales sing.", outcome)


def test_too_many_failures_end_the_task(rollout: RefineRollout) -> None:
    bad = InferenceError(None, 'Got BadRequestError from server: {"error": {"message": "no grammar"}}')
    for _ in range(3):
        one(rollout, "Whales sing.", bad)
    with pytest.raises(TooManyFailures, match=r"bad_request 4.*no grammar"):
        one(rollout, "Whales sing.", bad)
    assert rollout.stats.requests == 4


@pytest.mark.parametrize(
    "said",
    [
        'Got BadRequestError from server: {"message": "maximum context length is 2048"}',
        "Error code: 400 - {'message': 'This model\\'s maximum context length is 2048 tokens'}",
    ],
)
def test_a_prompt_that_is_too_long_is_told_apart(said: str, rollout: RefineRollout) -> None:
    one(rollout, "Whales sing.", InferenceError(None, said))
    assert rollout.stats.failed == {"context_length": 1}


def test_a_request_that_hangs_is_given_up(policy: ServerPolicy) -> None:
    rollout = RefineRollout(
        RequestForm("prox-web-chunk"), policy=ServerPolicy(deadline_s=0.02, retries=1, backoff_s=0.01)
    )

    async def hang(payload: dict[str, Any]) -> InferenceResult:
        await asyncio.sleep(60)
        raise AssertionError

    document = Document(text="Whales sing.", id="a")
    asyncio.run(rollout(document, hang))
    assert rollout.stats.failed == {"timeout": 1}
    assert document.metadata["refine_status"] == "fallback"


def test_page_text_never_reaches_an_error(rollout: RefineRollout) -> None:
    text = "A secret diary that nobody should find in a log file."
    bad = InferenceError(None, json.dumps({"x": f"Got BadRequestError from server: {text}"}), payload={"prompt": text})
    for _ in range(3):
        one(rollout, text, bad)
    with pytest.raises(TooManyFailures) as caught:
        one(rollout, text, bad)
    assert "diary" not in str(caught.value)


def test_every_attempt_asks_with_an_equal_payload(rollout: RefineRollout) -> None:
    """The runner's cache is keyed by the payload, into which the runner writes."""
    seen: list[dict[str, Any]] = []

    async def generate(payload: dict[str, Any]) -> InferenceResult:
        seen.append(dict(payload))
        payload.clear()
        if len(seen) < 3:
            raise InferenceError(None, "Error http status 503")
        return InferenceResult("keep_chunk()", "stop", {})

    asyncio.run(rollout(Document(text="Whales sing.", id="a"), generate))
    assert seen[0] == seen[1] == seen[2]
    assert seen[0]["prompt"]


def test_rollouts_travel_to_workers(rollout: RefineRollout) -> None:
    one(rollout, "Whales sing.", "keep_chunk()")
    for twin in (pickle.loads(pickle.dumps(rollout)), copy.deepcopy(rollout)):  # noqa: S301
        assert one(twin, "Whales sing.", "keep_chunk()")[0]["status"] == "kept"


def test_missing_packages_are_named_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = {"httpx", "aiosqlite"}
    monkeypatch.setattr(inference, "find_spec", lambda name: None if name in gone else name)
    with pytest.raises(ImportError, match=r"needs httpx: pip install 'hf-curation\[inference\]'.*'xxhash<4'"):
        check_imports()
    with pytest.raises(ImportError, match="httpx, aiosqlite"):
        check_imports(with_checkpoints=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"use_chat": True}, r"use_chat=False"),
        ({"rollouts_per_document": 2}, "refined once"),
        ({"api_key": "sk-canary-1"}, "OPENAI_API_KEY"),
    ],
)
def test_a_configuration_that_cannot_work_is_refused(
    changes: dict[str, Any], says: str, rollout: RefineRollout, tmp_path: Path
) -> None:
    config = InferenceConfig(**({"server_type": "endpoint", "model_name_or_path": "m", "use_chat": False} | changes))
    with pytest.raises(ValueError, match=says) as caught:
        RefineRunner(rollout, config, JsonlWriter(str(tmp_path)))
    assert "canary" not in str(caught.value)
