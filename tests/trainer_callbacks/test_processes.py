"""Two processes under `accelerate launch` train the rows of one, step by step; a killed and resumed one too."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

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
