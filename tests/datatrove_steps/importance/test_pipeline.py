"""Whole selections: what is chosen, that it does not depend on the tasks, and that every document is accounted for."""

import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from hf_curation.files.sources import find_source


def summary_of(folder):
    return json.loads((folder / "summary.json").read_text())


def without_cut(folder):
    """The choice without the digests of the sidecars, which are cut by task."""
    choice = json.loads((folder / "choice.json").read_text())
    del choice["weights_sha256"]
    return choice


def test_what_is_chosen_is_like_the_target(select, rows):
    folder = select()
    chosen = rows(folder)
    assert [row["source"] for row in chosen].count("sea") > 0.8 * len(chosen)
    documents = summary_of(folder)["documents"]
    assert documents["in"] == 404
    assert documents["in"] == sum(number for name, number in documents.items() if name != "in")
    assert documents["quarantined"] == 4
    assert len(chosen) == documents["chosen"] > 20
    kl = summary_of(folder)["kl"]["probe"]
    assert kl["chosen"] < kl["random"]
    assert kl["chosen"] < kl["raw"]


@pytest.mark.parametrize("raw", ["raw.jsonl", "raw.parquet"])
def test_the_result_is_the_same_for_any_number_of_tasks(select, rows, raw):
    options = {"raw": raw, "general_share": 0.2, "source_key": "source", "source_caps": {"sea": 0.7}}
    folders = [select(f"out{tasks}", tasks=tasks, **options) for tasks in (1, 2, 7)]
    first = folders[0]
    assert len(list((folders[2] / "data").glob("*.parquet"))) == 7
    for folder in folders[1:]:
        assert rows(folder) == rows(first)
        assert rows(folder, "weights") == rows(first, "weights")
        assert (folder / "model.npz").read_bytes() == (first / "model.npz").read_bytes()
        assert without_cut(folder) == without_cut(first)
        assert (folder / "evidence.json").read_bytes() == (first / "evidence.json").read_bytes()
        assert (folder / "README.md").read_bytes() == (first / "README.md").read_bytes()


def test_parquet_and_json_lines_are_weighed_alike(select, rows):
    lines, columns = select("lines"), select("columns", raw="raw.parquet")
    assert rows(lines, "weights") == rows(columns, "weights")
    assert [row["id"] for row in rows(lines)] == [row["id"] for row in rows(columns)]


def test_every_input_column_comes_through_unchanged(select, rows, corpus):
    source = {row["id"]: row for row in parquet.read_table(corpus / "raw.parquet").to_pylist()}
    folder = select(raw="raw.parquet")
    ours = {"log_weight", "num_ngrams", "importance_lane"}
    weights = {row["id"]: row for row in rows(folder, "weights")}
    for row in rows(folder):
        assert {name: value for name, value in row.items() if name not in ours} == source[row["id"]]
        assert row["log_weight"] == weights[row["id"]]["log_weight"]
        assert row["num_ngrams"] == weights[row["id"]]["num_ngrams"]
        assert row["importance_lane"] == "target"
    positions = [int(row["id"][1:]) for row in rows(folder)]
    assert positions == sorted(positions)
    types = {field.name: field.type for field in parquet.read_schema(folder / "data" / "00000.parquet")}
    assert types["score"] == pa.float64()


def test_the_sidecar_is_the_model_s_scores(select, rows, corpus):
    from hf_curation.sampling.importance import ImportanceModel
    from hf_curation.sampling.loading import load_featurizer

    folder = select(raw="raw.parquet", alpha=0.5)
    model = ImportanceModel.load(folder / "model.npz")
    found = rows(folder, "weights")
    texts = [row["text"] for row in parquet.read_table(corpus / "raw.parquet").to_pylist()]
    plain = load_featurizer(model.spec, backend="plain").score(texts, model.table)
    assert [row["num_ngrams"] for row in found] == plain.num_ngrams.tolist()
    np.testing.assert_allclose([row["log_weight"] for row in found], plain.sums / plain.num_ngrams**0.5, rtol=1e-12)


def test_the_choice_is_that_of_the_plain_twin(select, rows):
    from hf_curation.sampling.candidates import Candidates
    from hf_curation.sampling.choose_plain import choose_plain
    from hf_curation.sampling.keys import stable_hash64
    from hf_curation.sampling.rules import ChoiceRules

    folder = select(budget="30 documents", seed=5, tasks=3)
    found = rows(folder, "weights")
    candidates = Candidates(
        hashes=stable_hash64([row["id"] for row in found]),
        log_weights=np.array([row["log_weight"] for row in found]),
        num_tokens=np.array([row["num_tokens"] for row in found]),
    )
    chosen = choose_plain(candidates, ChoiceRules(budget="30 documents", seed=5))
    ids = [row["id"] for row, copies in zip(found, chosen.copies, strict=True) if copies]
    assert [row["id"] for row in rows(folder)] == ids
    assert len(ids) == 30


