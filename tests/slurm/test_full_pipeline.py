"""The recipe of the whole pipeline with `executor: slurm`: the documents and tokens of a run on this machine."""

import json
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # jobs wait for processors, on a busy machine for minutes

RECIPES = Path(__file__).parents[2] / "recipes"
SIZES = {
    "base": "train:300",
    "new_tokens": 10,
    "min_count": 5,
    "step": 10,
    "steps": 5,
    "select.budget": "40%",
    "source_key": "url",
    "columns": "[url]",
    "seq_len": 64,
    "hidden_size": 16,
    "num_layers": 1,
    "num_heads": 2,
    "num_kv_heads": 2,
    "intermediate_size": 32,
    "max_steps": 10,
    "per_device_train_batch_size": 2,
    "refine.tasks": 3,
    "select.tasks": 2,
    "tokenize.tasks": 3,
    "skip": "compare",  # of which nothing runs on the cluster
}
CLUSTER = {
    "executor": "slurm",
    "slurm.partition": "debug",
    "slurm.time": "'10'",
    "slurm.mem_per_cpu_gb": 1,
    "slurm.tasks_per_job": 2,
    "sbatch.nodes": 1,
    "sbatch.gpus-per-node": 1,
    "sbatch.cpus-per-task": 2,
    "sbatch.time": "'10'",
    "accelerate_config": RECIPES / "accelerate_configs" / "cpu.yaml",
}
STAGES_HERE = "read,refine,adapt,select,tokenize"


@pytest.fixture
def run(monkeypatch, pages, tmp_path):
    """Run the recipe; returns its folder."""
    folders = [RECIPES / "full_pipeline", RECIPES / "meco_pretrain", RECIPES / "benchmarks"]
    names = {path.stem for folder in folders for path in folder.glob("*.py")}
    monkeypatch.setattr(sys, "path", [str(folders[0]), *sys.path])
    before = {name: sys.modules.pop(name, None) for name in names}
    import run as recipe

    held_out = tmp_path / "held_out.jsonl"
    row = {
        "url": "https://example.org/held-out",
        "text": "the gulls cried over the harbour wall and ships went out. " * 3,
    }
    held_out.write_text(json.dumps(row) + "\n")
    inputs = {"documents": pages, "target": pages / "1.jsonl", "read.held_out": held_out}

    def run(settings):
        words = [str(word) for key, value in (SIZES | inputs | settings).items() for word in (f"--{key}", value)]
        recipe.main(["--config", str(folders[0] / "config.yaml"), "--output", str(tmp_path / "out"), *words])
        return tmp_path / "out"

    yield run
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module


def test_the_whole_pipeline(slurm, run, monkeypatch, capsys, contents, tmp_path):
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    one_by_one = {f"{stage}.workers": 1 for stage in ("refine", "select", "tokenize")}
    here = tmp_path / "here"
    run(one_by_one | {"only": STAGES_HERE}).rename(here)  # paths are written down, so both have the same ones
    expected = {stage: contents(here / stage) for stage in ("refined", "selected", "tokens")}
    capsys.readouterr()
    there = run(CLUSTER)
    facts = json.loads(capsys.readouterr().out.splitlines()[-1])
    for stage, files in expected.items():
        found = contents(there / stage)
        assert {name: found.get(name) for name in files} == files, stage
        assert not {name for name in found.keys() - files.keys() if not name.startswith("prefixes/")}, stage
    jobs = [path.relative_to(there).parts[0] for path in there.rglob("slurm_logs/*_*.out")]
    assert {name: jobs.count(name) for name in jobs} == {"refined": 3, "selected": 8, "tokens": 3}
    assert facts["train"]["steps"] == 10
    log = (there / "model" / "train.log").read_text()
    assert "Submitted batch job" in log
    assert "world size 1" in log
    assert facts["evaluate"]["scores"]["at the end"]["all"]["documents"] == 1
    assert (there / "report.html").exists()
