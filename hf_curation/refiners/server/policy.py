"""How patient to be with a server: one object, so that a run's manifest can state it and a test can shorten it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerPolicy:
    """Concurrency, patience and the limits past which a run fails instead of keeping pages unrefined.

    Raises:
        ValueError: if a value is out of its range.
    """

    max_concurrency: int = 32
    """Requests in flight at once. The one dial for speed: a vLLM server wants hundreds, a laptop eight."""
    timeout_s: float = 120.0
    """Longest wait for one whole answer, first byte to last: a slow drip of bytes does not extend it."""
    deadline_s: float = 600.0
    """No new attempt for a window that has used so much: its attempts and the pauses between them. Waiting for the
    server to come back, or for a free slot, does not count."""
    retries: int = 6
    """Further attempts for one window after its first."""
    backoff_s: float = 0.5
    """First pause between two attempts is drawn from 0 to this; it doubles with each attempt (full jitter)."""
    max_backoff_s: float = 30.0
    """Longest such pause, and the longest time that an open circuit waits between two probes."""
    retry_after_cap_s: float = 120.0
    """A `Retry-After` longer than this is shortened to it: a server may not park a run for a day."""
    breaker_failures: int = 10
    """So many failures in a row, over all requests, open the circuit: one probe at a time until the server answers."""
    give_up_s: float = 900.0
    """A server that has answered nobody for so long is given up: the run fails with `ServerDown`."""
    max_failed_fraction: float = 0.05
    """Share of windows that may end without an answer before the run fails with `TooManyFailures`."""
    failures_allowed: int = 10
    """So many failed windows are always allowed, whatever the share: a short run is not ended by one hostile page."""
    seed: int = 0
    """Of the jitter."""

    def __post_init__(self) -> None:
        for name in ("timeout_s", "deadline_s", "give_up_s", "retry_after_cap_s", "max_backoff_s", "backoff_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        for name, least in (("max_concurrency", 1), ("breaker_failures", 1), ("retries", 0), ("failures_allowed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if not 0 <= self.max_failed_fraction <= 1:
            raise ValueError(f"max_failed_fraction must be in [0, 1], got {self.max_failed_fraction}")
