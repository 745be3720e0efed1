"""Prefix tables on disk: equal to those made afresh, made once, never stale, whatever happens to the file."""

import logging
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import normalizers

from hf_curation.metadata import KINDS, FieldKind, PrefixEncoder, ValueCounts, parse_template, register_kind
from hf_curation.metadata.identity import tokenizer_digest
from hf_curation.packing import ShardWriter, TokenStore, token_dtype, vocabulary_hash, write_store_index
from hf_curation.packing import prefix_cache as module
from hf_curation.packing.merge import begin_shard
from hf_curation.packing.prefix_cache import cached_prefixes, table_path
from hf_curation.packing.prefixes import prefix_table


@pytest.fixture(autouse=True)
def always(monkeypatch):
    monkeypatch.setattr(module, "MIN_DOCUMENTS", 1)


@pytest.fixture(scope="module")
def tokenizer(make_byte_tokenizer):
    return make_byte_tokenizer()


def write_store(folder, tokenizer, num_documents=50):
    writer = ShardWriter(folder / "tokens" / "00000.arrow", token_dtype(300), {"url": pa.string()})
    for i in range(num_documents):
        url = [f"https://h{i % 5}.example/{i}", None, "http://10.0.0.1/"][(i % 9 == 0) + (i % 7 == 0)]
        writer.add(f"d{i}", [4, 5], {"url": url})
    vocabulary = vocabulary_hash(tokenizer)
    write_store_index(folder, [writer.close()], tokenizer="bytes", vocabulary_sha256=vocabulary)
    return TokenStore(folder)


@pytest.fixture
def store(tmp_path, tokenizer):
    return write_store(tmp_path / "store", tokenizer)


@pytest.fixture
def encoder(tokenizer):
    return PrefixEncoder(tokenizer, parse_template())


def cached_prefix_table(store, encoder, **settings):
    """The table of a store of one span."""
    (table,) = cached_prefixes(store, encoder, **settings).spans
    return table


def kept(store):
    return sorted(path.name for path in (store.folder / "prefixes").glob("*"))


def assert_equal(table, other):
    for name in ("ids_T", "starts_R1", "row_D"):
        one, two = getattr(table, name), getattr(other, name)
        assert one.dtype == two.dtype
        assert np.array_equal(one, two)
    assert table.counts == other.counts


def test_the_second_start_encodes_nothing(store, encoder, monkeypatch):
    fresh = prefix_table(store, encoder)
    assert fresh.counts.missing, "some documents have no host, and their reasons are kept too"
    assert_equal(cached_prefix_table(store, encoder), fresh)
    assert len(kept(store)) == 1
    monkeypatch.setattr(module, "prefix_table", lambda *_: pytest.fail("made again"))
    assert_equal(cached_prefix_table(TokenStore(store.folder), encoder), fresh)


def test_whatever_the_ids_depend_on_is_another_file(store, encoder, tokenizer, make_byte_tokenizer, tmp_path):
    counts = ValueCounts("host:url")
    for host in ("h0.example", "h1.example", "h1.example"):
        counts.add(host)
    other_rules = make_byte_tokenizer()
    other_rules.backend_tokenizer.normalizer = normalizers.Lowercase()
    encoders = [
        encoder,
        PrefixEncoder(tokenizer, parse_template("URL: {domain}\n\n")),
        PrefixEncoder(tokenizer, parse_template("url: {host}\n\n")),
        PrefixEncoder(tokenizer, parse_template(on_missing="unknown")),
        PrefixEncoder(tokenizer, parse_template().with_k_anonymity(counts, 1)),
        PrefixEncoder(tokenizer, parse_template().with_k_anonymity(counts, 2)),
        PrefixEncoder(other_rules, parse_template()),
    ]
    for one in encoders:
        assert_equal(cached_prefix_table(store, one), prefix_table(store, one))
        assert_equal(cached_prefix_table(store, one), prefix_table(store, one))
    assert len(kept(store)) == len(encoders)
    longer = write_store(tmp_path / "other", tokenizer, 60)
    assert table_path(longer, encoder).name not in kept(store)


def test_an_equal_encoder_finds_the_table_whatever_calls_left_behind(store, encoder, make_byte_tokenizer):
    cached_prefix_table(store, encoder)
    used = make_byte_tokenizer()
    digest = tokenizer_digest(used)
    used(["a", "bcd"], padding=True, truncation=True, max_length=2)
    assert tokenizer_digest(used) == digest
    assert table_path(store, PrefixEncoder(used, parse_template())).name in kept(store)


