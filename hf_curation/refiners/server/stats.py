"""What a refiner asked of its server and what came of it, in numbers only."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any


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

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers, ready for JSON."""
        return {**asdict(self), "failed": dict(self.failed), "failures": dict(self.failures)}
