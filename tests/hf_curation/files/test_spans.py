"""Contiguous spans: every record once, in order, for any number of tasks."""

import gzip
import itertools
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from hf_curation.files import spans
from hf_curation.files.reading import ShardError
from hf_curation.files.sources import find_source, limit_records
from hf_curation.files.spans import Span, deal_spans


def write_lines(path, numbers):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"n": n, "pad": "x" * (n * 37 % 900)}) + "\n" for n in numbers))


def read_plain(source, dealt):
    """The numbers that all spans hold, in order, the slow way."""
    found = []
    for span in (span for task in dealt for span in task):
        file = source.files[span.file]
        with source.open(file) as raw:
            raw.seek(span.offset)
            lines = raw.read().splitlines()[0 if span.offset else span.start :]
        found += [json.loads(line)["n"] for line in lines[: None if span.stop is None else span.stop - span.start]]
    return found


@pytest.mark.parametrize("block", [64, 1000, 2**20])
@pytest.mark.parametrize("num_tasks", [1, 2, 3, 7, 11, 400])
def test_every_record_once_and_in_order(tmp_path, monkeypatch, num_tasks, block):
    monkeypatch.setattr(spans, "_BLOCK_BYTES", block)
    write_lines(tmp_path / "in" / "a.jsonl", range(50))
    write_lines(tmp_path / "in" / "b.jsonl", range(50, 53))
    write_lines(tmp_path / "in" / "c.jsonl", range(53, 200))
    source = find_source(tmp_path / "in")
    dealt = deal_spans(source, num_tasks)
    assert len(dealt) == num_tasks
    assert read_plain(source, dealt) == list(range(200))
    limited = limit_records(source, 120)
    assert read_plain(limited, deal_spans(limited, num_tasks)) == list(range(120))


def test_large_files_are_shared_by_more_tasks(tmp_path):
    write_lines(tmp_path / "in" / "a.jsonl", range(1000))
    write_lines(tmp_path / "in" / "b.jsonl", range(100))
    dealt = deal_spans(find_source(tmp_path / "in"), 5)
    assert [task[0].file for task in dealt] == [0, 0, 0, 0, 1]
    assert [task[0].start for task in dealt] == [0, 250, 500, 750, 0]
    assert dealt[4] == [Span(1)]


def test_compressed_files_and_parquet_are_cut_by_records(tmp_path):
    data = b"".join(b'{"n": %d}\n' % n for n in range(10))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(data))
    expected = [[Span(0, 0, 3)], [Span(0, 3, 6)], [Span(0, 6, 10)]]
    assert deal_spans(find_source(tmp_path / "a.jsonl.gz"), 3) == expected
    parquet.write_table(pa.table({"n": range(10)}), tmp_path / "a.parquet", row_group_size=4)
    assert deal_spans(find_source(tmp_path / "a.parquet"), 3) == expected
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(data)[:-9])
    with pytest.raises(ShardError):
        deal_spans(find_source(tmp_path / "a.jsonl.gz"), 3)


def test_a_last_line_without_newline_and_an_empty_file(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"n": 0}\n{"n": 1}')
    source = find_source(tmp_path / "a.jsonl")
    assert read_plain(source, deal_spans(source, 2)) == [0, 1]
    (tmp_path / "a.jsonl").write_bytes(b"")
    assert read_plain(source, deal_spans(find_source(tmp_path / "a.jsonl"), 3)) == []


@settings(max_examples=200, deadline=None)
@given(sizes=st.lists(st.integers(0, 1000), min_size=1, max_size=30), data=st.data())
def test_files_are_cut_into_runs(sizes, data):
    num_tasks = data.draw(st.integers(1, len(sizes)))
    edges = spans._cut(sizes, num_tasks)
    assert len(edges) == num_tasks + 1
    assert (edges[0], edges[-1]) == (0, len(sizes))
    assert all(a < b for a, b in itertools.pairwise(edges))
    loads = [sum(sizes[a:b]) for a, b in itertools.pairwise(edges)]
    assert max(loads) <= sum(sizes) / num_tasks + 2 * max(sizes)


def test_no_tasks(tmp_path):
    write_lines(tmp_path / "a.jsonl", range(3))
    with pytest.raises(ValueError, match="at least 1, got 0"):
        deal_spans(find_source(tmp_path / "a.jsonl"), 0)
