import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.reports.charts import (
    MAX_BARS,
    PLOT_HEIGHT,
    bars,
    host_bars,
    length_plot,
    nice_ceiling,
    parts,
    share_plot,
)
from hf_curation.reports.tally import Histogram, length_edges


def test_bars_are_ranked_and_the_rest_is_one_bar():
    rows = bars({f"word-{i:02d}": i for i in range(1, 31)}, {"word-30": "the meaning"})
    assert len(rows) == MAX_BARS
    assert (rows[0].label, rows[0].width, rows[0].meaning) == ("word-30", pytest.approx(100 * 30 / 120), "the meaning")
    assert (rows[-1].label, rows[-1].text, rows[-1].width) == ("15 others", "120 · 25.8 %", 100)
    assert bars({}) == []


def test_hosts_that_lost_nothing_have_no_bar():
    top = [("a.example", [80, 100, 2]), ("b.example", [20, 200, 1]), ("c.example", [0, 50, 1])]
    rows = host_bars(top, [900, 1000, 7], 6)
    assert [(row.label, row.width, row.text) for row in rows] == [
        ("a.example", 100, "80 · 80 %"),
        ("b.example", 25, "20 · 10 %"),
        ("6 other hosts", 0, "900 · 90 %"),
    ]
    assert rows[0].detail == "80 of 100 characters removed on 2 pages"
    assert host_bars([("a.example", [0, 9, 1])], [0, 0, 0], 0) == []


@given(st.lists(st.integers(0, 10**9), min_size=5, max_size=5))
def test_parts_fill_the_whole_and_none_vanishes(counts):
    rows = parts(list(zip("abcde", counts, strict=True)))
    assert sum(row.width for row in rows) == pytest.approx(100 if any(counts) else 0)
    assert all((row.width > 0.3) == (row.count > 0) for row in rows)
    assert [row.start for row in rows] == sorted(row.start for row in rows)


@given(st.integers(0, 10**12))
def test_axes_end_at_round_numbers(value):
    ceiling = nice_ceiling(value)
    assert value <= ceiling <= max(2, 2.1 * value)
    assert ceiling % 2 == 0
    assert len(str(ceiling).rstrip("0")) <= 2


def test_columns_stand_on_the_axis_in_their_bins():
    plot = share_plot([0, 3, 12, 1])
    assert [len(column.rects) for column in plot.columns] == [1, 1, 1, 1]
    for i, column in enumerate(plot.columns):
        ((_, x, width, y, height),) = column.rects
        assert 25 * i < x < x + width < 25 * (i + 1)
        assert y + height == pytest.approx(PLOT_HEIGHT)
    assert plot.columns[2].rects[0][4] == PLOT_HEIGHT
    assert plot.columns[2].title == "50 to 75 % removed: 12 edited"
    assert [text for _, text in plot.y_ticks] == ["12", "6", "0"][::-1]


def test_the_length_axis_is_cut_to_where_pages_are():
    before, after = Histogram(length_edges()), Histogram(length_edges())
    for length in (150, 900, 5_000):
        before.add(length)
    after.add(30)
    plot = length_plot(before, after)
    assert plot.columns[0].title == "20 to 50 characters: 0 before, 1 after"
    assert plot.columns[-1].title == "5,000 to 10,000 characters: 1 before, 0 after"
    assert [text for _, text in plot.x_ticks] == ["100", "1k", "10k"]
    assert length_plot(Histogram(length_edges()), Histogram(length_edges())).columns
