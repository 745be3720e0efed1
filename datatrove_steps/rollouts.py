"""Rollouts for datatrove's InferenceRunner: its servers, checkpoints and request cache over the same core.

A rollout does for one document what `RefineDocuments` and `RefineChunks` do for a batch: windows, programs (through
the runner's `generate`), one execution, custody columns. The runner is terminal and writes the document that the
rollout has changed. Two of its habits are answered here:

- it tries a request again only after a connection error; a 429, a 502 or an answer without choices end the request.
  The rollout tries those again, with full jitter;
- an exception in a rollout ends the task. A document that cannot be refined keeps its text as a `fallback`; only a
  server that is gone, or that answers too few windows, ends the task, so that nothing is silently kept.

A document that a rollout leaves out (dropped, or quarantined because no writer could write it) is left out by the
runner, which has no `exclusion_writer`; `keep_dropped=True` has dropped documents written too, marked by their
`refine_status`.
"""

import asyncio
import random
import re
from dataclasses import replace
from itertools import count
from typing import Any, Final

from datatrove.data import Document
from datatrove.pipeline.inference.types import GenerateFunction, InferenceError, InferenceResult, ServerError
from loguru import logger

from datatrove_steps.accounting import count_refined, set_aside
from datatrove_steps.custody import drop_reason, record_custody
from datatrove_steps.documents import why_unsound
from datatrove_steps.quarantine import Quarantine
from hf_curation.files.accounts import StageAccount
from hf_curation.programs.limits import DEFAULT_LIMITS, Limits
from hf_curation.programs.lines import normalize_newlines
from hf_curation.programs.model import EditResult
from hf_curation.refiners.base import Draft, RefinerUnusable, Window
from hf_curation.refiners.prompts import restore
from hf_curation.refiners.refine import Refined, apply_drafts
from hf_curation.refiners.server import RequestForm, ServerDown, ServerPolicy, ServerRefused, ServerStats
from hf_curation.refiners.server.answers import read_refusal, speaks_of_context
from hf_curation.refiners.server.failures import FAILURES, Failure, Verdict
from hf_curation.refiners.server.form import prompt_text
from hf_curation.refiners.server.loop import gather_all
from hf_curation.refiners.server.pacing import backoff_s

_OUT_OF_ATTEMPTS: Final = "Failed to process request after"
_STATUS: Final = re.compile(r"(?:http status|Error code:) ([0-9]{3})")


