"""What can be chosen when a tokenizer is adapted, and how the paper is read where it leaves a choice.

The granular-sampling paper (https://huggingface.co/papers/2409.14705) merges a vocabulary learned on task text into
Llama 3's and removes tokens step by step so that H_v(t) - H_v(t-1) is least. What it leaves open, and what we take:

- "|v(t)| = 10k, t = 10": ten removals of 10,000 from the union, down to `final_size`, by default the size of the base,
  so that compared models keep one size; with 100,000 tokens added that comes out even. The other reading, a final size
  of 10,000, is `final_size=10_000, steps=22`; VOLT's, sizes of 10k to 100k of which one is chosen, is `grid`.
- l_v averages over the types that the target uses: see `utility` for the figures. All three readings are reported.
- The sign: VOLT's t grows a vocabulary, and this t shrinks it, so each step removes what raises H_v least.
- The task vocabulary is learned by continued BPE, in words first and then across spaces: see `learn`.
- When to stop: by the schedule. `stop_at_minimum` is there, with a warning: in one corpus H_v had a minimum on the way
  (.849 of .906 at the start, at 21,200 of 27,200 tokens), in another it only rose.

Task texts are short, so what the schedule removes are mostly tokens that the target never uses, and on the target it
is the added tokens that count. Llama 3 on the training questions of eight benchmarks (32.8 MB): 17,621 tokens learned,
as many removed, none of which occurs by then; 4.64 bytes a token before, 6.27 with the tokens added, 6.27 after the
removal. On 27.7 MB of documentation beside a target of documentation: 4.514, 5.232 and 5.232.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hf_curation.vocabulary.utility import REMOVAL_ORDERS, TOKEN_LENGTHS, RemovalOrder, TokenLength

logger = logging.getLogger(__name__)
VOLT_SIZES = tuple(range(10_000, 100_001, 10_000))
"""VOLT's candidate sizes, for `grid`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptSettings:
    """How to adapt a tokenizer."""

    new_tokens: int = 100_000
    """At most so many tokens are learned; usually `min_count` ends it long before."""
    new_words: int | None = None
    """At most so many of them inside words; None: half of `new_tokens`."""
    min_count: int = 20
    """A pair must occur so often in the target. On 10 MB of documentation 20 gives 928 tokens in words and 3,732
    across."""
    max_words: int = 4
    """Words in a token; 1 learns nothing across spaces."""
    max_chars: int = 32
    """Characters in a token, spaces included."""
    steps: int = 10
    """At most so many removals ..."""
    step: int = 10_000
    """... of so many tokens, with a recount of the target after each."""
    final_size: int | None = None
    """Ids in use at the end, added tokens included; None: as many as the base has."""
    grid: Sequence[int] | None = None
    """Sizes to visit instead of `steps` of `step`. With no `final_size`, the one is taken to which the vocabulary
    grows with the greatest utility, VOLT's -(H_v(t) - H_v(t-1)) / (size(t) - size(t-1))."""
    token_length: TokenLength = "used_types"  # noqa: S105
    """What l_v averages over: `used_types`, `all_types` or `occurrences`."""
    order: RemovalOrder = "utility"
    """Which of the leaves that occur goes first: the one that leaves the lowest H_v, as the paper has it, or the
    rarest. The former costs 27 % more tokens at 32,000 ids and the latter 2 %: see `prune`. Take `frequency` for a
    `final_size` well below the base's."""
    stop_at_minimum: bool = False
    """Stop before the first step that raises H_v."""
    split_special_tokens: bool = True
    """Whether the saved tokenizer takes special tokens in a text as the characters that they are."""

    def __post_init__(self) -> None:
        for name, least in (("new_tokens", 0), ("new_words", 0), ("min_count", 1), ("max_words", 1), ("max_chars", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        for name in ("steps", "step"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.token_length not in TOKEN_LENGTHS:
            raise ValueError(f"token_length must be one of {', '.join(TOKEN_LENGTHS)}, got {self.token_length!r}")
        if self.order not in REMOVAL_ORDERS:
            raise ValueError(f"order must be one of {', '.join(REMOVAL_ORDERS)}, got {self.order!r}")
        if self.grid is not None and (not self.grid or min(self.grid) < 1):
            raise ValueError(f"grid must hold sizes, got {list(self.grid)}; VOLT's are VOLT_SIZES")

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {**asdict(self), "grid": None if self.grid is None else sorted(self.grid)}

    def sizes(self, base_size: int, first_size: int, least_size: int) -> list[int]:
        """Return the sizes to visit after the union, from large to small.

        Args:
            base_size: Ids of the base.
            first_size: Ids of the union.
            least_size: Ids that cannot be removed.

        Raises:
            ValueError: A size cannot be reached.
        """
        last = base_size if self.final_size is None else self.final_size
        wanted = [*(self.grid or ()), *([last] if self.grid is None or self.final_size is not None else [])]
        if min(wanted) < least_size:
            raise ValueError(
                f"no vocabulary of {min(wanted)} ids: {least_size} are bytes and added tokens, which stay"
            )
        if self.final_size is not None and self.final_size > first_size:
            logger.warning(
                f"final_size={self.final_size:,} is more than there are, {first_size:,} ids: none is removed"
            )
        if self.grid is not None:
            floor = min(wanted) if self.final_size is None else self.final_size
            return [size for size in sorted({*wanted}, reverse=True) if floor <= size < first_size]
        self.check_reach(first_size, last)
        return [max(last, first_size - i * self.step) for i in range(1, self.num_steps(first_size, last) + 1)]

    def num_steps(self, first_size: int, last_size: int) -> int:
        """Return how many steps lead from one size to another."""
        return max(0, -(-(first_size - last_size) // self.step))

    def check_reach(self, first_size: int, last_size: int) -> None:
        """Raise a ValueError where the schedule ends before `last_size`."""
        needed = self.num_steps(first_size, last_size)
        if needed > self.steps:
            raise ValueError(
                f"from {first_size:,} to {last_size:,} ids it takes {needed} steps of {self.step:,}, and "
                f"steps={self.steps}; set steps={needed}, or a larger step"
            )
