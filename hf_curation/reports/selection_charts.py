"""Charts of a selection: distances, shares before and after, n-grams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from hf_curation.reports.charts import MAX_LABEL, PLOT_HEIGHT, Bar, Column, Plot
from hf_curation.reports.visible import clip, number, percent, short_number
from hf_curation.sampling.evidence import CHOSEN, COMPARED, OTHER_SOURCES, RANDOM, RAW, TOP_K, Divergence
from hf_curation.sampling.shifts import NgramShift

MAX_SOURCES: Final = 16
GROUP_NAMES: Final = {RAW: "whole corpus", RANDOM: "random draw", TOP_K: "top of the list", CHOSEN: "the choice"}
_TONES: Final = {RAW: "corpus", RANDOM: "random", TOP_K: "top", CHOSEN: "chosen"}
_CLEARLY: Final = 1.15


@dataclass(frozen=True, slots=True)
class PairBar:
    """A share in the corpus over the same in the choice."""

    label: str
    before: float
    """Percent of the widest bar's room."""
    after: float
    text: str
    factor: str
    """How many times as common; empty where that says nothing."""


def distance_bars(divergence: Divergence) -> list[Bar]:
    """Return KL(target || group) of every group, the choice last."""
    widest = max(divergence.nats.values(), default=1.0) or 1.0
    return [
        Bar(
            label=GROUP_NAMES[group],
            width=max(0.0, 100 * nats / widest),
            text=f"{nats:.3f} nats" + _change(divergence, group),
            detail=f"KL(target || {GROUP_NAMES[group]}) = {nats:.6f} nats",
            tone=_TONES[group],
        )
        for group in COMPARED
        if (nats := divergence.nats.get(group)) is not None
    ]


def _change(divergence: Divergence, group: str) -> str:
    reduction = divergence.reduction(group)
    if group == RAW or not reduction:
        return ""
    return f" · {'−' if reduction > 0 else '+'}{abs(reduction):.3f}"


def length_shares(before: Sequence[int], after: Sequence[int]) -> Plot:
    """Return documents by length in tokens as shares of corpus and choice, cut to the bins that hold any."""
    totals = sum(before) or 1, sum(after) or 1
    occupied = [i for i, pair in enumerate(zip(before, after, strict=True)) if any(pair)] or [0]
    low, high = occupied[0], occupied[-1] + 1
    shares = [(before[i] / totals[0], after[i] / totals[1]) for i in range(low, high)]
    ceiling = _nice_share(max(max(pair) for pair in shares))
    step = 100 / len(shares)
    columns = []
    for at, (i, pair) in enumerate(zip(range(low, high), shares, strict=True)):
        rects = []
        for j, (tone, share, count) in enumerate(zip(("corpus", "chosen"), pair, (before[i], after[i]), strict=True)):
            height = max(PLOT_HEIGHT * share / ceiling, 1.5) if count else 0.0
            rects.append((tone, step * (at + 0.07 + 0.43 * j), step * 0.43, PLOT_HEIGHT - height, height))
        title = f"{_bin(i)}: {percent(pair[0])} of the corpus, {percent(pair[1])} of the choice"
        columns.append(Column(title, tuple(rects)))
    y_ticks = tuple((PLOT_HEIGHT * (1 - part), f"{100 * ceiling * part:.3g} %") for part in (0, 0.5, 1))
    every = 1 + (high - low) // 9
    x_ticks = [
        (step * (i - low), short_number(2 ** (i - 1))) for i in range(max(low, 1), high) if (i - low) % every == 0
    ]
    return Plot(tuple(columns), tuple(x_ticks), y_ticks)


def _bin(index: int) -> str:
    return "no token" if index == 0 else f"{number(2 ** (index - 1))} to {number(2**index - 1)} tokens"


def _nice_share(value: float) -> float:
    return next(one for one in (0.02, 0.04, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0) if one >= min(value, 1.0))


def source_pairs(before: Mapping[str, tuple[int, int]], after: Mapping[str, tuple[int, int]]) -> list[PairBar]:
    """Return shares of tokens by source: the largest of either side, the rest as one."""
    totals = [sum(tokens for _, tokens in sources.values()) or 1 for sources in (before, after)]

    def shares(name: str) -> tuple[float, float]:
        return before.get(name, (0, 0))[1] / totals[0], after.get(name, (0, 0))[1] / totals[1]

    names = sorted({*before, *after} - {OTHER_SOURCES}, key=lambda name: (-max(shares(name)), name))
    head, rest = names[:MAX_SOURCES], [*names[MAX_SOURCES:], *({OTHER_SOURCES} & {*before, *after})]
    rows = [(name or "no source given", *shares(name)) for name in head]
    if rest:
        rows.append((f"{number(len(rest))} others", *(sum(column) for column in zip(*map(shares, rest), strict=True))))
    widest = max((max(row[1:]) for row in rows), default=1.0) or 1.0
    return [
        PairBar(
            label=clip(label, MAX_LABEL),
            before=100 * start / widest,
            after=100 * end / widest,
            text=f"{percent(start)} → {percent(end)}",
            factor=_factor(start, end),
        )
        for label, start, end in rows
    ]


def _factor(before: float, after: float) -> str:
    if not before or not after:
        return ""
    factor = after / before
    if 1 / _CLEARLY < factor < _CLEARLY:
        return "as before"
    return f"× {factor:.1f}" if factor > 1 else f"÷ {1 / factor:.1f}"


def ngram_bars(shifts: Sequence[NgramShift], tone: str) -> list[Bar]:
    """Return n-grams by what they contribute; the widest bar is the first."""
    widest = max((abs(one.contribution) for one in shifts), default=1.0) or 1.0
    return [
        Bar(
            label=clip(one.ngram, MAX_LABEL),
            width=100 * abs(one.contribution) / widest,
            text=f"{'+' if one.log_ratio > 0 else '−'}{abs(one.log_ratio):.2f} nats",
            meaning=_shared_bucket(one),
            detail=f"{_share(one.target_share)} of the target's n-grams, {_share(one.raw_share)} of the corpus's",
            tone=tone,
        )
        for one in shifts
    ]


def _share(share: float) -> str:
    return f"{100 * share:.3g} %"


def _shared_bucket(one: NgramShift) -> str:
    if one.bucket_share > 0.8:
        return ""
    others = f"{number(one.num_sharing)} other{'s' if one.num_sharing > 1 else ''}"
    return f"shares its bucket with {others}; {percent(one.bucket_share, 0)} of it is this one"
