"""The learning curves of `meco_mechanism.py` as one SVG: mean of the seeds, and the range between them as a band."""

from collections.abc import Iterator, Sequence
from typing import Any

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 58, 190, 34, 46
LINES = (
    ("standard", "none", "#555555", "standard, no URL"),
    ("always", "none", "#c2410c", "always, no URL"),
    ("meco", "none", "#2563eb", "MeCo, no URL"),
    ("meco", "right", "#0d9488", "MeCo, right URL"),
)
"""Schedule, condition, colour, label."""
STYLE = "text{font:12px sans-serif;fill:#444}.t{font-weight:600;font-size:14px;fill:#222}.g{stroke:#e5e7eb}"


def draw(runs: Sequence[dict[str, Any]], switch_tokens: int) -> str:
    """Return the picture of all runs.

    Args:
        runs: Results of `meco_mechanism.train`.
        switch_tokens: Where the cooldown begins.
    """
    curves = {
        (variant, condition): _seeds(runs, variant, condition)
        for variant, condition, *_ in LINES
        if any(run["variant"] == variant for run in runs)
    }
    # The first evaluations are so much higher that they would flatten the rest.
    xs = [point["tokens"] for point in runs[0]["curve"]]
    first = min(len(xs) // 5, len(xs) - 2)
    shown = [value for seeds in curves.values() for seed in seeds for value in seed[first:]]
    scale = _Scale(xs[first], xs[-1], min(shown) - 0.02, max(shown) + 0.02)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f'<style>{STYLE}</style><rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text class="t" x="{LEFT}" y="20">Held-out bits per byte against training tokens</text>',
        *_axes(scale),
        *_switch(scale, switch_tokens),
    ]
    for variant, condition, colour, _ in LINES:
        if (variant, condition) in curves:
            parts += _line(scale, xs[first:], [seed[first:] for seed in curves[variant, condition]], colour)
    return "\n".join([*parts, *_labels(scale, curves), "</svg>"]) + "\n"


class _Scale:
    def __init__(self, x_low: float, x_high: float, y_low: float, y_high: float) -> None:
        self.x_low, self.x_high, self.y_low, self.y_high = x_low, x_high, y_low, y_high

    def x(self, value: float) -> float:
        return LEFT + (value - self.x_low) / (self.x_high - self.x_low) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        return TOP + (self.y_high - value) / (self.y_high - self.y_low) * (HEIGHT - TOP - BOTTOM)


def _seeds(runs: Sequence[dict[str, Any]], variant: str, condition: str) -> list[list[float]]:
    return [[point[condition] for point in run["curve"]] for run in runs if run["variant"] == variant]


def _ticks(low: float, high: float) -> Iterator[float]:
    step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if (high - low) / s <= 7)
    for i in range(int(low / step), int(high / step) + 1):
        if low <= i * step <= high:
            yield i * step


def _axes(scale: _Scale) -> Iterator[str]:
    for value in _ticks(scale.y_low, scale.y_high):
        y = scale.y(value)
        yield f'<path class="g" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>'
    for value in _ticks(scale.x_low / 1e6, scale.x_high / 1e6):
        yield f'<text x="{scale.x(value * 1e6):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{value:g}</text>'
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">million tokens, metadata included</text>'


def _switch(scale: _Scale, tokens: int) -> Iterator[str]:
    x = scale.x(tokens)
    yield f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#9ca3af" stroke-dasharray="4 3"/>'
    yield f'<text x="{x - 6:.1f}" y="{TOP + 12}" text-anchor="end">cooldown</text>'


def _line(scale: _Scale, xs: Sequence[float], seeds: list[list[float]], colour: str) -> Iterator[str]:
    columns = list(zip(*seeds, strict=True))
    upper = [f"{scale.x(x):.1f},{scale.y(max(c)):.1f}" for x, c in zip(xs, columns, strict=True)]
    lower = [f"{scale.x(x):.1f},{scale.y(min(c)):.1f}" for x, c in zip(xs, columns, strict=True)]
    middle = [f"{scale.x(x):.1f},{scale.y(sum(c) / len(c)):.1f}" for x, c in zip(xs, columns, strict=True)]
    yield f'<polygon points="{" ".join(upper + lower[::-1])}" fill="{colour}" opacity="0.15"/>'
    yield f'<polyline points="{" ".join(middle)}" fill="none" stroke="{colour}" stroke-width="2"/>'


def _labels(scale: _Scale, curves: dict[tuple[str, str], list[list[float]]]) -> Iterator[str]:
    """Write each label beside the end of its line, pushed down where two would touch."""
    ends = []
    for variant, condition, colour, label in LINES:
        if seeds := curves.get((variant, condition)):
            last = sum(seed[-1] for seed in seeds) / len(seeds)
            ends.append((scale.y(last), colour, f"{label} {last:.3f}"))
    at = 0.0
    for y, colour, label in sorted(ends):
        at = max(y, at + 16)
        yield f'<text x="{WIDTH - RIGHT + 8}" y="{at + 4:.1f}" style="fill:{colour}">{label}</text>'
