"""What can go wrong with a server, as a closed set, and what follows from each.

Three things can follow. *Retry*: the same request may succeed later. *Final*: it never will, but others may; the
window ends as a draft with `finish_reason="error"` and is counted. *Abort*: no request can succeed (wrong key, wrong
model, wrong address), so the run ends at once.

A second question decides what retrying may cost: does the failure speak against the server (`sick`) or against this
one request? Failures of the first sort open the circuit, and they are held against a window only if the server
demonstrably answered somebody else meanwhile. That is what keeps a dead server from turning a whole shard into
fallbacks: either pages are answered, or the run fails.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from hf_curation.refiners.base import RefinerUnusable


class Verdict(Enum):
    """What follows from a failed request."""

    RETRY = "retry"
    FINAL = "final"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of failure."""

    meaning: str
    verdict: Verdict
    sick: bool = False
    """The server, or the way to it, is in trouble; little is said about this request."""
    counts: bool = True
    """Whether it uses up one of the window's attempts; if not, only its time counts."""


FAILURES: Final[dict[str, Kind]] = {
    "unreachable": Kind("no connection: refused, reset, or cut before the answer was whole", Verdict.RETRY, sick=True),
    "timeout": Kind("no whole answer in time", Verdict.RETRY, sick=True),
    "rate_limited": Kind("too many requests, or a quota spent", Verdict.RETRY, sick=True, counts=False),
    "server_error": Kind("the server, or the gateway before it, failed", Verdict.RETRY, sick=True),
    "not_json": Kind("the body is no JSON object; a proxy's page?", Verdict.RETRY, sick=True),
    "no_choices": Kind("an answer without choices", Verdict.RETRY),
    "wrong_count": Kind("an answer with more than the one choice that was asked for", Verdict.RETRY),
    "no_content": Kind("an answer whose content is null or not a string", Verdict.RETRY),
    "aborted": Kind("the server broke off its own generation", Verdict.RETRY),
    "too_large": Kind("an answer beyond the cap on its size", Verdict.FINAL),
    "filtered": Kind("the server withheld the answer (content filter)", Verdict.FINAL),
    "context_length": Kind("the prompt does not fit the model's context", Verdict.FINAL),
    "bad_request": Kind("the server does not accept this request", Verdict.FINAL),
    "refused": Kind("the key is missing or wrong", Verdict.ABORT),
    "not_there": Kind("no such model, or no such address", Verdict.ABORT),
    "redirected": Kind("redirects are not followed: the key must not travel", Verdict.ABORT),
    "untrusted": Kind("the server's TLS certificate does not verify", Verdict.ABORT),
}
"""Kind -> what it means and what follows. Statistics are keyed by these words: add to them, never rename."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed request."""

    kind: str
    detail: str = ""
    """Ours, never the server's words: numbers and exception names only. May go into a draft."""
    words: str = ""
    """What the server said, shortened, without the key and without page text. For the operator, never for a draft."""
    retry_after_s: float | None = None

    def __post_init__(self) -> None:
        assert self.kind in FAILURES, self.kind

    @property
    def line(self) -> str:
        """One line for `Draft.error`."""
        return f"{self.kind}: {self.detail}" if self.detail else self.kind

    @property
    def report(self) -> str:
        """One line for the person who runs the job."""
        return f"{self.line} ({FAILURES[self.kind].meaning})" + (f"; it said: {self.words}" if self.words else "")


class ServerFailure(RefinerUnusable, ConnectionError):
    """The run cannot go on with this server. An `OSError`, so that commands print it as one line."""


class ServerDown(ServerFailure):
    """Nobody was answered for `give_up_s`; start the server and run the same command again."""


class ServerRefused(ServerFailure):
    """No request can succeed: wrong key, model, address or certificate."""


class KeyUnusable(ServerFailure, ValueError):
    """The environment variable for the key is unset, or holds what cannot be a key."""


class TooManyFailures(ServerFailure):
    """More windows ended without an answer than the policy allows."""
