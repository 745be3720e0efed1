"""The arithmetic of the mechanism benchmark, its picture, and how documentation pages become text."""

import json
import math
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "recipes" / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield
    for name in ("debian_docs", "meco_corpus", "meco_figures", "meco_overhead", "meco_plot", "byte_bpe"):
        sys.modules.pop(name, None)


def run_of(variant, seed, right, none):
    """Ten evaluations; `none` and `right` are the values of the last two, before that both are 3."""
    curve = [{"step": s, "tokens": s * 100, "right": 3.0, "wrong": 3.0, "none": 3.0} for s in range(10, 90, 10)]
    for step, at in ((90, 0), (100, 1)):
        curve.append(
            {"step": step, "tokens": step * 100, "right": right[at], "wrong": none[at] + 0.1, "none": none[at]}
        )
    return {
        "variant": variant,
        "seed": seed,
        "curve": curve,
        "parameters": 7,
        "passages": 4,
        "bytes": 99,
        "seconds": 2.0,
    }


def runs():
    return [
        run_of("meco", 1, (2.2, 2.0), (2.6, 2.3)),
        run_of("standard", 0, (2.5, 2.4), (2.5, 2.4)),
        run_of("standard", 1, (2.4, 2.2), (2.4, 2.2)),
        run_of("meco", 0, (2.4, 2.1), (2.8, 2.4)),
    ]


def test_the_interval_is_students():
    from meco_figures import interval

    assert interval([1.0]) == {"mean": 1.0, "low": None, "high": None}
    found = interval([1.0, 2.0, 6.0])
    spread = 4.303 * math.sqrt(7) / math.sqrt(3)
    assert found == pytest.approx({"mean": 3.0, "low": 3 - spread, "high": 3 + spread})


def test_tokens_to_a_target_are_interpolated():
    from meco_figures import tokens_to_reach

    curve = [{"tokens": 10, "none": 3.0}, {"tokens": 20, "none": 2.0}, {"tokens": 30, "none": 2.5}]
    assert tokens_to_reach(curve, "none", 2.25) == 17.5
    assert tokens_to_reach(curve, "none", 3.5) == 10
    assert tokens_to_reach(curve, "none", 1.9) is None


def test_the_summary_pairs_seeds_and_finds_the_switch(capsys):
    from meco_figures import print_table, summarize

    summary = summarize(runs(), switch_step=90)
    assert summary["table"]["meco"]["at_switch"]["none"]["mean"] == pytest.approx(2.7)
    assert summary["table"]["meco"]["at_end"]["right"]["mean"] == pytest.approx(2.05)
    gap = summary["gaps"]["meco"]["at_end"]["none_minus_standard"]
    assert gap["mean"] == pytest.approx((0.0 + 0.1) / 2), "seed 0 with seed 0, whatever the order of the runs"
    assert summary["gaps"]["meco"]["at_end"]["right_minus_standard"]["mean"] == pytest.approx(-0.25)
    assert summary["gaps"]["meco"]["at_switch"]["none_minus_right"]["mean"] == pytest.approx(0.4)
    reach = summary["tokens_to_standard"]["meco"]
    assert reach["none"] == {"reached": 1, "mean": None, "low": None, "high": None}, "seed 1 never gets there"
    assert reach["right"] == {"reached": 2, "mean": 9000, "low": 9000, "high": 9000}
    assert (summary["seeds"], summary["tokens"]) == (2, 10_000)
    json.dumps(summary, allow_nan=False)
    print_table(summary)
    out = capsys.readouterr().out
    assert "2.7000 ±1.2706" in out
    assert any(line.split() == ["meco", "1", "of", "2", "seeds", "0.01", "±0.00"] for line in out.splitlines())


def test_one_seed_has_a_table_without_intervals(capsys):
    from meco_figures import print_table, summarize

    summary = summarize(runs()[1:2], switch_step=90)
    json.dumps(summary, allow_nan=False)
    print_table(summary)
    assert "2.4000 ±?" in capsys.readouterr().out


def test_the_picture_is_well_formed_and_inside_its_frame():
    from meco_plot import HEIGHT, WIDTH, draw

    root = ET.fromstring(draw(runs(), 9000))  # noqa: S314
    lines = root.findall(".//{*}polyline")
    assert len(lines) == 3, "standard and MeCo twice; there is no `always` among the runs"
    for line in lines:
        points = [tuple(map(float, point.split(","))) for point in line.get("points").split()]
        assert len(points) == 8, "the first fifth of the curve is not shown"
        assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in points)
    labels = [text.text for text in root.findall(".//{*}text")]
    assert {"standard, no URL 2.300", "MeCo, no URL 2.350", "MeCo, right URL 2.050", "cooldown"} <= set(labels)


def test_pages_become_text():
    from debian_docs import text_of

    html = """<html><head><title>Not this</title><style>a{}</style></head><body><nav><ul><li>Home</li></ul></nav>
    <h1>A  title</h1><p>One
    &amp; <b>two</b>.</p><pre>x = 1
    y = 2</pre><script>evil()</script><table><tr><td>cell</td></tr></table></body></html>"""
    assert text_of(html) == "A title\nOne & two.\nx = 1\ny = 2\ncell"


def test_lines_that_many_pages_share_are_left_out():
    from debian_docs import without_shared_lines

    pages = [(f"u{i}", f"Copyright\nPage {i} says " + "word " * 90) for i in range(40)]
    pages += [("short", "Copyright\nhi"), ("again", pages[0][1])]
    kept = dict(without_shared_lines(pages))
    assert len(kept) == 40, "neither what is short then nor what is there twice"
    assert not any("Copyright" in text for text in kept.values())


def test_a_burst_of_other_work_does_not_spoil_the_overhead():
    import numpy as np
    from meco_overhead import BATCH, SEQ_LEN, summarize

    rng = np.random.default_rng(0)
    steps = 1 + rng.random(12)
    plain = np.tile(steps, (7, 2, 1))
    ours = plain * 1.02
    ours[:, :, 5] += 0.1  # what is done in one step of each run counts
    expected = 0.02 + 0.1 / steps.sum()
    for runs in (ours, plain):
        bursts = rng.choice(7 * 12, 8, replace=False)
        for burst in bursts:
            runs[burst // 12, 0, burst % 12] += 30 * rng.random()
    figures = summarize(ours, plain)
    assert figures["overhead_cpu"] == pytest.approx(expected, abs=1e-4)
    assert figures["overhead"] == pytest.approx(expected, abs=1e-4)
    assert figures["low"] <= figures["overhead"] <= figures["high"]
    assert figures["tokens_per_s_plain"] == round(12 * BATCH * SEQ_LEN / steps.sum())
    assert (figures["runs"], figures["steps"]) == (7, 12)
