"""The batch script of MeCo, as it is shipped: two nodes train as one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # jobs wait for processors, on a busy machine for minutes

ROOT = Path(__file__).parents[2]
SIZES = (
    "--tokenizer train:300 --hidden_size 16 --num_layers 1 --num_heads 2 --num_kv_heads 2 --intermediate_size 32 "
    "--seq_len 64 --plan split --held_out 4 --max_steps 10 --save_steps 5 --per_device_train_batch_size 2"
)


@pytest.fixture
def submit(slurm, until_idle, pages, tmp_path, monkeypatch):
    """Submit the script for two nodes, wait for its end, and return its log."""
    monkeypatch.setenv("PATH", f"{Path(sys.prefix, 'bin')}:/usr/bin:/bin")
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("ACCELERATE_CONFIG", "recipes/accelerate_configs/cpu_two_processes.yaml")

    def submit():
        recipe = ROOT / "recipes" / "meco_pretrain"
        log = tmp_path / "train.log"
        options = ["--nodes=2", "--gpus-per-node=1", "--cpus-per-task=2", "--time=10", f"--output={log}"]
        inputs = ["--documents", pages / "0.jsonl", "--output_dir", tmp_path / "out"]
        words = [*options, recipe / "train.sbatch", recipe / "config_cpu.yaml", *SIZES.split(), *inputs]
        subprocess.run(["sbatch", *map(str, words)], cwd=ROOT, check=True)
        until_idle()
        return log.read_text()

    return submit


def test_two_nodes_train_one_model(submit, tmp_path):
    log = submit()
    assert "world size 2" in log, log[-2000:]
    assert log.count('{"steps": 10') == 1, "only one process writes the end"
    summary = json.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert (summary["steps"], summary["switch_step"]) == (10, 9)
    assert (tmp_path / "out" / "final" / "model.safetensors").exists()
    states = sorted(path.name for path in (tmp_path / "out" / "checkpoint-10").glob("rng_state_*"))
    assert states == ["rng_state_0.pth", "rng_state_1.pth"]
