"""Two processes under `accelerate launch` train the rows of one, step by step; a killed and resumed one too."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
DRILL = ROOT / "recipes" / "benchmarks" / "resume_drill.py"
LAUNCH = (
    *(sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"),
    *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0"),
)


def rows_by_step(folder: Path) -> dict[int, list[str]]:
    rows: dict[int, list[str]] = {}
    for path in folder.glob("batches-*.txt"):
        for line in path.read_text().splitlines():
            step, _, digests = line.split(" ", 2)
            rows.setdefault(int(step), []).extend(digests.split())
    return {step: sorted(digests) for step, digests in rows.items()}


def run(*command: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280)


@pytest.mark.slow
def test_two_processes_train_the_rows_of_one(tmp_path):
    one = run(sys.executable, str(DRILL), "--train", str(tmp_path / "one"))
    assert one.returncode == 0, one.stderr[-3000:]
    two = run(*LAUNCH, str(DRILL), "--train", str(tmp_path / "two"), "--workers", "2")
    assert two.returncode == 0, two.stderr[-3000:]
    assert len(list((tmp_path / "two/run").glob("batches-*.txt"))) == 2
    expected = rows_by_step(tmp_path / "one/run")
    assert sorted(expected) == list(range(16))
    assert rows_by_step(tmp_path / "two/run") == expected
    assert (tmp_path / "two/run/checkpoint-12/meco_state.json").exists()


@pytest.mark.slow
def test_the_drill_finds_no_difference():
    drill = run(sys.executable, str(DRILL), "--kills", "4")
    assert drill.returncode == 0, drill.stderr[-3000:]

    result = json.loads(drill.stdout.splitlines()[-1])
    assert result["kills"] >= 4
    assert result["runs"] >= 1
    assert result["differences"] == 0


@pytest.mark.slow
def test_fsdp2_shards_trains_the_same_rows_and_resumes_bit_for_bit(tmp_path):
    launch = (
        *(sys.executable, "-m", "accelerate.commands.launch"),
        *("--config_file", str(ROOT / "recipes/accelerate_configs/fsdp2.yaml")),
        *("--num_processes", "2", "--mixed_precision", "no"),
        str(DRILL.with_name("fsdp_on_cpu.py")),
    )
    whole = run(*launch, str(tmp_path / "whole"))
    assert whole.returncode == 0, whole.stderr[-3000:]
    facts = json.loads(whole.stdout.splitlines()[-1])
    assert (facts["parameter"], facts["local_share"], facts["steps"]) == ("DTensor", 0.5, 16)
    steps = rows_by_step(tmp_path / "whole/run")
    assert sorted(steps) == list(range(16))

    shutil.copytree(tmp_path / "whole", tmp_path / "again")
    for name in ("checkpoint-12", "checkpoint-15", "checkpoint-16", "batches-0.txt", "batches-1.txt"):
        left = tmp_path / "again/run" / name
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    again = run(*launch, str(tmp_path / "again"))
    assert again.returncode == 0, again.stderr[-3000:]
    assert rows_by_step(tmp_path / "again/run") == {step: rows for step, rows in steps.items() if step >= 10}
    one, other = (sharded_weights(tmp_path / name / "run/checkpoint-16") for name in ("whole", "again"))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def sharded_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    dcp_to_torch_save(checkpoint / "pytorch_model_fsdp_0", checkpoint / "whole.pt")
    found: dict[str, torch.Tensor] = torch.load(checkpoint / "whole.pt", weights_only=True)
    return found.get("model", found)
