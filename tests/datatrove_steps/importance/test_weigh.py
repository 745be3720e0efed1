"""Counting and weighing as steps of any pipeline, and the sidecar."""

import json

import numpy as np
import pytest
from datatrove.data import Document
from pyarrow import parquet

from datatrove_steps import CountNgrams, ReadDocuments, WeighDocuments
from datatrove_steps.importance.sidecar import read_candidates, read_sidecar
from hf_curation.sampling.importance import ImportanceModel, Scoring
from hf_curation.sampling.keys import stable_hash64
from hf_curation.sampling.leakage import LeakIndex
from hf_curation.sampling.loading import load_featurizer
from hf_curation.sampling.spec import FeatureSpec

SPEC = FeatureSpec(num_buckets=500)


@pytest.fixture
def model_path(tmp_path):
    featurizer = load_featurizer(SPEC, backend="plain")
    target, raw = np.zeros(500, np.int64), np.zeros(500, np.int64)
    featurizer.count(["the whale swims in the sea", "ships at sea"], target)
    featurizer.count(["buy now", "the court ruled", "the whale swims"], raw)
    ImportanceModel.fit(target, raw, SPEC).save(tmp_path / "model.npz")
    return tmp_path / "model.npz"


def documents(*texts):
    return [Document(text=text, id=f"d{i}", metadata={"url": "u"}) for i, text in enumerate(texts)]


def test_documents_get_their_weights_and_go_on(model_path):
    step = WeighDocuments(model_path)
    out = list(step.run(iter(documents("the whale swims", "buy now", ""))))
    model = ImportanceModel.load(model_path)
    expected = model.log_weights(["the whale swims", "buy now", ""]).log_weight
    assert [doc.metadata["log_weight"] for doc in out] == expected.tolist()
    assert [doc.metadata["num_ngrams"] for doc in out] == [5, 3, 0]
    assert out[0].metadata["log_weight"] > out[1].metadata["log_weight"]
    assert all(doc.metadata["url"] == "u" for doc in out)
    assert step.stats.stats["documents"].total == 3
    assert step.stats.stats["excluded_no_ngrams"].total == 1


def test_a_sidecar_of_any_pipeline(model_path, tmp_path):
    step = WeighDocuments(model_path, scoring=Scoring(length_exponent=0), output_folder=tmp_path / "weights")
    assert len(list(step.run(iter(documents("the whale", "", "now")), rank=3, world_size=5))) == 3
    table = parquet.read_table(tmp_path / "weights" / "00003.parquet")
    assert table.column("id").to_pylist() == ["d0", "d1", "d2"]
    assert table.column("id_hash").to_pylist() == stable_hash64(["d0", "d1", "d2"]).tolist()
    assert table.column("excluded").to_pylist() == [None, "no_ngrams", None]
    assert table.schema.metadata[b"model_sha256"].decode() == ImportanceModel.load(model_path).digest
    assert not list(tmp_path.rglob("*.part"))


def test_an_error_on_the_way_leaves_nothing(model_path, tmp_path):
    def broken():
        yield from documents(*["the whale"] * 300)
        raise RuntimeError("upstream")

    with pytest.raises(RuntimeError, match="upstream"):
        list(WeighDocuments(model_path, output_folder=tmp_path / "weights").run(broken()))
    assert not list((tmp_path / "weights").iterdir())


def test_documents_that_hold_a_held_out_passage_are_marked(model_path, tmp_path):
    passage = "one two three four five six seven eight nine ten eleven twelve thirteen"
    LeakIndex.build([("set", passage)]).save(tmp_path / "leaks.npz")
    step = WeighDocuments(model_path, leak_index_path=tmp_path / "leaks.npz")
    clean, leaked = step.run(iter(documents("a whale", f"so: {passage}.")))
    assert "is_contaminated" not in clean.metadata
    assert leaked.metadata["is_contaminated"] is True
    assert step.stats.stats["leaked set"].total == 1


def test_after_a_reader_the_weights_are_those_of_the_columns(corpus, select, rows):
    folder = select(raw="raw.parquet")
    pipeline = WeighDocuments(folder / "model.npz").run(ReadDocuments(corpus / "raw.parquet").run())
    weights = {row["id"]: row["log_weight"] for row in rows(folder, "weights")}
    assert {doc.id: doc.metadata["log_weight"] for doc in pipeline} == weights


def test_readings_need_a_place_for_weights(model_path):
    with pytest.raises(ValueError, match="need an output_folder"):
        WeighDocuments(model_path, readings=[])


def test_counting_documents_of_a_pipeline(tmp_path):
    docs = documents("the whale swims in the sea", "ships at sea")
    assert list(CountNgrams(SPEC, tmp_path / "counts").run(iter(docs), rank=1)) == docs
    with np.load(tmp_path / "counts" / "00001.npz", allow_pickle=False) as arrays:
        counts = np.zeros(500, np.int64)
        load_featurizer(SPEC, backend="plain").count([doc.text for doc in docs], counts)
        assert arrays["features"].tolist() == counts.tolist()
        assert json.loads(arrays["header"].tobytes())["features"] == SPEC.describe()


def test_probes_of_a_share_are_drawn_by_id(tmp_path):
    """The share that is probed does not depend on batches or tasks."""
    docs = documents(*[f"text number {i} of many" for i in range(600)])

    def probes(name, parts, share):
        total = 0
        for rank, part in enumerate(parts):
            list(CountNgrams(SPEC, tmp_path / name, probe_share=share).run(iter(part), rank=rank))
            with np.load(tmp_path / name / f"{rank:05d}.npz") as arrays:
                total = total + arrays["probes"]
        return total

    whole, cut = probes("whole", [docs], 0.3), probes("cut", [docs[400:], docs[:7], docs[7:400]], 0.3)
    assert whole.tolist() == cut.tolist()
    share = whole.sum() / probes("all", [docs], 1.0).sum()
    assert 0.2 < share < 0.4


def test_rows_of_a_sidecar_come_in_any_portions(select):
    folder = select(source_key="source")
    path = folder / "weights" / "00000.parquet"
    ids = parquet.read_table(path).column("id").to_pylist()
    reader, found = read_sidecar(path, ["log_weight"]), []
    for size in (1, 7, 200, 191):
        found += reader.take(size).column("id").to_pylist()
    assert not reader.is_at_end()
    found += reader.take(10_000).column("id").to_pylist()
    assert reader.take(5) is None
    assert found == ids
    [candidates] = read_candidates(path, ["log_weight"], ["sea"])
    assert set(candidates.sources.tolist()) == {0, -1}
