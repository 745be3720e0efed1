import json
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.evaluation.word_f1 import word_f1
from hf_curation.reports.gather import gather_report
from hf_curation.reports.tally import OTHER, Histogram, Mean, TopTally, count_words, length_edges, share_edges


def test_the_figures_are_those_of_the_pages(small_run):
    """Slow twin: count the rows of the fixture."""
    stats = gather_report(small_run.write(num_files=2)).stats
    rows = small_run.rows
    after = {row["id"]: 0 if row["refine_status"] == "dropped" else len(row["text"]) for row in rows}
    assert stats.outcomes == {"edited": 6, "kept": 2, "fallback": 1, "dropped": 2, "quarantined": 3}
    assert stats.num_documents == len(rows) + 3
    assert stats.chars_before == sum(len(row["original_text"]) for row in rows)
    assert stats.chars_after == sum(after.values())
    assert stats.share_of_chars_removed == pytest.approx(1 - stats.chars_after / stats.chars_before)
    assert stats.rejected == Counter(word for row in rows for word in row["refine_rejected"])
    assert stats.fallbacks == {"removed_too_much": 1}
    assert stats.dropped == {"drop_doc": 2}
    assert stats.operations == {"keep": 9 + 2, "drop document": 2, "remove lines": 12, "replace string": 6}
    removed = sum(stats.chars_by_operation.values())
    assert removed == stats.chars_before - stats.chars_after
    assert stats.chars_by_operation["strings replaced"] == 6 * len(", call us on 555 0100")
    assert (stats.replayed, stats.problems) == (11, {})
    hosts = {host: entry for host, entry in stats.hosts.top(9)[0]}
    assert hosts["host-1.example"][2] == 2
    assert sum(entry[0] for entry in hosts.values()) == removed
    assert stats.share_removed.total == 6
    assert stats.untouched == 3


def test_the_dictionary_is_json_and_adds_up(small_run):
    data = json.loads(json.dumps(gather_report(small_run.write()).as_dict()))
    assert sum(data["outcomes"].values()) == data["documents"] == data["run"]["documents_in"] == 14
    assert data["warnings"] == []
    assert data["chars_before"] - data["chars_after"] == sum(data["chars_removed_by_operation"].values())
    assert "/models" not in json.dumps(data)
    assert data["run"]["refiners"] == {"chunk": "tagger-v1"}
    assert data["run"]["output_tokens"] == 1234


def test_tampering_is_counted(small_run):
    small_run.rows[0]["text"] += " tampered"
    report = gather_report(small_run.write())
    assert report.stats.problems == {"text_differs": 1}
    assert report.stats.problem_ids == ["edited-0"]
    assert report.pages[0].problem is not None
    assert "1 of 11 pages do not follow" in report.facts.warnings(report.stats)[0]


def test_documents_that_are_missing_are_noticed(small_run):
    path = small_run.write()
    (path / "quarantine" / "read-00000.jsonl").unlink()
    report = gather_report(path)
    assert report.facts.warnings(report.stats) == ["The manifests say that 14 documents came in; the folder holds 11."]
    (path / "manifests" / "00000.json").unlink()
    report = gather_report(path)
    assert "no manifests" in report.facts.warnings(report.stats)[0]


def test_f1_is_the_mean_over_pages_with_gold_text(run):
    run.add("a", gold_text="Whales sing to one another.").add("b", program="drop_doc()", gold_text="").add("c")
    stats = gather_report(run.write()).stats
    texts = [(row["original_text"], "" if row["refine_status"] == "dropped" else row["text"]) for row in run.rows[:2]]
    golds = ["Whales sing to one another.", ""]
    before = [word_f1(text, gold) for (text, _), gold in zip(texts, golds, strict=True)]
    after = [word_f1(text, gold) for (_, text), gold in zip(texts, golds, strict=True)]
    assert stats.f1_before.value == pytest.approx(sum(before) / 2)
    assert stats.f1_after.value == pytest.approx(sum(after) / 2)
    assert stats.compares_f1
    assert after[1] == 1


def test_without_originals_nothing_is_guessed(small_run):
    stats = gather_report(small_run.write(keep_original=False)).stats
    assert not stats.is_measured
    assert stats.share_of_chars_removed is None
    assert not stats.has_lengths
    assert stats.as_dict()["outcomes"]["edited"] == 6


def test_page_types_are_capped(run):
    for i in range(40):
        run.add(f"{i}", page_type=f"type-{i}" if i < 20 else "type-0")
    kinds = gather_report(run.write()).stats.kinds
    assert len(kinds) <= 13
    assert sum(kind.pages for kind in kinds.values()) == 40
    assert kinds["type-0"].pages == 21


@given(st.lists(st.floats(0, 1)))
def test_shares_fall_into_their_bins(values):
    histogram = Histogram(share_edges())
    for value in values:
        histogram.add(value)
    assert histogram.total == len(values)
    for low, high, count in histogram.bins():
        assert count == sum(low <= v < high or (high == 1 and v == 1) for v in values)


def test_length_bins_step_by_1_2_5():
    assert length_edges()[:8] == (0, 1, 2, 5, 10, 20, 50, 100)
    histogram = Histogram(length_edges())
    histogram.add(0)
    histogram.add(99)
    histogram.add(10**12)
    assert [(low, high) for low, high, count in histogram.bins() if count] == [(0, 1), (50, 100), (5e7, 1e8)]


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.integers(0, 9)), max_size=60))
def test_a_full_table_forgets_small_hosts_and_no_characters(pages):
    table, exact = TopTally(max_keys=4), TopTally()
    for host, removed in pages:
        table.add(host, removed, removed + 1)
        exact.add(host, removed, removed + 1)
    top, others, _ = table.top(3)
    assert sum(entry[0] for _, entry in top) + others[0] == sum(removed for _, removed in pages)
    assert sum(entry[2] for _, entry in top) + others[2] == len(pages)
    assert len(table.sums) <= 4
    if table.is_exact:
        assert table.top(3) == exact.top(3)


def test_a_host_that_dwarfs_the_rest_stays_on_top():
    table = TopTally(max_keys=10)
    for i in range(5_000):
        table.add("large.example" if i % 3 == 0 else f"{i}.example", 100, 200)
    assert not table.is_exact
    assert table.top(1)[0] == [("large.example", [166_700, 333_400, 1667])]


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=50))
def test_the_mean_is_that_of_an_exact_sum(values):
    mean = Mean()
    for value in values:
        mean.add(value)
    assert mean.value == pytest.approx(math.fsum(values) / len(values), rel=1e-12, abs=1e-9)
    assert Mean().value is None


def test_foreign_reasons_do_not_fill_the_memory():
    counter = Counter()
    count_words(counter, (f"reason-{i}" for i in range(10_000)))
    count_words(counter, ["reason-0", "x" * 10_000])
    assert len(counter) == 201
    assert (counter["reason-0"], counter.total()) == (2, 10_002)
    assert counter[OTHER] == 10_002 - 201
