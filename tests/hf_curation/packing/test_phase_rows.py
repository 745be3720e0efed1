"""Rows planned by blocks: one block is the plan of everything at once, and any number of them lose nothing."""

import pickle
from hashlib import sha256
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from hf_curation.metadata import PrefixEncoder, parse_template
from hf_curation.packing import ShardWriter, TokenStore, token_dtype, vocabulary_hash, write_store_index
from hf_curation.packing.order import DocumentOrder
from hf_curation.packing.phase_rows import PhaseRows, Planning, place_of_share
from hf_curation.packing.plan import DocumentLengths, make_plan
from hf_curation.packing.prefixes import Prefixes, prefix_table, spans_of
from hf_curation.packing.schedule import Phase, Schedule
from hf_curation.packing.segments import SpecialTokens

NUM, SEQ_LEN = 3000, 256
KINDS = ["truncate", "best_fit", "split"]


@pytest.fixture(scope="module")
def tokenizer(make_byte_tokenizer):
    return make_byte_tokenizer()


@pytest.fixture(scope="module")
def store(tmp_path_factory, tokenizer) -> TokenStore:
    folder = tmp_path_factory.mktemp("store")
    writer = ShardWriter(folder / "tokens" / "00000.arrow", token_dtype(300), {"url": pa.string()})
    lengths = np.clip(np.random.default_rng(0).lognormal(3.5, 1.0, NUM), 1, 900).astype(int)
    for i, length in enumerate(lengths.tolist()):
        writer.add(f"d{i}", [i % 250] * length, {"url": None if i % 9 == 0 else f"https://h{i % 40}.example/{i}"})
    write_store_index(folder, [writer.close()], tokenizer="b", vocabulary_sha256=vocabulary_hash(tokenizer))
    return TokenStore(folder)


@pytest.fixture(scope="module")
def plan(store, tokenizer):
    encoder = PrefixEncoder(tokenizer, parse_template())

    def build(block_documents=NUM, places=None, seed=0, kind="best_fit", schedule=None) -> PhaseRows:
        spans = spans_of(len(store), block_documents)
        prefixes = Prefixes([prefix_table(store, encoder, documents) for documents in spans])
        order = DocumentOrder(len(store), seed, block_documents=block_documents)
        how = Planning(
            kind=kind,
            seq_len=SEQ_LEN,
            seed=seed,
            phase=Phase.CONDITIONED,
            schedule=schedule or Schedule(),
            special=SpecialTokens.of(tokenizer),
        )
        return PhaseRows(store, prefixes, order, places or range(len(store)), how)

    return build