def letters(value):
    return str(value)


def test_what_cannot_be_told_is_not_kept(store, tokenizer, monkeypatch):
    monkeypatch.setenv("HOST_KEY", "secret")
    register_kind("letters", FieldKind(extract=letters, column="url", summary="of this test"))
    try:
        for template in ("{host_hash:url,key_env=HOST_KEY}\n", "{letters}\n"):
            encoder = PrefixEncoder(tokenizer, parse_template(template))
            assert_equal(cached_prefix_table(store, encoder), prefix_table(store, encoder))
    finally:
        del KINDS["letters"]

    class Own:
        def encode(self, text, *, add_special_tokens=True):
            return list(text.encode())

    assert cached_prefix_table(store, PrefixEncoder(Own(), parse_template())).counts.num_documents == 50
    assert not kept(store)


@pytest.mark.parametrize("damage", ["cut", "noise", "other_store", "no_counts"])
def test_a_damaged_table_is_made_again(store, encoder, tokenizer, tmp_path, damage, caplog):
    fresh = prefix_table(store, encoder)
    cached_prefix_table(store, encoder)
    path = table_path(store, encoder)
    whole = path.read_bytes()
    if damage == "other_store":
        longer = write_store(tmp_path / "longer", tokenizer, 60)
        cached_prefix_table(longer, encoder)
        path.write_bytes(table_path(longer, encoder).read_bytes())
    elif damage == "no_counts":
        path.write_bytes(whole.replace(b"counts", b"stnuoc"))
    else:
        path.write_bytes(whole[:-9] if damage == "cut" else b"\xff" * 64)
    with caplog.at_level(logging.WARNING):
        assert_equal(cached_prefix_table(store, encoder), fresh)
    assert "is damaged" in caplog.text
    assert path.read_bytes() == whole


def test_processes_that_start_together_leave_one_whole_file(store, tokenizer):
    encoders = [PrefixEncoder(tokenizer, parse_template()) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        tables = list(pool.map(lambda one: cached_prefix_table(store, one), encoders))
    for table in tables:
        assert_equal(table, tables[0])
    assert len(kept(store)) == 1, "and no part of one"


def test_a_folder_that_takes_nothing_costs_no_run(store, encoder):
    (store.folder / "prefixes").write_text("in the way")
    assert_equal(cached_prefix_table(store, encoder), prefix_table(store, encoder))


def test_readers_do_not_write_and_a_new_store_drops_old_tables(store, encoder):
    cached_prefix_table(store, encoder, write=False)
    assert not kept(store)
    cached_prefix_table(store, encoder)
    begin_shard(store.folder, 0, {})
    assert not kept(store)


def test_spans_hold_what_one_table_holds_and_lie_in_files_of_their_own(store, encoder, monkeypatch):
    whole = prefix_table(store, encoder)
    documents = np.random.default_rng(0).permutation(50)[:31]
    for _ in range(2):
        prefixes = cached_prefixes(store, encoder, span_documents=16)
        assert [len(table.row_D) for table in prefixes.spans] == [16, 16, 16, 2]
        assert [prefixes.ids(i).tolist() for i in range(50)] == [whole.ids(i).tolist() for i in range(50)]
        assert prefixes.lengths(documents).tolist() == [len(whole.ids(i)) for i in documents.tolist()]
        assert prefixes.counts == whole.counts
        assert len(kept(store)) == 4
        monkeypatch.setattr(module, "prefix_table", lambda *_: pytest.fail("made again"))
    assert table_path(store, encoder).name not in kept(store), "a table of all is another file"


def test_a_table_on_the_disk_is_mapped_and_pickles_as_its_name(store, encoder):
    table = cached_prefix_table(store, encoder)
    assert not table.row_D.flags.owndata
    assert not table.row_D.flags.writeable
    pickled = pickle.dumps(table)
    assert len(pickled) < 500
    assert_equal(pickle.loads(pickled), table)  # noqa: S301 - as a DataLoader worker gets it
    fresh = prefix_table(store, encoder)
    assert_equal(pickle.loads(pickle.dumps(fresh)), fresh)  # noqa: S301


def test_small_stores_keep_no_table(store, encoder, monkeypatch):
    monkeypatch.setattr(module, "MIN_DOCUMENTS", 51)
    cached_prefix_table(store, encoder)
    assert not kept(store)