def test_held_out_texts_are_left_out_and_counted(select, rows, corpus):
    folder = select(held_out=[str(corpus / "held_out.jsonl")], budget="60%", min_tokens=20)
    summary = summary_of(folder)
    assert summary["excluded"]["contaminated"] == 2
    assert summary["excluded"]["too_short"] > 0
    excluded = {row["id"]: row["excluded"] for row in rows(folder, "weights") if row["excluded"]}
    assert excluded == {"d2": "contaminated", "d6": "contaminated"}
    assert not {"d2", "d6"} & {row["id"] for row in rows(folder)}
    evidence = json.loads((folder / "evidence.json").read_text())
    assert evidence["leakage"]["num_documents"] == [2]
    assert {document["id"] for document in evidence["documents"]["leaked"]} == {"d2", "d6"}
    assert all("seventeen lanterns" in document["text"] for document in evidence["documents"]["leaked"])


def test_nothing_is_left_out_where_nothing_is_held_out(select):
    folder = select()
    assert not (folder / "leakage.npz").exists()
    assert summary_of(folder)["excluded"] == {}


def test_several_targets_have_a_lane_each(select, rows, corpus):
    targets = {"sea": str(corpus / "target.jsonl"), "law": str(corpus / "law.jsonl")}
    folder = select(
        targets=targets,
        separate=True,
        target_shares={"sea": 3, "law": 1},
        budget="40 documents",
        general_share=0.1,
        temperature=0.01,
        tasks=2,
    )
    lanes = [row["importance_lane"] for row in rows(folder)]
    assert {name: lanes.count(name) for name in set(lanes)} == {"sea": 27, "law": 9, "general": 4}
    assert all(row["source"] == row["importance_lane"] for row in rows(folder) if row["importance_lane"] != "general")
    assert {"log_weight_sea", "log_weight_law"} <= set(rows(folder)[0])
    assert set(json.loads((folder / "evidence.json").read_text())["shifts"]) == {"sea", "law"}


def test_a_mixture_of_targets_is_one_lane(select, rows, corpus):
    targets = {"sea": str(corpus / "target.jsonl"), "law": str(corpus / "law.jsonl")}
    folder = select(targets=targets, budget="60 documents")
    assert {row["source"] for row in rows(folder)} == {"sea", "law"}
    assert {row["importance_lane"] for row in rows(folder)} == {"sea+law"}


def test_repeats(select, rows):
    folder = select(budget="500 documents", max_repeats=3)
    copies = [row["repeats"] for row in rows(folder)]
    assert len(copies) == 400
    assert sum(copies) == 500
    assert set(copies) == {1, 2}
    assert summary_of(folder)["copies"] == 500


def test_nothing_and_everything(select, rows):
    nothing = select("nothing", budget="0 documents")
    assert rows(nothing) == []
    assert summary_of(nothing)["documents"]["not_chosen"] == 400
    everything = select("everything", budget="400 documents")
    assert [row["id"] for row in rows(everything)] == [f"d{i}" for i in range(400)]
    with pytest.raises(Exception, match="401"):
        select("more", budget="401 documents")


def test_a_smaller_budget_lies_inside_a_larger_one(select, rows):
    small, large = (
        {row["id"] for row in rows(select(f"out{share}", budget=f"{share}%", general_share=0.3))} for share in (3, 9)
    )
    assert small < large


def test_the_output_is_an_input(select, rows):
    """What was chosen can be read, chosen from again, and refined."""
    first = select("first", budget="50%", tasks=3)
    assert [file.name for file in find_source(first).files] == [f"data/{rank:05d}.parquet" for rank in range(3)]
    again = select("again", raw=first, budget="10 documents")
    assert len(rows(again)) == 10
    assert {row["id"] for row in rows(again)} <= {row["id"] for row in rows(first)}


def test_documents_without_ids_go_by_file_and_number(select, rows, tmp_path):
    path = tmp_path / "bare.jsonl"
    path.write_text("".join(json.dumps({"text": f"the whale number {i} swims"}) + "\n" for i in range(50)))
    one, four = select("one", raw=path, tasks=1), select("four", raw=path, tasks=4)
    assert [row["id"] for row in rows(one, "weights")] == [f"bare.jsonl/{i}" for i in range(50)]
    assert rows(one) == rows(four)


def test_equal_ids_are_refused_by_name(select, tmp_path, corpus):
    path = tmp_path / "twice.jsonl"
    lines = (corpus / "raw.jsonl").read_text().splitlines()
    path.write_text("\n".join([*lines[:5], lines[2]]) + "\n")
    with pytest.raises(Exception, match="the id 'd2' is one of them"):
        select(raw=path)
    assert summary_of(select("by_number", raw=path, id_key=None, budget="3 documents"))["documents"]["chosen"] == 3
    assert summary_of(select("together", raw=path, allow_equal_ids=True, budget="6 documents"))["copies"] == 6


def test_dsir_s_preset(select, rows):
    folder = select(preset="dsir")
    config = summary_of(folder)["config"]
    assert (config["alpha"], config["temperature"], config["features"]["hash"]) == (0.0, 1.0, "sha256")
    assert config["smoothing"]["kind"] == "floor"
    sources = [row["source"] for row in rows(folder)]
    assert sources.count("sea") > 0.8 * len(sources)