def spelled(rows: PhaseRows) -> list[list[tuple]]:
    return [
        [
            (one["document"], bytes(list(one["input_ids"])), bytes(list(one["metadata_ids"])), one["ends"])
            for one in rows.segments(row)
        ]
        for row in range(rows.num_rows)
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("schedule", [Schedule(), Schedule(kind="mix", probability=0.5)])
def test_one_block_is_the_plan_of_all_documents_at_once(store, tokenizer, plan, kind, schedule):
    """The slow twin: one permutation, one plan over arrays of all documents, one digest over them."""
    share = place_of_share(store, DocumentOrder(NUM, 4), 0.7)
    permutation = np.random.Generator(np.random.PCG64(4)).permutation(NUM)
    seen = np.cumsum(store.lengths_D[permutation])
    assert share == np.searchsorted(seen, 0.7 * seen[-1])
    table = prefix_table(store, PrefixEncoder(tokenizer, parse_template()))
    conditioned = np.array([schedule.is_conditioned(Phase.CONDITIONED, f"d{i}") for i in range(NUM)])
    chosen = np.sort(permutation[:share])
    prefixes = np.array([len(table.ids(i)) for i in range(NUM)]) * conditioned
    whole = DocumentLengths(
        body_D=store.lengths_D[chosen], head_D=1 + prefixes[chosen], tail_D=np.ones(share, dtype=np.int64)
    )
    expected = make_plan(kind, whole, seq_len=SEQ_LEN, seed=4)
    documents = chosen[expected.document_P]
    digest = sha256(store.fingerprint.encode())
    for array in (expected.rows_R1, documents, expected.start_P, expected.length_P, expected.tail_P):
        digest.update(array.tobytes())
    for array in (conditioned, table.row_D, table.ids_T, table.starts_R1):
        digest.update(array.tobytes())

    rows = plan(places=range(share), seed=4, kind=kind, schedule=schedule)
    assert rows.num_blocks == 1
    assert rows.fingerprint == digest.hexdigest()
    found = rows.block(0).plan
    assert np.array_equal(found.rows_R1, expected.rows_R1)
    assert np.array_equal(found.document_P, documents)
    assert [rows.documents(row) for row in range(rows.num_rows)] == [
        documents[first:last].tolist() for first, last in pairwise(expected.rows_R1)
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("block_documents", [97, 1000, 2999])
def test_blocks_hold_every_document_as_often_as_one_does(store, plan, kind, block_documents):
    rows = plan(block_documents, kind=kind)
    assert rows.num_blocks == -(-NUM // block_documents)
    placed = np.zeros(NUM, dtype=int)
    pieces: set[tuple[int, int]] = set()
    for row in spelled(rows):
        assert sum(1 + len(prefix) + len(body) + ends for _, body, prefix, ends in row) <= SEQ_LEN
        for document, body, prefix, _ in row:
            assert body == bytes([document % 250]) * len(body)
            assert bool(prefix) == (document % 9 > 0)
            pieces.add((document, placed[document]))
            placed[document] += len(body)
    assert (placed > 0).all()
    if kind == "split":
        assert np.array_equal(placed, store.lengths_D)
    if kind == "best_fit":
        room = SEQ_LEN - 1 - np.array([len(rows.prefixes.ids(i)) for i in range(NUM)])
        assert np.array_equal(placed, np.minimum(store.lengths_D, room)), "only what is longer than a row is cut"
        assert len(pieces) == NUM


def test_equal_arguments_give_equal_rows_whoever_asks_and_in_whatever_order(plan):
    rows, again = plan(170), pickle.loads(pickle.dumps(plan(170)))  # noqa: S301 - as a DataLoader worker gets it
    expected = spelled(rows)
    assert again.fingerprint == rows.fingerprint
    for row in np.random.default_rng(0).permutation(rows.num_rows)[:80].tolist():
        assert again.documents(row) == [document for document, *_ in expected[row]]
        assert len(again._held) <= 2, "and no more is held"
    prints = {plan(170).fingerprint, plan(170, seed=1).fingerprint, plan(171).fingerprint, plan().fingerprint}
    assert len(prints) == 4


def test_sources_in_a_row_are_mixed_over_all_blocks(plan):
    """A store is written source by source; every block holds of all of it."""
    rows = plan(500)
    for block in range(rows.num_blocks):
        found = rows.block(block).plan.document_P
        assert 0.4 < np.mean(found < NUM / 2) < 0.6
        assert np.corrcoef(np.arange(len(found)), found)[0, 1] < 0.1


def test_figures_are_sums_over_rows_across_blocks_and_rounds(plan):
    rows = plan(400, schedule=Schedule(kind="mix", probability=0.5))
    of_rows = np.array(
        [
            [len(row), sum(len(p) > 0 for _, _, p, _ in row), sum(1 + len(p) + len(b) + e for _, b, p, e in row)]
            for row in spelled(rows)
        ]
    )
    rng = np.random.default_rng(0)
    for first, count in zip(
        rng.integers(rows.num_rows, size=30), rng.integers(3 * rows.num_rows, size=30), strict=True
    ):
        at = np.arange(first, first + count) % rows.num_rows
        assert rows.figures(int(first), int(count))[:3] == of_rows[at].sum(axis=0).tolist()


def test_blocks_of_a_thousand_documents_are_as_full(plan):
    whole, blocks = plan().num_rows, plan(1000).num_rows
    assert whole <= blocks <= 1.005 * whole
