"""Pack plans against a token-by-token twin, and the laws that each kind keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.packing.best_fit import best_fit_decreasing
from hf_curation.packing.plan import DocumentLengths, PackPlan, figures_of, make_plan

KINDS = ["truncate", "best_fit", "split"]


def lengths_of(body, head, tail) -> DocumentLengths:
    as_array = [np.array(values, dtype=np.int64) for values in (body, head, tail)]
    return DocumentLengths(body_D=as_array[0], head_D=as_array[1], tail_D=as_array[2])


@st.composite
def documents(draw) -> tuple[DocumentLengths, int]:
    seq_len = draw(st.integers(4, 40))
    docs = draw(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 3), st.integers(0, 1)), max_size=30))
    return lengths_of(*(zip(*docs, strict=True) if docs else ([], [], []))), seq_len


def rows(plan: PackPlan, lengths: DocumentLengths) -> list[list[tuple[str, int, int]]]:
    """The sequences spelled out token by token: (part, document, index in the part)."""
    spelled = []
    for r in range(plan.num_rows):
        row = []
        for p in range(plan.rows_R1[r], plan.rows_R1[r + 1]):
            d, start = int(plan.document_P[p]), int(plan.start_P[p])
            row += [("head", d, i) for i in range(lengths.head_D[d])]
            row += [("body", d, i) for i in range(start, start + plan.length_P[p])]
            row += [("tail", d, i) for i in range(plan.tail_P[p])]
        spelled.append(row)
    return spelled


@given(documents(), st.sampled_from(KINDS), st.integers(0, 3))
def test_every_sequence_fits_and_no_token_stands_twice(case, kind, seed):
    lengths, seq_len = case
    plan = make_plan(kind, lengths, seq_len=seq_len, seed=seed)
    spelled = rows(plan, lengths)
    assert all(0 < len(row) <= seq_len for row in spelled)
    placed = [token for row in spelled for token in row if token[0] != "head"]
    assert len(placed) == len(set(placed))
    assert set(plan.document_P.tolist()) == set(range(len(lengths.body_D))), "every document is in some sequence"
    figures = figures_of(plan, lengths)
    assert figures.lost_tokens == lengths.body_D.sum() - sum(token[0] == "body" for token in placed)
    assert figures.fill == pytest.approx(sum(map(len, spelled)) / max(1, len(spelled) * seq_len))
    if kind == "split":
        assert figures.lost_tokens == 0


@given(documents(), st.integers(0, 3))
def test_truncate_equals_its_slow_twin(case, seed):
    """Concatenate in order; cut at the sequence's end; the next sequence starts with the next document."""
    lengths, seq_len = case
    plan = make_plan("truncate", lengths, seq_len=seq_len, seed=seed)
    expected, row = [], []
    for d in plan.document_P.tolist():
        head = [("head", d, i) for i in range(lengths.head_D[d])]
        rest = [("body", d, i) for i in range(lengths.body_D[d])] + [("tail", d, i) for i in range(lengths.tail_D[d])]
        if row and len(row) + len(head) >= seq_len:
            expected.append(row)
            row = []
        row = row + head + rest
        if len(row) >= seq_len:
            expected.append(row[:seq_len])
            row = []
    assert rows(plan, lengths) == expected + ([row] if row else [])


@given(documents())
def test_best_fit_cuts_only_documents_longer_than_a_sequence(case):
    lengths, seq_len = case
    plan = make_plan("best_fit", lengths, seq_len=seq_len, seed=0)
    for d, start, length in zip(plan.document_P, plan.start_P, plan.length_P, strict=True):
        assert start == 0
        assert length == min(lengths.body_D[d], seq_len - lengths.head_D[d])


@given(st.integers(1, 30).flatmap(lambda c: st.tuples(st.just(c), st.lists(st.integers(1, c), max_size=50))))
def test_as_many_bins_as_the_textbook_algorithm(case):
    capacity, lengths = case
    bins = best_fit_decreasing(np.array(lengths, dtype=np.int64), capacity)
    used = np.bincount(bins, weights=lengths) if lengths else np.zeros(0)
    assert (used <= capacity).all()
    free: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [b for b, space in enumerate(free) if space >= length]
        if fitting:
            free[min(fitting, key=free.__getitem__)] -= length
        else:
            free.append(capacity - length)
    assert len(used) == len(free)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_the_order_and_nothing_else(kind):
    lengths = lengths_of(range(1, 200), [2] * 199, [1] * 199)
    first, again, other = (make_plan(kind, lengths, seq_len=64, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.document_P, again.document_P)
    assert not np.array_equal(first.document_P, other.document_P)


@pytest.mark.parametrize(
    ("body", "head", "kind", "message"),
    [
        ([3, 0], [1, 1], "split", "document 1 has no tokens"),
        ([3, 3], [1, 8], "best_fit", "prefix of document 1 takes 8 of 8 tokens"),
        ([3], [1], "bfd", "must be one of best_fit, split, truncate, got 'bfd'"),
    ],
)
def test_what_cannot_be_packed_is_an_error(body, head, kind, message):
    with pytest.raises(ValueError, match=message):
        make_plan(kind, lengths_of(body, head, [1] * len(body)), seq_len=8, seed=0)
