"""Budgets: what people write, what is refused, and parts that add up."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.sampling.budget import Budget, Unit, apportion


@pytest.mark.parametrize(
    ("text", "unit", "amount", "share"),
    [
        ("1%", "tokens", None, Fraction(1, 100)),
        ("0.5 %", "tokens", None, Fraction(1, 200)),
        ("1% of tokens", "tokens", None, Fraction(1, 100)),
        ("1% documents", "documents", None, Fraction(1, 100)),
        ("1 % OF DOCS", "documents", None, Fraction(1, 100)),
        ("250%", "tokens", None, Fraction(5, 2)),
        ("5000 documents", "documents", 5000, None),
        ("5_000 docs", "documents", 5000, None),
        ("1 document", "documents", 1, None),
        ("0 tokens", "tokens", 0, None),
        ("2e9 tokens", "tokens", 2_000_000_000, None),
        ("2.5B tokens", "tokens", 2_500_000_000, None),
        ("500M tokens", "tokens", 500_000_000, None),
        ("10k documents", "documents", 10_000, None),
        ("1,000,000 tokens", "tokens", 1_000_000, None),
    ],
)
def test_reads(text, unit, amount, share):
    budget = Budget.parse(text)
    assert (budget.unit, budget.amount, budget.share) == (unit, amount, share)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("0.5", "has no unit"),
        ("5000", "has no unit"),
        ("2B", "has no unit"),
        ("", "not understood"),
        ("1% pages", "not understood"),
        ("5k%", "not understood"),
        ("-1%", "not understood"),
        ("nan tokens", "not understood"),
        ("all", "not understood"),
        ("1 % 2 tokens", "not understood"),
        ("2.5 documents", "not a whole number"),
        ("1e99 tokens", "at most 2^60"),
    ],
)
def test_refuses(text, complaint):
    with pytest.raises(ValueError, match=complaint.replace("^", r"\^")):
        Budget.parse(text)


def test_a_refusal_says_what_to_write():
    with pytest.raises(ValueError, match=r"'0\.5' has no unit; write '1%' \(of the tokens\), '1% documents'"):
        Budget.parse("0.5")


def test_shares_are_exact_and_rounded_up():
    assert Budget.parse("10%").resolve(70) == 7  # 0.1 as a double is above a tenth
    assert Budget.parse("1%").resolve(50) == 1
    assert Budget.parse("1%").resolve(0) == 0
    assert Budget.parse("0%").resolve(50) == 0
    assert Budget.parse("3 documents").resolve(2) == 3


@given(st.decimals(0, 10**6, places=4, allow_nan=False), st.sampled_from(Unit))
def test_prints_what_it_reads(number, unit):
    budget = Budget.parse(f"{number}% {unit}")
    assert budget.share == Fraction(number) / 100
    assert Budget.parse(str(budget)) == budget


@st.composite
def shares(draw):
    weights = draw(st.lists(st.integers(0, 50), min_size=1, max_size=6).filter(any))
    return [Fraction(w, sum(weights)) for w in weights]


@given(st.integers(0, 300), shares())
def test_parts_add_up_and_never_shrink(total, shares):
    parts = apportion(total, shares)
    assert sum(parts) == total
    assert all(part <= more for part, more in zip(parts, apportion(total + 1, shares), strict=True))
    assert all(abs(part - share * total) <= len(shares) for part, share in zip(parts, shares, strict=True))
    assert parts == apportion_from_nothing(total, shares)


def apportion_from_nothing(total, shares):
    parts = [0] * len(shares)
    for _ in range(total):
        parts[max(range(len(shares)), key=lambda i: (shares[i] / (2 * parts[i] + 1), -i))] += 1
    return parts


def test_parts_of_a_large_total_cost_nothing():
    assert apportion(10**15, [Fraction(1, 3), Fraction(2, 3)]) == [333333333333333, 666666666666667]
