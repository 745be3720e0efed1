"""What the language model of a run cost, in one line: tokens, FLOPs, and what a billion tokens would take.

FLOPs are 2 N (tokens read + written), N all parameters of the model, line markers and template included (the ProX
paper's formula, which leaves these two out). They are known only of a model that ran in the run's own processes: a
server does not say how large its model is.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

FLOPS_UNIT = 1_000_000
"""Accounts keep `model_megaflops`: whole numbers that stay below 2**63 for any run."""


def megaflops(num_parameters: int, num_tokens: int) -> int:
    """Return the cost of reading and writing so many tokens, as accounts keep it."""
    return round(2 * num_parameters * num_tokens / FLOPS_UNIT)


@dataclass(frozen=True, slots=True)
class ModelCost:
    """Tokens and FLOPs of all language models of a run."""

    prompt_tokens: int
    output_tokens: int
    flops: int
    """0: not known."""

    @classmethod
    def of(cls, totals: Iterable[Mapping[str, int]]) -> Self:
        """Add up the totals of a run's stages."""
        all_of_them = list(totals)
        prompt, output, flops = (
            sum(one.get(name, 0) for one in all_of_them)
            for name in ("prompt_tokens", "output_tokens", "model_megaflops")
        )
        return cls(prompt, output, flops * FLOPS_UNIT)

    def as_dict(self, seconds: float | None = None) -> dict[str, Any]:
        """Return the figures as JSON-ready values; rates only of a run of known `seconds`, None where unknown."""
        billion = self.prompt_tokens / 1e9
        return {
            "model_flops": self.flops or None,
            "flops_per_billion_tokens": self.flops / billion if self.flops and billion else None,
            "prompt_tokens_per_s": self.prompt_tokens / seconds if seconds else None,
            "output_tokens_per_s": self.output_tokens / seconds if seconds else None,
            "hours_per_billion_tokens": seconds / 3600 / billion if seconds and billion else None,
        }

    def words(self, seconds: float | None = None) -> str:
        """Return the figures in words; empty where no language model ran.

        >>> ModelCost(2_000_000, 50_000, 553_500_000_000_000).words(1000)
        '5.54e+14 FLOPs, 2,000 tokens a second read, 50 written; a billion tokens read: 2.77e+17 FLOPs, 139 hours'
        """
        if not self.prompt_tokens:
            return ""
        rates = self.as_dict(seconds)
        now = [f"{self.flops:.3g} FLOPs"] if self.flops else []
        billion = [f"{rates['flops_per_billion_tokens']:.3g} FLOPs"] if self.flops else []
        if seconds:
            now += [f"{rates['prompt_tokens_per_s']:,.0f} tokens a second read"]
            now += [f"{rates['output_tokens_per_s']:,.0f} written"]
            billion += [f"{rates['hours_per_billion_tokens']:,.3g} hours"]
        return ", ".join(now) + (f"; a billion tokens read: {', '.join(billion)}" if billion else "")


NO_MODEL = ModelCost(0, 0, 0)
