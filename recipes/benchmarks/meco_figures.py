"""What the runs of `meco_mechanism.py` amount to: intervals over seeds, paired gaps, tokens to a target."""

import math
from collections.abc import Sequence
from typing import Any, Final

CONDITIONS: Final = ("right", "wrong", "none")
STUDENT_T: Final = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
"""Number of seeds -> 97.5 % quantile of Student's t with one degree of freedom less."""


def interval(values: list[float]) -> dict[str, float | None]:
    """Return mean and 95 % interval over seeds; one seed has no interval."""
    n, mean = len(values), sum(values) / len(values)
    if n < 2:
        return {"mean": mean, "low": None, "high": None}
    spread = math.sqrt(sum((v - mean) ** 2 for v in values) / (n - 1) / n) * STUDENT_T.get(n, 2.3)
    return {"mean": mean, "low": mean - spread, "high": mean + spread}


def tokens_to_reach(curve: list[dict[str, float]], condition: str, target: float) -> float | None:
    """Return the tokens at which a curve first is at or below `target`, by linear interpolation; None: never."""
    for before, after in zip([None, *curve], curve, strict=False):
        if after[condition] <= target:
            if before is None:
                return after["tokens"]
            share = (before[condition] - target) / (before[condition] - after[condition])
            return before["tokens"] + share * (after["tokens"] - before["tokens"])
    return None


def summarize(runs: Sequence[dict[str, Any]], *, switch_step: int) -> dict[str, Any]:
    """Return the figures of the last line."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for run in sorted(runs, key=lambda run: int(run["seed"])):
        groups.setdefault(run["variant"], []).append(run)
    steps = [point["step"] for point in runs[0]["curve"]]
    places = {"at_switch": steps.index(switch_step), "at_end": -1}
    points = {
        v: {place: [r["curve"][at] for r in group] for place, at in places.items()} for v, group in groups.items()
    }
    return {
        "table": {
            variant: {place: {c: interval([p[c] for p in at]) for c in CONDITIONS} for place, at in by_place.items()}
            for variant, by_place in points.items()
        },
        "gaps": {
            variant: {place: _gaps(at, points["standard"][place]) for place, at in by_place.items()}
            for variant, by_place in points.items()
        },
        "tokens_to_standard": {variant: _tokens(group, groups["standard"]) for variant, group in groups.items()},
        "tokens": runs[0]["curve"][-1]["tokens"],
        "parameters": runs[0]["parameters"],
        "seeds": len(groups["standard"]),
        "passages": runs[0]["passages"],
        "bytes": runs[0]["bytes"],
        "seconds_per_run": round(sum(run["seconds"] for run in runs) / len(runs), 1),
    }


def _gaps(points: list[dict[str, float]], standard: list[dict[str, float]]) -> dict[str, Any]:
    """Return differences of one schedule at one place, paired by seed."""
    gaps = {
        "none_minus_right": interval([point["none"] - point["right"] for point in points]),
        "wrong_minus_none": interval([point["wrong"] - point["none"] for point in points]),
    }
    for condition in ("none", "right"):
        pairs = zip(points, standard, strict=True)
        gaps[f"{condition}_minus_standard"] = interval([point[condition] - base["none"] for point, base in pairs])
    return gaps


def _tokens(group: list[dict[str, Any]], standard: list[dict[str, Any]]) -> dict[str, Any]:
    """Return for each condition how many seeds get to the standard run's final value, and after how many tokens."""
    found = {}
    for condition in ("none", "right"):
        targets = [run["curve"][-1]["none"] for run in standard]
        pairs = zip(group, targets, strict=True)
        tokens = [tokens_to_reach(run["curve"], condition, target) for run, target in pairs]
        reached = [value for value in tokens if value is not None]
        # A mean over the seeds that get there would leave out the worst ones.
        none = {"mean": None, "low": None, "high": None}
        found[condition] = {"reached": len(reached), **(none if None in tokens else interval(reached))}
    return found


def print_table(summary: dict[str, Any]) -> None:
    """Print the summary for people."""
    seeds = summary["seeds"]
    print(f"held-out bits per byte, {seeds} seeds, 95 % intervals over seeds\n")
    print(f"{'schedule':<10}{'when':<11}" + "".join(f"{c + ' URL':<18}" for c in CONDITIONS))
    for variant, places in summary["table"].items():
        for place, figures in places.items():
            when = place.replace("_", " ")
            print(f"{variant:<10}{when:<11}" + "".join(f"{_cell(figures[c]):<18}" for c in CONDITIONS))
    print("\ndifferences, paired by seed")
    heads = ("none - right", "wrong - none", "none - standard", "right - standard")
    print(f"{'schedule':<10}{'when':<11}" + "".join(f"{head:<18}" for head in heads))
    for variant, places in summary["gaps"].items():
        for place, gaps in places.items():
            when = place.replace("_", " ")
            print(f"{variant:<10}{when:<11}" + "".join(f"{_cell(gap):<18}" for gap in gaps.values()))
    print(f"\nmillions of tokens to the standard run's final value (of {summary['tokens'] / 1e6:.2f})")
    print(f"{'schedule':<10}{'without URL':<24}with the right URL")
    for variant, reach in summary["tokens_to_standard"].items():
        print(f"{variant:<10}" + "".join(f"{_tokens_cell(reach[c], seeds):<24}" for c in ("none", "right")).rstrip())


def _cell(figure: dict[str, Any], unit: float = 1.0, digits: int = 4) -> str:
    spread = "?" if figure["high"] is None else f"{(figure['high'] - figure['mean']) / unit:.{digits}f}"
    return f"{figure['mean'] / unit:.{digits}f} ±{spread}"


def _tokens_cell(reach: dict[str, Any], seeds: int) -> str:
    if reach["mean"] is None:
        return f"{reach['reached']} of {seeds} seeds" if reach["reached"] else "never"
    return _cell(reach, 1e6, 2)
