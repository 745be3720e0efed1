"""One window's request, from the first attempt to a draft: the transport under `ServerRefiner`.

A request is sent until it is answered, is hopeless (`Verdict.FINAL`), or has spent its attempts or its time *while the
server lived*: a sick failure is held against a window only if somebody was answered since the window's attempt before,
or if the server lists its models when asked right after. Without that condition a server that dies in mid-run would
cost every page in flight its refinement; with it, requests wait behind the circuit breaker, and after `give_up_s` the
run fails with `ServerDown`. And a page that makes the server fail each time costs only itself, not the run.
"""

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from hf_curation.refiners.base import Draft
from hf_curation.refiners.server.answers import Api, read_answer, read_refusal
from hf_curation.refiners.server.connection import MAX_ANSWER_BYTES, is_untrusted, open_http, read_capped
from hf_curation.refiners.server.failures import FAILURES, Failure, ServerDown, ServerRefused, Verdict
from hf_curation.refiners.server.form import prompt_text
from hf_curation.refiners.server.loop import gather_all
from hf_curation.refiners.server.pacing import Breaker, backoff_s, parse_retry_after
from hf_curation.refiners.server.policy import ServerPolicy
from hf_curation.refiners.server.stats import ServerStats

_PATHS: dict[Api, str] = {"completions": "/completions", "chat": "/chat/completions"}
_HEALTH_S = 5.0
_SLICE_S = 0.25
"""A request that waits for the circuit looks again so often, so that a server that is back is busy at once."""


@dataclass(slots=True)
class _Request:
    payload: dict[str, Any] = field(repr=False)
    rng: random.Random = field(repr=False)
    attempts: int = 0
    counted: int = 0
    """Attempts held against the window."""
    spent_s: float = 0.0
    """Time held against the window."""
    started: float = float("-inf")
    """When its latest attempt began."""
    fair_since: float = float("-inf")
    """When the attempt before began; an answer to anybody since then makes a failure fair."""
    is_fair: bool = False
    """Whether the latest failure is held against the window."""


