import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.metadata import Missing, ValueCounts

VALUES = ["a.com"] * 5 + ["b.com"] * 3 + ["c.com"] + [Missing("absent")] * 2


def count(values):
    counts = ValueCounts("host:url")
    for value in values:
        counts.add(value)
    return counts


@given(st.permutations(VALUES), st.integers(0, len(VALUES)))
def test_any_split_merges_to_the_same(values, cut):
    left = count(values[:cut])
    left.merge(count(values[cut:]))
    assert left == count(VALUES)


def test_frequent_and_coverage():
    counts = count(VALUES)
    assert counts.frequent(1) == {"a.com", "b.com", "c.com"}
    assert counts.frequent(3) == {"a.com", "b.com"}
    assert counts.frequent(6) == frozenset()
    assert counts.num_documents == 11
    assert counts.coverage(3) == pytest.approx(8 / 11)
    assert ValueCounts("host:url").coverage(1) == 0


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_saved_and_loaded(tmp_path, suffix):
    counts = count([*VALUES, 'quo"te', "naïve", "{brace}"]).prune(1)
    path = tmp_path / f"hosts{suffix}"
    counts.save(path)
    first = path.read_bytes()
    assert ValueCounts.load(path) == counts
    count([*reversed(VALUES), "{brace}", "naïve", 'quo"te']).save(path)
    assert path.read_bytes() == first
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".json", ".parquet"])
def test_a_failed_write_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"hosts{suffix}"
    count(VALUES).save(path)
    before = path.read_bytes()

    def full(fd):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        count(["x.com"]).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_pruned_counts_publish_no_rare_value(tmp_path):
    pruned = count(VALUES).prune(3)
    pruned.save(tmp_path / "hosts.json")
    assert "c.com" not in (tmp_path / "hosts.json").read_text()
    again = ValueCounts.load(tmp_path / "hosts.json")
    assert (again.num_documents, again.min_count, again.num_pruned) == (11, 3, 1)
    assert again.frequent(3) == count(VALUES).frequent(3)
    assert again.coverage(3) == count(VALUES).coverage(3)
    with pytest.raises(ValueError, match="k must be at least 3"):
        again.frequent(2)
    with pytest.raises(ValueError, match="merge first, then prune"):
        count(VALUES).merge(again)


def test_mistakes(tmp_path):
    with pytest.raises(ValueError, match="cannot merge counts of 'url:url'"):
        count(VALUES).merge(ValueCounts("url:url"))
    with pytest.raises(ValueError, match=r"k must be at least 1, .* got 0"):
        count(VALUES).frequent(0)
    with pytest.raises(ValueError, match=r"not as 'hosts\.pkl'"):
        count(VALUES).save(tmp_path / "hosts.pkl")
    for name, text in [("a.json", "[]"), ("b.json", "{"), ("c.json", json.dumps({"counts": {}})), ("d.parquet", "x")]:
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match="does not hold 'hf-curation value counts 1'"):
            ValueCounts.load(tmp_path / name)
