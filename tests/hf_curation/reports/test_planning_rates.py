import json
import os
import time
from collections import Counter

import pytest

from hf_curation.cli.main import main
from hf_curation.files.accounts import StageAccount
from hf_curation.files.manifest import Manifest, OutputFile
from hf_curation.files.plans import Plan, claim_folder
from hf_curation.reports.planning_rates import read_run, read_scaling, tokens_per_document

START = 1_767_225_600  # 2026-01-01 00:00:00 UTC


def make_run(folder, step, passes, outputs, summary, documents=100):
    """Write what a finished run leaves: pass -> seconds of each of its tasks."""
    plan = Plan(step=step, config={}, world_size=2, inputs=[], input_fingerprint="f", versions={})
    claim_folder(folder, plan)
    for rank in range(2):
        manifest = Manifest.of(plan, rank)
        manifest.stages = {"read": StageAccount(num_in=documents // 2, num_out=documents // 2)}
        manifest.stages["read"].totals["prompt_tokens"] = 1000
        manifest.write(folder)
    for name, (stage, num_bytes) in outputs.items():
        manifest = Manifest.of(plan, 0)
        manifest.outputs = [OutputFile(name=name, num_bytes=num_bytes, sha256="", num_rows=1)]
        manifest.write(folder, stage)
    for name, seconds in passes.items():
        logs = folder / "logs" / name / "logs"
        logs.mkdir(parents=True)
        for rank, taken in enumerate(seconds):
            path = logs / f"task_{rank:05d}.log"
            stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(START))
            path.write_text(f"{stamp}.000 | INFO     | datatrove - begun\n")
            os.utime(path, (START + taken, START + taken))
    (folder / "summary.json").write_text(json.dumps(summary))
    return folder


@pytest.fixture
def refined(tmp_path):
    outputs = {"data/00000.parquet": ("a", 5000), "dropped/00000.parquet": ("b", 100), "quarantine/x": ("c", 7)}
    return make_run(tmp_path / "refined", "refine", {"": [10, 20], "finish": [99]}, outputs, {"chars": {"in": 80_000}})


@pytest.fixture
def selected(tmp_path):
    passes = {"count_target": [50], "count_raw": [1, 2], "fit": [9], "weigh": [3, 4], "choose": [2], "keep": [5, 5]}
    outputs = {"weights/00000.parquet": ("weigh", 700), "data/00000.parquet": ("k", 900), "model.npz": ("fit", 1)}
    return make_run(tmp_path / "selected", "select", passes, outputs, {"tokens": {"in": 5}})


@pytest.fixture
def store(tmp_path):
    outputs = {"tokens/00000.arrow": ("t", 64_000)}
    summary = {"chars": 80_000, "tokens": 16_000}
    return make_run(tmp_path / "store", "tokenize", {"": [1, 1]}, outputs, summary)


def test_a_refining_run(refined):
    found = read_run(refined)
    (rate,) = found.rates
    assert (rate.stage, rate.documents, rate.core_seconds) == ("refine", 100, 30)
    assert rate.num_bytes == {"refined text": 5000, "dropped text": 100}
    assert (found.chars, found.tokens) == (80_000, None)
    assert found.refiner_tokens == Counter(prompt_tokens=2000)


def test_a_selection_has_a_rate_for_every_pass_over_the_corpus(selected):
    rates = {rate.stage: rate for rate in read_run(selected).rates}
    assert {name: rate.core_seconds for name, rate in rates.items()} == {
        "count_raw": 3, "weigh": 7, "choose": 2, "keep": 10,
    }  # fmt: skip
    assert rates["weigh"].num_bytes == {"sidecar of weights": 700}
    assert [name for name, rate in rates.items() if rate.is_one_process] == ["choose"]
    assert rates["keep"].num_bytes == {"chosen text": 900}


def test_a_store_counts_tokens(refined, selected, store):
    runs = [read_run(folder) for folder in (refined, selected, store)]
    assert runs[2].rates[0].num_bytes == {"token store": 64_000}
    assert tokens_per_document(runs) == (160.0, "counted by tokenize of 100 documents")
    assert tokens_per_document(runs[:2])[0] == 200.0  # 800 characters a document, 4 a token
    with pytest.raises(ValueError, match="--tokens-per-document"):
        tokens_per_document(runs[1:2])


def test_the_verb(refined, selected, store, tmp_path, capsys):
    runs = [str(refined), str(selected), str(store)]
    assert main(["plan", *runs, "--json", "--workers", "2", "--html", str(tmp_path / "plan.html")]) == 0
    found = json.loads(capsys.readouterr().out)
    billion, trillion = found["plans"]
    assert found["given"]["prompt_tokens"] == 20.0  # counted by the run
    assert billion["documents"] == 6_250_000  # of 160 tokens
    assert billion["stages"][0]["core_hours"] == pytest.approx(6_250_000 * 0.3 / 3600)
    assert billion["stages"][0]["hours"] == pytest.approx(6_250_000 * 0.3 / 3600 / 2)
    assert trillion["hub"][-1]["artifact"] == "token store"
    assert trillion["hub"][-1]["num_bytes"] == pytest.approx(4e12)  # 4 bytes a token
    assert b"4 TB" in (tmp_path / "plan.html").read_bytes()
    assert main(["plan", *runs, "--tokens-per-document", "1000", "--tokens", "2e9"]) == 0
    assert "2,000,000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "give one of them"), (["no-such-run"], "no finished run"), (["--scaling", "f", "x"], "give one of them")],
)
def test_mistakes_are_told_in_a_line(arguments, words, capsys):
    assert main(["plan", *arguments]) == 1
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_what_scaling_prints(tmp_path):
    line = {
        "documents": [10, 1000], "chars_of_text": [40, 400_000],
        "us_per_document": {"refine": 2000.0, "pack": 0.0, "fit": 0.0},
        "bytes_per_document": {"refine": 5.0, "pack": 8.0, "fit": 0.1}, "output_bytes_per_document": {"refine": 300.0},
    }  # fmt: skip
    (tmp_path / "scaling.txt").write_text(f"a table\n{json.dumps(line)}\n")
    found = read_scaling(tmp_path / "scaling.txt")
    refine, pack = found.rates
    assert (refine.documents, refine.core_seconds) == (1000, 2.0)
    assert refine.num_bytes == {"refined text": 300_000}
    assert (pack.stage, pack.is_one_process) == ("pack", True)
    assert tokens_per_document([found])[0] == 100.0
    assert main(["plan", "--scaling", str(tmp_path / "scaling.txt")]) == 0
    (tmp_path / "scaling.txt").write_text("a table\n")
    with pytest.raises(ValueError, match="JSON line"):
        read_scaling(tmp_path / "scaling.txt")
