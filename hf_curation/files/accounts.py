"""Where every document went: the accounts behind the conservation law.

`documents in = documents out + dropped by reason + quarantined by reason`, for every stage of a rank, for a rank as a
whole, and for the sum over all ranks. A rank is not published before its accounts balance.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Self


class ConservationError(RuntimeError):
    """Documents appeared or vanished: a bug in a step, never the user's mistake."""


@dataclass(slots=True, kw_only=True)
class StageAccount:
    """What one stage of a pipeline did to the documents of one rank, or of a whole run."""

    num_in: int = 0
    num_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Documents left out on purpose, by reason."""
    quarantined: Counter[str] = field(default_factory=Counter)
    """Documents or records that could not be handled, by reason."""
    status: Counter[str] = field(default_factory=Counter)
    """Documents that went on, by their `refine_status`."""
    fallbacks: Counter[str] = field(default_factory=Counter)
    """Chunks or documents that kept their text, by key of `FALLBACKS`."""
    rejected: Counter[str] = field(default_factory=Counter)
    """Calls that were not executed, by key of `REASONS`."""
    totals: Counter[str] = field(default_factory=Counter)
    """Sums: `chars_in`, `chars_out`, `chars_removed`, `lines_removed`, `calls_applied`, `output_tokens`, ..."""

    @property
    def num_dropped(self) -> int:
        """Documents left out on purpose."""
        return self.dropped.total()

    @property
    def num_quarantined(self) -> int:
        """Documents or records set aside."""
        return self.quarantined.total()

    def check(self, name: str) -> None:
        """Check the conservation law for documents and, where they are counted, for characters.

        Raises:
            ConservationError: if it does not hold.
        """
        if self.num_in != self.num_out + self.num_dropped + self.num_quarantined:
            raise ConservationError(
                f"{name}: {self.num_in} documents in, but {self.num_out} out + {self.num_dropped} dropped "
                f"+ {self.num_quarantined} quarantined"
            )
        gone = sum(self.totals[f"chars_{where}"] for where in ("out", "removed", "dropped", "quarantined"))
        if "chars_in" in self.totals and self.totals["chars_in"] != gone:
            raise ConservationError(f"{name}: {self.totals['chars_in']} characters in, {gone} accounted for")

    def add(self, other: Self) -> None:
        """Add the figures of another rank's account of the same stage."""
        self.num_in += other.num_in
        self.num_out += other.num_out
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))

    def to_dict(self) -> dict[str, Any]:
        """Return the account as plain data; counts of zero are left out, so that equal accounts are equal bytes."""
        counters = {name: {k: n for k, n in getattr(self, name).items() if n} for name in _COUNTERS}
        return {"num_in": self.num_in, "num_out": self.num_out, **counters}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Return the account that `to_dict` wrote."""
        counters = {name: Counter(data[name]) for name in _COUNTERS}
        return cls(num_in=data["num_in"], num_out=data["num_out"], **counters)


_COUNTERS = ("dropped", "quarantined", "status", "fallbacks", "rejected", "totals")


def check_chain(stages: dict[str, StageAccount]) -> None:
    """Check the law for every stage, and that nothing got lost or was added between one stage and the next.

    Raises:
        ConservationError: naming the place.
    """
    before: tuple[str, int] | None = None
    for name, stage in stages.items():
        stage.check(name)
        if before is not None and before[1] != stage.num_in:
            raise ConservationError(f"{before[1]} documents left {before[0]!r} and {stage.num_in} came to {name!r}")
        before = name, stage.num_out


def add_stages(ranks: Iterable[dict[str, StageAccount]]) -> dict[str, StageAccount]:
    """Return the sums over ranks, stage by stage, in the order of the first rank."""
    sums: dict[str, StageAccount] = {}
    for stages in ranks:
        for name, stage in stages.items():
            sums.setdefault(name, StageAccount()).add(stage)
    return sums
