"""When to send: full-jitter backoff, `Retry-After`, and the circuit breaker. Pure; the clock is an argument.

Full jitter (a pause drawn evenly from 0 to the bound) is what keeps a thousand clients that failed together from
coming back together. The breaker answers a different question, whether to send at all: after `breaker_failures` sick
answers in a row it lets one request at a time through, with pauses that double, until somebody is answered.
"""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from hf_curation.refiners.server.policy import ServerPolicy

POLL_S = 0.1
"""How soon a request that waits behind another's probe looks again."""


def backoff_s(attempt: int, policy: ServerPolicy, rng: random.Random) -> float:
    """Return the pause before the next try, in seconds, after `attempt` (1-based) failed."""
    bound = min(policy.max_backoff_s, policy.backoff_s * 2.0 ** min(attempt - 1, 60))
    return rng.uniform(0.0, bound)


def parse_retry_after(value: str | None, cap_s: float, *, now: datetime | None = None) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, from 0 to `cap_s`; None if it is absent or unreadable.

    Args:
        value: the header: seconds, or an HTTP date.
        cap_s: longest wait.
        now: the present, with its time zone; for tests.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.replace(".", "", 1).isdigit():
        seconds = float(value)
    else:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return None
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        seconds = (when - (now or datetime.now(UTC))).total_seconds()
    return min(max(seconds, 0.0), cap_s)


class Breaker:
    """Whether the server may be asked now; all times are seconds of one monotonic clock.

    Closed: everybody may send. Open, after `breaker_failures` sick answers in a row: nobody, for a pause. Then half
    open: one probe; if it is answered the circuit closes, if not the pause doubles.
    """

    def __init__(self, policy: ServerPolicy) -> None:
        self._policy = policy
        self.num_opened = 0
        self.last_life = float("-inf")
        """When the server last answered anybody."""
        self.forget()

    def forget(self) -> None:
        """Start afresh: an outage is not dated from before a time in which nothing was asked."""
        self._num_failures = 0
        self._num_probes = 0
        self._sick_since: float | None = None
        self._opened_at = float("inf")
        self._not_before = float("-inf")
        self._probing = False

    @property
    def is_open(self) -> bool:
        """Whether the circuit is open or half open."""
        return self._num_failures >= self._policy.breaker_failures

    def sick_for_s(self, now: float) -> float:
        """Return for how long the server has answered nobody; 0 while it is well."""
        return 0.0 if self._sick_since is None else now - self._sick_since

    def admit(self, now: float) -> float:
        """Return 0 if the caller may send now (and, half open, is the probe), else how long to wait before asking."""
        if now < self._not_before:
            return self._not_before - now
        if self.is_open:
            if self._probing:
                return POLL_S
            self._probing = True
        return 0.0

    def answered(self, now: float) -> None:
        """Record that the server answered somebody, well or badly: the circuit closes."""
        self.last_life = now
        self.forget()

    def lives(self, now: float) -> None:
        """Record a sign of life that is no answer: the outage ends, but an open circuit goes on probing."""
        self.last_life = now
        self._sick_since = None

    def failed(self, now: float, *, started: float, retry_after_s: float | None = None) -> None:
        """Record that a request sent at `started` failed in a way that speaks against the server.

        `retry_after_s` holds everybody back, not only the one who was told.
        """
        self._sick_since = now if self._sick_since is None else self._sick_since
        if retry_after_s is not None:
            self._not_before = max(self._not_before, now + retry_after_s)
        if not self.is_open:
            self._num_failures += 1
            if not self.is_open:
                return
            self._opened_at = now
            self.num_opened += 1
        elif started > self._opened_at:
            self._probing = False
            self._num_probes += 1
        else:
            return  # sent before the circuit opened: one of many, and no news
        pause_s = min(self._policy.max_backoff_s, self._policy.backoff_s * 2.0 ** min(self._num_probes, 60))
        self._not_before = max(self._not_before, now + pause_s)

    def dropped(self, started: float) -> None:
        """Record that a request was cancelled: if it was the probe, its place is free."""
        if started > self._opened_at:
            self._probing = False
