"""The table of `hf-curation refiner evaluate`: one column a refiner, the bounds first."""

from collections.abc import Callable, Sequence
from typing import Final

from hf_curation.evaluation.refiner_figures import Agreement, RefinerFigures
from hf_curation.evaluation.word_f1 import Interval

_WIDTH: Final = 24

_ROWS: Final[tuple[tuple[str, Callable[[RefinerFigures], str]], ...]] = (
    ("windows", lambda one: f"{one.num_windows:,}"),
    ("valid programs", lambda one: _share(one.valid_programs)),
    ("calls rejected", lambda one: f"{sum(one.rejected_calls.values()):,}"),
    ("windows or pages kept by a guard", lambda one: f"{sum(one.fallbacks.values()):,}"),
    ("removed lines: precision", lambda one: _part(one.lines, "precision")),
    ("removed lines: recall", lambda one: _part(one.lines, "recall")),
    ("removed lines: F1", lambda one: _part(one.lines, "f1")),
    ("word F1", lambda one: _interval(one.word_f1)),
    ("gain over keep-all", lambda one: _interval(one.gain, signed=True)),
    ("over-deletion on clean text", lambda one: _share(one.over_deletion, 4)),
    ("dropped pages: precision", lambda one: _part(one.documents, "precision")),
    ("dropped pages: recall", lambda one: _part(one.documents, "recall")),
    ("dropped pages: F1", lambda one: _part(one.documents, "f1")),
    ("clean texts dropped", lambda one: "-" if one.clean_dropped is None else _share(one.clean_dropped, 4)),
    ("seconds", lambda one: f"{one.seconds:,.1f}"),
    ("seconds of CPU here", lambda one: f"{one.cpu_seconds:,.1f}"),
    ("pages a second", lambda one: f"{one.pages_per_s:,.1f}"),
    ("tokens read", lambda one: f"{one.prompt_tokens:,}"),
    ("tokens written", lambda one: f"{one.output_tokens:,}"),
)


def format_table(columns: Sequence[RefinerFigures]) -> list[str]:
    """Return the lines of the table; `-` where a figure does not exist for a refiner or for the data."""
    label = max(len(name) for name, _ in _ROWS)
    widths = [max(_WIDTH, len(_short(column.refiner)) + 2) for column in columns]
    head = " " * label + "".join(_short(c.refiner).rjust(w) for c, w in zip(columns, widths, strict=True))
    rows = [
        name.ljust(label) + "".join(show(c).rjust(w) for c, w in zip(columns, widths, strict=True))
        for name, show in _ROWS
    ]
    return [head, *rows]


def _short(name: str) -> str:
    return name if len(name) <= 40 else f"...{name[-37:]}"


def _share(value: float, digits: int = 3) -> str:
    return f"{value:.{digits}f}"


def _part(agreement: Agreement | None, name: str) -> str:
    value = None if agreement is None else getattr(agreement, name)
    return "-" if value is None else _share(value)


def _interval(interval: Interval, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{interval.mean:{sign}.3f} ({interval.low:{sign}.3f}, {interval.high:{sign}.3f})"
