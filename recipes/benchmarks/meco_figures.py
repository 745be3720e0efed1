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
    by_variant: dict[str, list[dict[str, Any]]] = {}
    for run in sorted(runs, key=lambda run: int(run["seed"])):
        by_variant.setdefault(run["variant"], []).append(run)
    switch = [point["step"] for point in runs[0]["curve"]].index(switch_step)
    places = {"at_switch": switch, "at_end": -1}
    table = {
        variant: {
            place: {c: interval([run["curve"][at][c] for run in group]) for c in CONDITIONS}
            for place, at in places.items()
        }
        for variant, group in by_variant.items()
    }
    last = {variant: [run["curve"][-1] for run in group] for variant, group in by_variant.items()}
    gaps = {
        variant: {
            "none_minus_right": interval([point["none"] - point["right"] for point in points]),
            "wrong_minus_none": interval([point["wrong"] - point["none"] for point in points]),
            **{
                f"{condition}_minus_standard": interval(
                    [point[condition] - base["none"] for point, base in zip(points, last["standard"], strict=True)]
                )
                for condition in ("none", "right")
            },
        }
        for variant, points in last.items()
    }
    targets = {run["seed"]: run["curve"][-1]["none"] for run in by_variant["standard"]}
    reach = {}
    for variant, group in by_variant.items():
        reach[variant] = {}
        for condition in ("none", "right"):
            found = [tokens_to_reach(run["curve"], condition, targets[run["seed"]]) for run in group]
            reach[variant][condition] = None if None in found else sum(found) / len(found)
    return {
        "table": table,
        "gaps": gaps,
        "tokens_to_standard": reach,
        "tokens": runs[0]["curve"][-1]["tokens"],
        "parameters": runs[0]["parameters"],
        "seeds": len(targets),
        "passages": runs[0]["passages"],
        "bytes": runs[0]["bytes"],
        "seconds_per_run": round(sum(run["seconds"] for run in runs) / len(runs), 1),
    }


def print_table(summary: dict[str, Any]) -> None:
    """Print the summary for people."""

    def cell(figure: dict[str, Any]) -> str:
        spread = "?" if figure["high"] is None else f"{figure['high'] - figure['mean']:.4f}"
        return f"{figure['mean']:.4f} ±{spread}"

    print(f"held-out bits per byte, {summary['seeds']} seeds, 95 % intervals over seeds\n")
    print(f"{'schedule':<10}{'when':<11}" + "".join(f"{c + ' URL':<18}" for c in CONDITIONS))
    for variant, places in summary["table"].items():
        for place, figures in places.items():
            when = place.replace("_", " ")
            print(f"{variant:<10}{when:<11}" + "".join(f"{cell(figures[c]):<18}" for c in CONDITIONS))
    print("\nat the end, paired by seed; and millions of tokens to standard's final value")
    heads = ("none - right", "wrong - none", "none - standard", "right - standard")
    print(f"{'schedule':<10}" + "".join(f"{head:<18}" for head in heads) + f"{'without':<9}with")
    for variant, gaps in summary["gaps"].items():
        reach = [f"{t / 1e6:.2f}" if t else "never" for t in summary["tokens_to_standard"][variant].values()]
        print(f"{variant:<10}" + "".join(f"{cell(gap):<18}" for gap in gaps.values()) + f"{reach[0]:<9}{reach[1]}")
