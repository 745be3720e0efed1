"""Benchmarks as targets: their train questions, with the other splits held out by default."""

import gzip
import json

import pytest


@pytest.fixture
def benchmark_folder(tmp_path, monkeypatch):
    """Two benchmarks of one question a split, without a network."""
    from hf_curation.sampling import benchmarks

    questions = {
        ("piqa", "train"): "How does one tie a sail to the mast of a ship in a storm at sea",
        ("piqa", "validation"): "What should a captain do when the anchor of the ship drags along the ground in wind",
        ("piqa", "test"): "Which rope holds best when the tide runs fast below the harbour wall at full moon",
        ("boolq", "train"): "is a whale an animal of the sea",
        (
            "boolq",
            "validation",
        ): "can a judge rule on a claim without hearing the plaintiff first in a civil court case",
    }

    def load(name, split, *, folder=None):
        assert str(folder) == str(tmp_path / "benchmarks")
        return [benchmarks.Question(questions[name, split], ("yes", "no"), 0)]

    monkeypatch.setattr(benchmarks, "load_benchmark", load)
    monkeypatch.setattr(benchmarks, "_held_out_in", lambda folder, benchmark: benchmark.held_out)
    return str(tmp_path / "benchmarks")


@pytest.fixture
def raw(tmp_path, corpus):
    records = [
        json.loads(line) for line in (corpus / "raw.jsonl").read_text().splitlines() if line.startswith('{"id": "d')
    ]
    leak = "What should a captain do when the anchor of the ship drags along the ground in wind? yes, says the book"
    records[3]["body"] = records[3].pop("text") + " " + leak
    for record in records:
        record.setdefault("body", record.get("text"))
    path = tmp_path / "raw.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode()))
    return path


def test_test_splits_are_held_out_by_default(select, raw, benchmark_folder, rows, monkeypatch):
    from datatrove_steps.importance import inputs

    monkeypatch.setitem(inputs._TASK_BYTES, True, 50)  # as if the questions were many: they cannot be cut unwritten
    options = {
        "raw": raw,
        "tasks": 2,
        "targets": "benchmark:piqa",
        "text_key": "body",
        "benchmark_folder": benchmark_folder,
    }
    folder = select(**options)
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["excluded"] == {"contaminated": 1}
    assert summary["targets"]["names"] == ["piqa"]
    evidence = json.loads((folder / "evidence.json").read_text())
    assert [one["name"] for one in evidence["leakage"]["sets"]] == ["piqa/validation", "piqa/test"]
    assert evidence["leakage"]["num_documents"] == [1, 0]
    target = (folder / "targets" / "piqa.jsonl").read_text()
    assert json.loads(target)["text"].startswith("How does one tie a sail")
    assert (folder / "held_out" / "piqa-validation.jsonl").exists()
    # The files are part of the run: it goes on without the benchmark, and another choice reads them where they are.
    again = select("again", **options, weights_of=str(folder), budget="20%")
    assert not (again / "targets").exists()
    assert len(rows(again)) > len(rows(folder))


def test_decontamination_can_be_turned_off(select, raw, benchmark_folder):
    folder = select(
        raw=raw,
        targets={"a": "benchmark:piqa", "b": "benchmark:boolq"},
        text_key="body",
        benchmark_folder=benchmark_folder,
        decontaminate=False,
    )
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["excluded"] == {}
    assert summary["config"]["decontaminate"] is False
    assert not (folder / "held_out").exists()


def test_an_unknown_benchmark(select, raw):
    with pytest.raises(ValueError, match="did you mean 'piqa'"):
        select(raw=raw, targets="benchmark:piqua")
