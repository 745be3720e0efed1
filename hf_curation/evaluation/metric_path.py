"""Where the metrics lie that `evaluate.load` takes by path: local script modules, so nothing is asked of the Hub."""

from pathlib import Path

_METRICS = Path(__file__).with_name("metrics")


def metric_path(name: str) -> str:
    """Return the path of a metric, for `evaluate.load`.

    Raises:
        ValueError: for an unknown name.
    """
    known = metric_names()
    if name not in known:
        raise ValueError(f"unknown metric {name!r}; there are: {', '.join(known)}")
    return str(_METRICS / name)


def metric_names() -> list[str]:
    """Return the names of the metrics."""
    return sorted(path.name for path in _METRICS.iterdir() if (path / f"{path.name}.py").is_file())