class ServerClient:
    """A pool of connections to one server, with one breaker; lives on one event loop.

    Raises:
        ImportError: if `httpx` is missing.
        KeyUnusable: if the environment variable for the key is unset or holds something that cannot be a key.
    """

    def __init__(
        self, base_url: str, api: Api, *, policy: ServerPolicy, stats: ServerStats, api_key_env: str | None
    ) -> None:
        self._base_url = base_url
        self._api = api
        self._policy = policy
        self._stats = stats
        self._http = open_http(base_url, policy, api_key_env)
        self._breaker = Breaker(policy)
        self._slots = asyncio.Semaphore(policy.max_concurrency)
        self._num_batches = 0

    async def ask_all(self, payloads: Sequence[dict[str, Any]]) -> list[Draft]:
        """Return one draft per payload, in order, however the answers come.

        Raises:
            ServerFailure: if the run cannot go on; requests in flight are cancelled first.
        """
        self._num_batches += 1
        seed, first = self._policy.seed, self._stats.windows
        requests = [_Request(p, random.Random(f"{seed}:{i}")) for i, p in enumerate(payloads, first)]  # noqa: S311
        try:
            return await gather_all(self._ask(request) for request in requests)
        finally:
            self._num_batches -= 1
            if not self._num_batches:
                self._breaker.forget()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _ask(self, request: _Request) -> Draft:
        while True:
            async with self._slots:
                while (wait_s := self._breaker.admit(time.monotonic())) > 0:
                    await asyncio.sleep(min(wait_s, _SLICE_S))
                outcome = await self._attempt(request)
            if isinstance(outcome, Draft):
                return self._stats.finished(outcome)
            if self._is_over(request, outcome):
                return self._stats.gave_up(outcome, self._policy, self._base_url)
            pause_s = backoff_s(request.attempts, self._policy, request.rng)
            request.spent_s += pause_s * request.is_fair
            await asyncio.sleep(pause_s)

    async def _attempt(self, request: _Request) -> Draft | Failure:
        """Send once; tell breaker and statistics what came of it."""
        now = time.monotonic()
        request.fair_since = request.started if request.attempts else now
        request.started = now
        request.attempts += 1
        self._stats.requests += 1
        self._stats.retries += request.attempts > 1
        try:
            outcome = await self._exchange(request.payload)
        except asyncio.CancelledError:
            self._breaker.dropped(request.started)
            raise
        if isinstance(outcome, Draft):
            self._breaker.answered(time.monotonic())
        else:
            await self._record(request, outcome)
        return outcome

    async def _record(self, request: _Request, failure: Failure) -> None:
        """Count a failed attempt; raise if the run cannot go on."""
        now = time.monotonic()
        kind = FAILURES[failure.kind]
        self._stats.failures[failure.kind] += 1
        if kind.verdict is Verdict.ABORT:
            raise ServerRefused(f"{self._base_url} cannot serve this run: {failure.report}")
        if kind.sick:
            self._breaker.failed(now, started=request.started, retry_after_s=failure.retry_after_s)
            self._stats.circuit_opened = self._breaker.num_opened
            if kind.counts and self._breaker.last_life < request.fair_since and await self._lists_models():
                self._breaker.lives(time.monotonic())
            if self._breaker.sick_for_s(now) >= self._policy.give_up_s:
                raise ServerDown(
                    f"{self._base_url} has answered nobody for {self._policy.give_up_s:g} s, last {failure.report}; "
                    "start the server, then run the same command again: nothing was kept unrefined"
                )
        else:
            self._breaker.answered(now)
        request.is_fair = self._breaker.last_life >= request.fair_since
        request.counted += kind.counts and request.is_fair
        request.spent_s += (now - request.started) * request.is_fair

    def _is_over(self, request: _Request, failure: Failure) -> bool:
        """Return whether the window ends without an answer."""
        if FAILURES[failure.kind].verdict is Verdict.FINAL:
            return True
        return request.counted > self._policy.retries or request.spent_s >= self._policy.deadline_s

    async def _lists_models(self) -> bool:
        """Ask for the list of models: any answer that is not a gateway's excuse means that the server lives.

        A 500 does: `transformers serve` gives it where there is no cache folder to list, and serves all the same.
        """
        import httpx  # noqa: PLC0415

        limit_s = min(self._policy.timeout_s, _HEALTH_S)
        try:
            async with asyncio.timeout(limit_s), self._http.stream("GET", "/models") as response:
                return response.status_code not in (429, 502, 503, 504)
        except (TimeoutError, httpx.HTTPError, OSError):
            return False

    async def _exchange(self, payload: dict[str, Any]) -> Draft | Failure:
        """Send one request and read its response; every way in which that can fail becomes a `Failure`."""
        import httpx  # noqa: PLC0415

        try:
            async with (
                asyncio.timeout(self._policy.timeout_s),
                self._http.stream("POST", _PATHS[self._api], content=orjson.dumps(payload)) as response,
            ):
                body = await read_capped(response)
        except (TimeoutError, httpx.TimeoutException):
            return Failure("timeout", f"{self._policy.timeout_s:g} s")
        except (httpx.HTTPError, OSError) as error:
            return Failure("untrusted" if is_untrusted(error) else "unreachable", type(error).__name__)
        if body is None:
            return Failure("too_large", f"over {MAX_ANSWER_BYTES} bytes")
        if response.status_code == 200:
            return read_answer(body, self._api, payload.get("max_tokens"))
        return read_refusal(
            response.status_code,
            body,
            location=response.headers.get("location"),
            retry_after_s=parse_retry_after(response.headers.get("retry-after"), self._policy.retry_after_cap_s),
            key=self._http.headers.get("authorization", "").removeprefix("Bearer "),
            prompt=prompt_text(payload),
        )
