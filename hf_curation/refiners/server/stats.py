"""What a refiner asked of its server and what came of it, in numbers; and when failures are too many."""

import logging
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from hf_curation.refiners.base import Draft
from hf_curation.refiners.server.failures import Failure, TooManyFailures
from hf_curation.refiners.server.policy import ServerPolicy

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class ServerStats:
    """Counts of one `ServerRefiner` since it was made; `windows == answered + num_failed` always holds."""

    windows: int = 0
    """Windows that came to an end, with an answer or without."""
    answered: int = 0
    """Windows with an answer, those cut at the token limit included."""
    cut: int = 0
    """Answers cut at the token limit."""
    failed: Counter[str] = field(default_factory=Counter)
    """Windows without an answer, by kind of their last failure (`FAILURES`)."""
    requests: int = 0
    """HTTP requests sent."""
    retries: int = 0
    """Requests after the first for the same window."""
    failures: Counter[str] = field(default_factory=Counter)
    """Failed requests by kind."""
    circuit_opened: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    """Tokens as the server counts them; 0 where it does not say."""
    seconds: float = 0.0
    """Time spent in `write`."""

    @property
    def num_failed(self) -> int:
        """Windows without an answer."""
        return sum(self.failed.values())

    def finished(self, draft: Draft) -> Draft:
        """Count a window that was answered."""
        self.windows += 1
        self.answered += 1
        self.cut += draft.finish_reason == "length"
        self.prompt_tokens += draft.prompt_tokens
        self.output_tokens += draft.output_tokens
        return draft

    def gave_up(self, failure: Failure, policy: ServerPolicy, server: str) -> Draft:
        """Count a window that ends without an answer, and return its draft; the first of each kind is logged.

        Raises:
            TooManyFailures: if there are now more of them than `policy` allows.
        """
        self.windows += 1
        self.failed[failure.kind] += 1
        if self.failed[failure.kind] == 1:
            logger.warning("a window got no answer from %s: %s", server, failure.report)
        if self.num_failed > max(policy.failures_allowed, policy.max_failed_fraction * self.windows):
            kinds = ", ".join(f"{kind} {count}" for kind, count in self.failed.most_common())
            raise TooManyFailures(
                f"{self.num_failed} of {self.windows} windows got no answer from {server} ({kinds}), above "
                f"max_failed_fraction={policy.max_failed_fraction:g}; last {failure.report}"
            )
        return Draft("", "error", failure.line)

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers, ready for JSON."""
        return {**asdict(self), "failed": dict(self.failed), "failures": dict(self.failures)}
