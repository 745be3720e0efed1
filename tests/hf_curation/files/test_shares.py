import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.files.shares import deal

sizes = st.lists(st.integers(0, 10**9), max_size=12)


@given(sizes, st.integers(1, 30))
def test_every_part_of_every_file_goes_to_one_task(sizes, num_tasks):
    shares = deal(sizes, num_tasks)
    assert len(shares) == num_tasks
    parts = {}
    for share in (share for task in shares for share in task):
        parts.setdefault(share.file, []).append((share.part, share.num_parts))
    assert sorted(parts) == list(range(len(sizes)))
    for of_file in parts.values():
        num_parts = of_file[0][1]
        assert sorted(of_file) == [(part, num_parts) for part in range(num_parts)]


@given(sizes, st.integers(1, 30))
def test_no_task_is_idle_while_there_are_files(sizes, num_tasks):
    if sizes:
        assert all(deal(sizes, num_tasks))


def test_a_large_file_gets_more_parts():
    shares = deal([10, 1000, 10], 8)
    assert [task[0].file for task in shares].count(1) == 6


def test_files_are_dealt_by_size():
    assert [[share.file for share in task] for task in deal([1, 90, 50, 40], 2)] == [[0, 1], [2, 3]]


def test_at_least_one_task():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        deal([1], 0)
