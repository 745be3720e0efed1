import json
import sys
from itertools import islice
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "recipes" / "benchmarks"


@pytest.fixture
def scaling(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    for name in ("scaling", "scaling_stages", "passes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import scaling

    return scaling


LINES = [f"line {i} of a page" for i in range(50)]


def test_a_smaller_corpus_is_the_beginning_of_a_larger_one(scaling):
    small, large = list(scaling.synthetic(LINES, 30)), list(scaling.synthetic(LINES, 300))
    assert large[:30] == small
    assert len({one["id"] for one in large}) == 300
    assert len({one["url"].split("/")[2] for one in large}) == 15  # twenty a host
    assert all(200 <= len(one["text"]) + 18 <= 640 for one in large)
    assert list(islice(scaling.synthetic(LINES, 30, seed=1), 3)) != small[:3]


def test_figures_by_hand(scaling):
    """Ten times the documents: ten times the seconds above one of start, and 8 bytes more of memory for each."""
    numbers = (10_000, 100_000, 1_000_000)
    costs = {
        n: {"choose": {"cpu_s": 1 + n / 1e5, "peak_mib": 100 + 8 * n / 2**20, "output_bytes": 5 * n}} for n in numbers
    }
    costs = {n: {"choose": one["choose"], "fit": {"cpu_s": 0.01, "peak_mib": 100}} for n, one in costs.items()}
    sizes = {n: {"bytes": 400 * n, "chars": 390 * n} for n in numbers}
    found = scaling.figures_of(costs, sizes)
    json.dumps(found)
    assert found["documents"] == list(numbers)
    assert found["bytes_of_text"][-1] == 400_000_000
    assert found["us_per_document"] == {"choose": 10.0, "fit": 0.0}
    assert found["mb_per_s"] == {"choose": 40.0, "fit": None}
    assert found["documents_per_s"] == {"choose": 100_000, "fit": None}
    assert found["bytes_per_document"] == {"choose": 8.0, "fit": 0.0}
    assert found["output_bytes_per_document"] == {"choose": 5.0}
    assert found["flat"] == {"choose": round((100 + 8e6 / 2**20) / (100 + 8e4 / 2**20), 3), "fit": 1.0}
    assert found["exponent_last"]["choose"] == 0.74  # log10(11 / 2)
    assert found["exponent"]["fit"] == 0.0


def test_a_slope_by_least_squares(scaling):
    assert scaling.slope([0, 1, 2], [1, 3, 5]) == 2
    assert scaling.slope([0, 1, 2], [0, 0, 3]) == 1.5


def test_what_was_measured_is_not_measured_again(scaling, tmp_path):
    asked = []
    for _ in range(2):
        found = scaling.remembered(tmp_path / "costs" / "x.json", lambda: asked.append(1) or {"cpu_s": 1.5})
    assert found == {"cpu_s": 1.5}
    assert len(asked) == 1


def test_every_stage_has_its_work(scaling):
    assert set(scaling.WORK) == set(scaling.STAGES)
    assert set(scaling.OUTPUTS) <= set(scaling.STAGES)
