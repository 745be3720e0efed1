"""Charts as plain numbers: positions in percent and pixels, ready for the SVG macros of `charts.html.j2`.

Horizontal positions are percentages of the chart's own width, so one drawing serves a phone and a wide screen, and
type keeps its size in both. No library: a bar is a rectangle, and an axis needs three round numbers.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hf_curation.reports.tally import Histogram
from hf_curation.reports.visible import clip, number, percent, short_number

PLOT_HEIGHT = 160
MAX_BARS = 16
MAX_LABEL = 80


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of a bar chart."""

    label: str
    width: float
    """Percent of the widest bar's room."""
    text: str
    """The value as printed at the end of the row."""
    meaning: str = ""
    """One sentence under the bar: what the label means."""
    detail: str = ""
    """The whole figure, for the drawing's title."""
    tone: str = "accent"
    """CSS class of the bar's colour."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a whole, in the one stacked bar."""

    label: str
    count: int
    start: float
    width: float
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """One bin of a histogram, with a bar per series."""

    title: str
    rects: tuple[tuple[str, float, float, float, float], ...]
    """(tone, x in %, width in %, y in px, height in px)."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A histogram with its axes."""

    columns: tuple[Column, ...]
    x_ticks: tuple[tuple[float, str], ...]
    y_ticks: tuple[tuple[float, str], ...]
    height: int = PLOT_HEIGHT


def bars(counts: Mapping[str, int], meanings: Mapping[str, str] | None = None, *, tone: str = "accent") -> list[Bar]:
    """Return the largest counts as bars with their share of the whole, the rest as one bar `other`."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    head, rest = ranked[: MAX_BARS - 1], ranked[MAX_BARS - 1 :]
    if rest:
        head.append((f"{len(rest)} others", sum(count for _, count in rest)))
    total = sum(counts.values()) or 1
    widest = max((count for _, count in head), default=1) or 1
    return [
        Bar(
            label=clip(word, MAX_LABEL),
            width=100 * count / widest,
            text=f"{number(count)} · {percent(count / total)}",
            meaning=(meanings or {}).get(word, ""),
            detail=f"{number(count)} of {number(total)}",
            tone=tone,
        )
        for word, count in head
    ]


def host_bars(top: Sequence[tuple[str, Sequence[int]]], others: Sequence[int], num_others: int) -> list[Bar]:
    """Return characters removed by host; entries are [characters removed, characters before, pages]."""
    rows = [(host, entry) for host, entry in top if entry[0] > 0]
    if others[0] > 0:
        rows.append((f"{number(num_others)} other hosts" if num_others else "all other hosts", others))
    # All the rest of the web would dwarf any one host: it is a figure without a bar.
    widest = max((entry[0] for _, entry in rows if entry is not others), default=1)
    return [
        Bar(
            label=host,
            width=0 if entry is others else 100 * entry[0] / widest,
            text=f"{short_number(entry[0])} · {percent(entry[0] / entry[1], 0)}",
            detail=f"{number(entry[0])} of {number(entry[1])} characters removed on {number(entry[2])} pages",
        )
        for host, entry in rows
    ]


def parts(counts: Iterable[tuple[str, int]]) -> list[Part]:
    """Return counts as parts of one bar of width 100, in their order; a part of at least one document is visible."""
    rows = list(counts)
    total = sum(count for _, count in rows) or 1
    floors = [0.0 if count == 0 else max(0.4, 100 * count / total) for _, count in rows]
    scale = 100 / (sum(floors) or 1)
    result, start = [], 0.0
    for (label, count), width in zip(rows, floors, strict=True):
        result.append(Part(label, count, start, width * scale, percent(count / total)))
        start += width * scale
    return result


def histogram(
    series: Sequence[tuple[str, Sequence[int]]],
    titles: Sequence[str],
    x_ticks: Sequence[tuple[float, str]],
) -> Plot:
    """Return bins with one bar per series side by side.

    Args:
        series: (tone, counts), all of one length.
        titles: what each bin covers, for its accessible title.
        x_ticks: (bin edge as a number of bins, label).
    """
    num_bins = len(titles)
    ceiling = nice_ceiling(max((max(counts, default=0) for _, counts in series), default=0))
    step, slot = 100 / max(num_bins, 1), 100 / max(num_bins, 1) * 0.86 / max(len(series), 1)
    columns = []
    for i, title in enumerate(titles):
        rects = []
        for j, (tone, counts) in enumerate(series):
            height = PLOT_HEIGHT * counts[i] / ceiling
            height = max(height, 1.5) if counts[i] else 0.0
            rects.append((tone, i * step + step * 0.07 + j * slot, slot, PLOT_HEIGHT - height, height))
        shown = ", ".join(f"{number(counts[i])} {tone}" for tone, counts in series)
        columns.append(Column(f"{title}: {shown}", tuple(rects)))
    y_ticks = tuple((PLOT_HEIGHT * (1 - share), short_number(ceiling * share)) for share in (0, 0.5, 1))
    return Plot(tuple(columns), tuple((edge * step, text) for edge, text in x_ticks), y_ticks)


def share_plot(counts: Sequence[int]) -> Plot:
    """Return the distribution of the share removed over edited pages, in equal bins over 0 to 100 %."""
    num_bins = len(counts)
    titles = [f"{100 * i // num_bins} to {100 * (i + 1) // num_bins} % removed" for i in range(num_bins)]
    ticks = [(num_bins * i / 4, f"{25 * i} %") for i in range(5)]
    return histogram([("edited", counts)], titles, ticks)


def length_plot(before: Histogram, after: Histogram) -> Plot:
    """Return two histograms over the same bins on a log axis, cut to the bins that hold pages."""
    occupied = [i for i, (n, m) in enumerate(zip(before.counts, after.counts, strict=True)) if n or m] or [0]
    low, high = occupied[0], occupied[-1] + 1
    edges = before.edges[low : high + 1]
    titles = [f"{number(start)} to {number(end)} characters" for start, end in pairwise(edges)]
    ticks = [(i, short_number(edge)) for i, edge in enumerate(edges) if edge == 0 or is_power_of_ten(edge)]
    return histogram([("before", before.counts[low:high]), ("after", after.counts[low:high])], titles, ticks)


def is_power_of_ten(value: float) -> bool:
    """Whether a decade begins at `value`."""
    return value > 0 and math.log10(value).is_integer()


def nice_ceiling(value: float) -> int:
    """Return the smallest round number that is not below `value` and whose half is round too, for an axis of counts.

    >>> nice_ceiling(7), nice_ceiling(119), nice_ceiling(1300), nice_ceiling(0)
    (8, 120, 1600, 2)
    """
    if value <= 2:
        return 2
    power = int(10 ** math.floor(math.log10(value)))
    steps = (10, 12, 16, 20, 30, 40, 60, 80, 100) if power > 1 else (20, 40, 60, 80, 100)
    return next(step * power // 10 for step in steps if step * power >= 10 * value)
