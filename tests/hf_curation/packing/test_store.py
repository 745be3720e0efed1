"""The token store: what goes in comes out, by view, across shards, batches and processes."""

import pickle

import numpy as np
import pyarrow as pa
import pytest

from hf_curation.packing import store as store_module
from hf_curation.packing.store import ShardWriter, TokenStore, token_dtype, vocabulary_hash, write_store_index

DOCUMENTS = [
    (f"d{i}", list(range(i, 2 * i + 1)), {"url": f"https://h{i % 3}.example/{i}", "junk": i}) for i in range(40)
]


class Vocabulary:
    def __init__(self, *tokens: str) -> None:
        self.tokens = tokens

    def get_vocab(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "BATCH_DOCUMENTS", 7)
    shards = []
    for rank in range(3):
        writer = ShardWriter(tmp_path / "tokens" / f"{rank:05d}.arrow", token_dtype(100), {"url": pa.string()})
        for document in DOCUMENTS[rank * 15 : (rank + 1) * 15]:
            writer.add(*document)
        shards.append(writer.close())
    write_store_index(tmp_path, shards, tokenizer="tiny", vocabulary_sha256=vocabulary_hash(Vocabulary("a", "b")))
    return tmp_path


def test_every_document_comes_back(folder):
    store = pickle.loads(pickle.dumps(TokenStore(folder)))  # noqa: S301 - as a DataLoader worker gets it
    assert len(store) == 40
    assert store.lengths_D.tolist() == [len(ids) for _, ids, _ in DOCUMENTS]
    for i, (name, ids, metadata) in enumerate(DOCUMENTS):
        assert store.tokens(i).tolist() == ids
        assert store.tokens(i, 1, 3).tolist() == ids[1:4]
        assert store.metadata(i) == {"id": name, "url": metadata["url"]}
    assert store.tokens(3).dtype == np.uint16
    assert not store.tokens(3).flags.owndata, "a view into the map, not a copy"


def test_some_documents_in_any_order(folder):
    store = TokenStore(folder)
    for documents in (np.array([], dtype=np.int64), np.array([39, 0, 7, 6, 14, 15, 15]), np.arange(40)):
        assert store.lengths(documents).tolist() == store.lengths_D[documents].tolist()
        assert store.ids(documents) == [f"d{i}" for i in documents]
    assert store.num_tokens == store.lengths_D.sum()


def test_columns_of_any_stretch(folder):
    store, urls = TokenStore(folder), [{"url": metadata["url"]} for _, _, metadata in DOCUMENTS]
    for first in range(41):
        for last in range(first, 41):
            assert list(store.rows(["url"], range(first, last))) == urls[first:last]


def test_a_pickled_store_holds_no_tokens(folder):
    assert len(pickle.dumps(TokenStore(folder))) < 1_000


def test_the_datasets_library_reads_a_store(folder):
    datasets = pytest.importorskip("datasets")
    files = sorted(str(path) for path in (folder / "tokens").iterdir())
    rows = datasets.load_dataset("arrow", data_files=files, split="train", cache_dir=str(folder / "cache"))
    assert rows["id"][:] == [name for name, _, _ in DOCUMENTS]


def test_wide_vocabularies_take_four_bytes(tmp_path):
    assert token_dtype(65_535) == pa.uint16()
    writer = ShardWriter(tmp_path / "tokens" / "00000.arrow", token_dtype(65_536), {})
    writer.add("x", [65_536, 128_000], {})
    write_store_index(tmp_path, [writer.close()], tokenizer="wide", vocabulary_sha256="")
    assert TokenStore(tmp_path).tokens(0).tolist() == [65_536, 128_000]


def test_an_id_that_does_not_fit_is_an_error(tmp_path):
    writer = ShardWriter(tmp_path / "s.arrow", token_dtype(10), {})
    writer.add("x", [70_000], {})
    with pytest.raises(ValueError, match="a value of 'input_ids' does not fit its type"):
        writer.close()
    writer.discard()
    assert not list(tmp_path.iterdir())


def test_an_empty_store(tmp_path):
    write_store_index(tmp_path, [], tokenizer="t", vocabulary_sha256="")
    assert len(TokenStore(tmp_path)) == 0


def test_another_tokenizer_is_refused(folder):
    TokenStore(folder).check_tokenizer(Vocabulary("a", "b"))
    with pytest.raises(ValueError, match="was tokenized with 'tiny'"):
        TokenStore(folder).check_tokenizer(Vocabulary("b", "a"))


def test_half_a_store_is_refused(folder):
    (folder / "tokens" / "00001.arrow").unlink()
    with pytest.raises(ValueError, match=r"00001\.arrow is missing"):
        TokenStore(folder)
    (folder / "store.json").unlink()
    with pytest.raises(ValueError, match="is no token store"):
        TokenStore(folder)
