"""A run that is killed, again and again, ends with the files of a run that was not.

Here the command is started as people start it; `test_kill_drill` kills more, of all commands, in less time.
`HF_CURATION_KILLS=200 pytest tests/e2e/test_refine_kills.py` for a campaign; a few kills by default.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
NUM_KILLS = int(os.environ.get("HF_CURATION_KILLS", "3"))
KINDS = ("launcher", "group", "term", "interrupt", "worker", "worker")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "recipes" / "benchmarks"))
from killing import contents, descendants, write_pages  # noqa: E402 - a recipe's, not a package's


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """240 pages with menus, a few bad records among them."""
    return write_pages(tmp_path_factory.mktemp("kills") / "pages.jsonl")


def command(pages, out):
    arguments = ["refine", str(pages), str(out), "--tasks", "8", "--workers", "2"]
    return [sys.executable, "-c", "import sys; from hf_curation.cli.main import main; sys.exit(main())", *arguments]


def launch(pages, out):
    env = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    return subprocess.Popen(
        command(pages, out), env=env, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def strike(process, folder, kind, delay):
    """Kill once tasks are at work and `delay` seconds more have passed; return whether there was something to kill."""
    while process.poll() is None and not list(folder.glob("data/*.part")):
        time.sleep(0.02)
    time.sleep(delay)
    if process.poll() is not None:
        return False
    if kind == "launcher":
        process.kill()
    elif kind == "group":
        os.killpg(process.pid, signal.SIGKILL)
    elif kind == "term":
        os.killpg(process.pid, signal.SIGTERM)
    elif kind == "interrupt":
        os.killpg(process.pid, signal.SIGINT)
    elif children := descendants(process.pid):
        os.kill(children[-1], signal.SIGKILL)
    else:
        return False
    return True


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds worker processes in /proc")
@pytest.mark.timeout(600 + 60 * NUM_KILLS)
def test_killed_runs_end_like_clean_ones(pages, tmp_path):
    clean = launch(pages, tmp_path / "clean")
    out, err = clean.communicate()
    assert clean.returncode == 0, err
    assert "documents in             245" in out
    expected = contents(tmp_path / "clean")
    rng = random.Random(NUM_KILLS)  # noqa: S311
    kills = rounds = 0
    while kills < NUM_KILLS:
        rounds += 1
        folder = tmp_path / f"killed-{rounds}"
        while True:
            process = launch(pages, folder)
            if kills < NUM_KILLS:
                kills += strike(process, folder, rng.choice(KINDS), rng.uniform(0, 1.5))
            _, err = process.communicate(timeout=600)
            if process.returncode == 0:
                break
            seen = [name for name in contents(folder) if name.startswith(("data/", "dropped/", "quarantine/"))]
            for name in seen:
                assert name.endswith(".part") or contents(folder)[name] == expected[name], f"{name} is torn"
        assert contents(folder) == expected, f"round {rounds}, after {kills} kills"
    print(f"{kills} kills in {rounds} runs")  # noqa: T201


def test_a_killed_worker_is_told(pages, tmp_path):
    process = launch(pages, tmp_path / "out")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not list((tmp_path / "out").glob("data/*.part")):
        time.sleep(0.05)
    os.kill(descendants(process.pid)[-1], signal.SIGKILL)
    out, err = process.communicate(timeout=600)
    assert process.returncode == 1
    assert out == ""
    assert "failed: its process was killed by SIGKILL; out of memory?" in err
    assert "1 of 8 tasks failed and published nothing; the others are finished." in err
    assert len(list((tmp_path / "out" / "manifests").iterdir())) == 7
