"""The kill drill in small: every stage of refine, select and tokenize, a few kills each."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
DRILL = Path(__file__).parents[2] / "recipes" / "benchmarks" / "kill_drill.py"
NUM_KILLS = int(os.environ.get("HF_CURATION_KILLS", "5"))
PASSES = ("count_target", "count_raw", "fit", "held_out", "weigh", "choose", "keep", "finish")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds worker processes in /proc")
@pytest.mark.timeout(300 + 60 * NUM_KILLS)
def test_nothing_is_lost_doubled_torn_or_different():
    done = subprocess.run([sys.executable, DRILL, "--kills", str(NUM_KILLS)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    found = {name: figures[name] for name in ("lost", "doubled", "differences", "torn")}
    assert found == dict.fromkeys(found, 0), done.stdout
    assert set(figures["stages"]) == {"refine", "tokenize", *(f"select/{name}" for name in PASSES)}
    assert min(figures["stages"].values()) >= NUM_KILLS
    assert figures["kills"] == sum(figures["stages"].values()) == sum(figures["kinds"].values())
