"""The shuffle of documents: a permutation of any size, the same by stretches, in every seed another."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.packing.order import DocumentOrder


@given(st.integers(1, 400), st.integers(0, 5), st.sampled_from([1, 7, 1000]), st.integers(1, 60))
def test_every_document_has_one_place_however_the_order_is_read(num_documents, seed, block, step):
    order = DocumentOrder(num_documents, seed, block_documents=block)
    whole = order.stretch(0, num_documents)
    assert sorted(whole.tolist()) == list(range(num_documents))
    parts = [order.stretch(first, first + step) for first in range(0, num_documents, step)]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_one_block_is_the_permutation_of_numpy():
    expected = np.random.Generator(np.random.PCG64(3)).permutation(1000)
    assert DocumentOrder(1000, 3, block_documents=1000).stretch(0, 1000).tolist() == expected.tolist()
    assert DocumentOrder(1000, 3, block_documents=999).stretch(0, 1000).tolist() != expected.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_beyond_a_block_places_say_nothing_of_documents(seed):
    """Counts in a grid of places and documents scatter as those of independent draws do; neighbours are strangers."""
    size, cells = 200_000, 50
    found = DocumentOrder(size, seed, block_documents=1).stretch(0, size)
    expected = size / cells**2
    counts, *_ = np.histogram2d(np.arange(size), found, bins=(cells, cells))
    chi_square = ((counts - expected) ** 2 / expected).sum()
    degrees = (cells - 1) ** 2
    assert abs(chi_square - degrees) < 5 * np.sqrt(2 * degrees)
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 5 / np.sqrt(size)
    assert np.count_nonzero(np.abs(np.diff(found)) == 1) < 12, "two are expected"


def test_seeds_give_orders_of_their_own():
    one, other = (DocumentOrder(50_000, seed, block_documents=1).stretch(0, 50_000) for seed in (0, 1))
    assert np.count_nonzero(one == other) < 12, "one is expected"


def test_a_billion_documents_are_never_all_there():
    order = DocumentOrder(10**9, 0)
    found = order.stretch(10**9 - 5, 10**9)
    assert len(set(found.tolist())) == 5
    assert found.max() < 10**9
    assert sum(table.nbytes for table in order._moves) < 2_000_000


def test_no_block_is_too_small():
    with pytest.raises(ValueError, match="block_documents must be at least 1, got 0"):
        DocumentOrder(5, 0, block_documents=0)