class RefineRollout:
    """A `rollout_fn` that refines one document; the preset says in which stage.

    >>> rollout = RefineRollout(RequestForm("generic-chunk", constrained="vllm"))
    >>> runner = RefineRunner(rollout, InferenceConfig(...), output_writer)

    It returns a small dictionary for the runner's metadata (`status`, `windows`, tokens), or None for a document that
    is left out.
    """

    def __init__(
        self,
        form: RequestForm,
        *,
        limits: Limits = DEFAULT_LIMITS,
        policy: ServerPolicy | None = None,
        keep_original: bool = False,
        keep_dropped: bool = False,
    ) -> None:
        """Choose what is asked for and how the answers are used.

        Args:
            form: prompt, windows, stage and fields of the requests.
            limits: the guards of execution.
            policy: its retries, pauses and limits on failures; concurrency is the runner's business, and `deadline_s`
                bounds one request with all of the runner's waiting. By default two hours, since a request also waits
                for the runner's server to start.
            keep_original: keep the text as it came in the column `original_text`.
            keep_dropped: write dropped documents too, marked as such.
        """
        self.form = form
        self.limits = limits
        self.policy = policy or ServerPolicy(deadline_s=7200.0)
        self.keep_original = keep_original
        self.keep_dropped = keep_dropped
        self.start(Quarantine(None, form.stage.value, 0))

    def start(self, quarantine: Quarantine) -> None:
        """Open new accounts; the runner calls it for every rank."""
        self.account = StageAccount(quarantined=quarantine.counts)
        self.stats = ServerStats()
        self._quarantine = quarantine

    async def __call__(
        self,
        document: Document,
        generate: GenerateFunction,
        **shared: Any,  # noqa: ANN401 - the runner's context
    ) -> dict[str, Any] | None:
        """Refine one document in place.

        Raises:
            ServerError: the runner's server is gone.
            RefinerUnusable: it cannot be reached, refuses the key or the model, or failed too many windows.
        """
        self.account.num_in += 1
        if reason := why_unsound(document.text):
            set_aside(self._quarantine, reason, document, self.account)
            return None
        try:
            refined = await self._refine(document.text, generate)
        except (ServerError, RefinerUnusable):
            raise
        except Exception as error:
            logger.warning(f"kept unrefined: {document.id!a}: {type(error).__name__}")
            refined = Refined(EditResult(document.text, (), fallbacks=("refiner_failed",)), "")
        return self._settle(document, refined)

    async def _refine(self, text: str, generate: GenerateFunction) -> Refined:
        form = self.form
        windows = form.windows(normalize_newlines(text)) if text.strip() else []
        drafts = await gather_all(self._ask(window, generate) for window in windows)
        return apply_drafts(text, windows, drafts, form.dialect, form.stage, self.limits)

    async def _ask(self, window: Window, generate: GenerateFunction) -> Draft:
        body = self.form.body(window)
        rng = random.Random(f"{self.policy.seed}:{self.stats.requests}")  # noqa: S311 - jitter
        for attempt in count(1):
            self.stats.requests += 1
            self.stats.retries += attempt > 1
            outcome = await self._try(body, generate)
            if isinstance(outcome, Draft):
                return self.stats.finished(outcome)
            self.stats.failures[outcome.kind] += 1
            verdict = FAILURES[outcome.kind].verdict
            if verdict is Verdict.ABORT:
                raise ServerRefused(f"the server cannot serve this run: {outcome.report}")
            if verdict is Verdict.FINAL or attempt > self.policy.retries:
                return self.stats.gave_up(outcome, self.policy, "the runner's server")
            await asyncio.sleep(backoff_s(attempt, self.policy, rng))
        raise AssertionError("unreachable")

    async def _try(self, body: dict[str, Any], generate: GenerateFunction) -> Draft | Failure:
        try:
            async with asyncio.timeout(self.policy.deadline_s):
                # A copy: the runner writes into what it is given, and keys its cache by it.
                return _draft_of(await generate(dict(body)))
        except InferenceError as error:
            return _failure_of(str(error.error), prompt_text(body))
        except TimeoutError:
            return Failure("timeout", f"{self.policy.deadline_s:g} s")

    def _settle(self, document: Document, refined: Refined) -> dict[str, Any] | None:
        reason = drop_reason(document.text, refined)
        record_custody(document.metadata, document.text, refined, self.form.stage, keep_original=self.keep_original)
        count_refined(self.account, document.text, refined, reason)
        if reason:
            document.metadata["filter_reason"] = reason
            if not self.keep_dropped:
                return None
        else:
            document.text = refined.result.text
        return {
            "status": document.metadata["refine_status"],
            "windows": refined.num_windows,
            "prompt_tokens": refined.prompt_tokens,
            "output_tokens": refined.output_tokens,
        }


def _draft_of(result: InferenceResult) -> Draft:
    usage = result.usage or {}
    return Draft(
        restore(result.text),
        "length" if result.finish_reason == "length" else "stop",
        None,
        usage.get("prompt_tokens") or 0,
        usage.get("completion_tokens") or 0,
    )


def _failure_of(said: str, prompt: str) -> Failure:
    """Read the runner's error, which has no fields: only the text tells one from another.

    Raises:
        ServerDown: if the runner could not reach the server in all of its attempts (five minutes).
    """
    if _OUT_OF_ATTEMPTS in said:
        raise ServerDown(f"the server could not be reached: {said}; run the same command again once it is up")
    status = _STATUS.search(said)
    if status is None and "BadRequestError" not in said:
        return Failure("no_choices", "an answer that the runner cannot read")
    failure = read_refusal(int(status[1]) if status else 400, said[said.find("{") :].encode(), prompt=prompt)
    # A client library quotes the server's answer as a Python dictionary, of which `read_refusal` can make nothing.
    return replace(failure, kind="context_length") if _is_about_length(failure, said) else failure


def _is_about_length(failure: Failure, said: str) -> bool:
    return failure.kind == "bad_request" and speaks_of_context(said)
