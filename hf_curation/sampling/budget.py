"""How much is chosen: tokens or documents, an amount or a share, exactly.

"1 %" of a paper may mean tokens or documents; they differ by the length bias of the choice. A bare share here is of
tokens, since training is paid by the token, and a bare number is refused.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import Final

MAX_AMOUNT: Final = 1 << 60
"""Sums of tokens are 64-bit integers."""

_BUDGET: Final = re.compile(
    r"(?P<number>[0-9][0-9_,]*(?:\.[0-9]+)?(?:e[+-]?[0-9]{1,2})?)\s*(?P<scale>(?:[kmbt](?![a-z]))?)\s*(?P<percent>%?)\s*(?:of\s+)?(?P<unit>[a-z]*)"
)
_SCALES: Final = {"": 0, "k": 3, "m": 6, "b": 9, "t": 12}
_FORMS: Final = "'1%' (of the tokens), '1% documents', '2e9 tokens', '500M tokens' or '5000 documents'"


class Unit(StrEnum):
    """What a budget counts."""

    TOKENS = "tokens"
    DOCUMENTS = "documents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """Documents and tokens."""

    num_documents: int = 0
    """Different ones. Of lanes: those that the lane was the first to take."""
    num_copies: int = 0
    num_tokens: int = 0
    """Of all copies."""

    def of(self, unit: Unit) -> int:
        """Return the amount as a budget counts it."""
        return self.num_tokens if unit is Unit.TOKENS else self.num_copies

    def __add__(self, other: "Amount") -> "Amount":
        """Return both together."""
        return Amount(
            num_documents=self.num_documents + other.num_documents,
            num_copies=self.num_copies + other.num_copies,
            num_tokens=self.num_tokens + other.num_tokens,
        )


@dataclass(frozen=True, slots=True)
class Budget:
    """An amount of tokens or documents, or a share of what may be chosen."""

    unit: Unit
    amount: int | None = None
    share: Fraction | None = None
    """Of the tokens or documents that are not excluded; above 1 with repetition only."""

    def __post_init__(self) -> None:
        assert (self.amount is None) != (self.share is None), self
        if not 0 <= (self.share if self.amount is None else self.amount) <= MAX_AMOUNT:  # type: ignore[operator]
            raise ValueError(f"a budget is at most 2^60 {self.unit}, got {self}")

    @classmethod
    def parse(cls, text: "str | Budget") -> "Budget":
        """Read a budget as people write it.

        >>> Budget.parse("2.5e9 tokens").amount, str(Budget.parse("1 % of documents")), str(Budget.parse("0.5%"))
        (2500000000, '1% documents', '0.5% tokens')

        Raises:
            ValueError: for anything else, a number without unit among them.
        """
        if isinstance(text, Budget):
            return text
        found = _BUDGET.fullmatch(text.strip().lower()) if isinstance(text, str) else None
        if found is None:
            raise ValueError(f"budget {text!r} is not understood; write {_FORMS}")
        number, scale, is_share = found["number"].replace("_", "").replace(",", ""), found["scale"], found["percent"]
        if not is_share and not found["unit"]:
            raise ValueError(f"budget {text!r} has no unit; write {_FORMS}")
        unit = _UNITS.get(found["unit"])
        if unit is None or (is_share and scale):
            raise ValueError(f"budget {text!r} is not understood; write {_FORMS}")
        value = Fraction(Decimal(number)) * 10 ** _SCALES[scale]
        if is_share:
            return cls(unit, share=value / 100)
        if value.denominator != 1:
            raise ValueError(f"budget {text!r} is not a whole number of {unit}; write {_FORMS}")
        return cls(unit, amount=int(value))

    def resolve(self, available: int) -> int:
        """Return the amount, given what there is in its unit; a share is rounded up, so that it never vanishes."""
        if self.amount is not None:
            return self.amount
        assert self.share is not None
        return ceil(self.share * available)

    def __str__(self) -> str:
        """Return the form that `parse` reads back to the same budget."""
        if self.share is None:
            return f"{self.amount} {self.unit}"
        percent = Decimal(self.share.numerator * 100) / Decimal(self.share.denominator)
        return f"{percent.normalize():f}% {self.unit}"


_UNITS: Final = {
    "": Unit.TOKENS,
    "token": Unit.TOKENS,
    "tokens": Unit.TOKENS,
    "doc": Unit.DOCUMENTS,
    "docs": Unit.DOCUMENTS,
    "document": Unit.DOCUMENTS,
    "documents": Unit.DOCUMENTS,
}


def exact_share(value: float | str | Fraction) -> Fraction:
    """Return a share as people mean it: 0.1 is a tenth, not the double next to it."""
    return Fraction(str(value))


def apportion(total: int, shares: Sequence[Fraction]) -> list[int]:
    """Split `total` by shares that add up to 1, into whole parts that add up to `total`.

    One by one to whoever is furthest behind (Sainte-Laguë, the first where equal), so that no part shrinks when the
    total grows: nested budgets stay nested in every part.

    >>> apportion(10, [Fraction(1, 5), Fraction(1, 3), Fraction(7, 15)])
    [2, 3, 5]
    """
    assert sum(shares) == 1, shares
    # In units of the quotient every part is within len(shares) of its share: the first steps need no counting.
    parts = [max(0, int(share * (total - 2 * len(shares)))) for share in shares]
    for _ in range(total - sum(parts)):
        wanting = [i for i, share in enumerate(shares) if share]
        parts[max(wanting, key=lambda i: (shares[i] / (2 * parts[i] + 1), -i))] += 1
    return parts
