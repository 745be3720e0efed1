"""When documents carry their metadata: a pure function of the optimizer step and of the document's id.

MeCo (https://huggingface.co/papers/2501.01956) conditions 90 % of the run and cools down without metadata for the
rest. Its own ablation shows that mixing 90 % conditioned with 10 % plain documents throughout gives most of the gain
and leaves every checkpoint usable; both are schedules here.

Nothing is switched while training: DataLoader workers hold copies of a dataset and run ahead of the optimizer, so a
flag that a callback flips arrives late or never. The phase follows from the position in the data order.
"""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

_SCALE = 1 << 64


class Phase(StrEnum):
    """The two parts of a run."""

    CONDITIONED = "conditioned"
    COOLDOWN = "cooldown"


class ScheduleKind(StrEnum):
    """How conditioned documents are spread over a run."""

    COOLDOWN = "cooldown"
    """Every document conditioned, then none: the paper."""
    MIX = "mix"
    """Each document conditioned with probability `probability`, throughout."""
    MIX_THEN_COOLDOWN = "mix_then_cooldown"
    """Mixed, then no document conditioned."""
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Which documents of a run are conditioned."""

    kind: ScheduleKind = ScheduleKind.COOLDOWN
    cooldown_fraction: float = 0.1
    """Share of optimizer steps at the end without metadata, in [0, 1]; the paper's 0.1. Unused by `mix`, `always` and
    `never`."""
    probability: float = 0.9
    """Share of documents conditioned in a mixed phase, in [0, 1]."""
    seed: int = 0
    """Of the draw in a mixed phase."""

    def __post_init__(self) -> None:
        if self.kind not in set(ScheduleKind):
            raise ValueError(f"schedule must be one of {', '.join(ScheduleKind)}, got {self.kind!r}")
        for name in ("cooldown_fraction", "probability"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")

    @property
    def has_cooldown(self) -> bool:
        """Whether the run ends with a phase without metadata."""
        return self.kind in (ScheduleKind.COOLDOWN, ScheduleKind.MIX_THEN_COOLDOWN)

    def switch_step(self, max_steps: int) -> int:
        """Return the first optimizer step, 0-based, of the cooldown; `max_steps` when there is none."""
        return round(max_steps * (1 - self.cooldown_fraction)) if self.has_cooldown else max_steps

    def phase_at(self, step: int, max_steps: int) -> Phase:
        """Return the phase of `step`, 0-based."""
        return Phase.COOLDOWN if step >= self.switch_step(max_steps) else Phase.CONDITIONED

    def is_mixed(self, phase: Phase) -> bool:
        """Tell whether documents of this phase differ in whether they carry metadata."""
        return phase is Phase.CONDITIONED and self.kind in (ScheduleKind.MIX, ScheduleKind.MIX_THEN_COOLDOWN)

    def is_conditioned(self, phase: Phase, document_id: str) -> bool:
        """Tell whether a document of this phase carries its metadata.

        The same document gets the same answer in every epoch, on every rank, in every packing.
        """
        if phase is Phase.COOLDOWN or self.kind == ScheduleKind.NEVER:
            return False
        if self.kind in (ScheduleKind.COOLDOWN, ScheduleKind.ALWAYS):
            return True
        digest = blake2b(document_id.encode("utf-8", "surrogatepass"), digest_size=8, key=b"%d" % self.seed).digest()
        return int.from_bytes(digest, "big") < self.probability * _SCALE
