"""A Slurm of two nodes on this machine, and runs on it."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

CLUSTER = Path(__file__).with_name("cluster.sh")
PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue")
PORT = 16917


@pytest.fixture(scope="session")
def cluster():
    """Two nodes that are idle; jobs of all tests go there."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    if missing := [name for name in PROGRAMS if shutil.which(name, path=path) is None]:
        pytest.skip(f"no {missing[0]}: apt-get install slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge")
    if os.geteuid():
        pytest.skip("slurmd starts jobs as their owners, and so must be root")
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))  # not pytest's: munge wants folders that everybody may enter
    folder.chmod(0o755)
    # Each worker of pytest-xdist has a cluster of its own.
    port = PORT + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    started = subprocess.run(["bash", CLUSTER, "start", folder, str(port)], capture_output=True, text=True, timeout=90)
    if started.returncode:
        pytest.skip(f"Slurm does not start here: {started.stderr[-500:]}{(folder / 'start.log').read_text()[-500:]}")
    yield folder
    subprocess.run(["bash", CLUSTER, "stop", folder], capture_output=True, timeout=60)
    shutil.rmtree(folder)


@pytest.fixture
def slurm(cluster, monkeypatch):
    """Arguments for executors, in an environment in which they find the cluster."""
    from datatrove_steps import code_versions

    monkeypatch.setattr(code_versions, "code_digest", lambda *_: "0" * 64)
    monkeypatch.setenv("SLURM_CONF", str(cluster / "slurm.conf"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (Path(__file__).parents[2], Path(__file__).parent))))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return {
        "partition": "debug",
        "time": "10",
        "mem_per_cpu_gb": 1,
        "venv_path": str(Path(sys.prefix, "bin", "activate")),
    }


@pytest.fixture
def wait_for():
    """Wait until something is true."""

    def wait(condition, seconds=300.0):
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.2)
        return value

    return wait


@pytest.fixture
def until_idle(slurm, wait_for):
    """Wait until no job is in the queue, not even one that waits for ever."""

    def wait():
        wait_for(lambda: not subprocess.run(["squeue", "-h"], capture_output=True, text=True, check=True).stdout)

    return wait


@pytest.fixture
def contents():
    """Name -> bytes of every file of a run, logs aside."""

    def read(folder):
        files = (path for path in folder.rglob("*") if path.is_file())
        names = {path.relative_to(folder): path for path in files}
        return {name.as_posix(): path.read_bytes() for name, path in names.items() if name.parts[0] != "logs"}

    return read


@pytest.fixture
def pages(tmp_path):
    """40 pages with a menu, in two files, and a line that is no record."""
    (tmp_path / "in").mkdir()
    words = [
        "the",
        "sea",
        "was",
        "calm",
        "and",
        "ships",
        "went",
        "out",
        "while",
        "gulls",
        "cried",
        "over",
        "the",
        "harbour",
        "wall",
    ]
    for part in range(2):
        lines = []
        for i in range(20 * part, 20 * part + 20):
            body = " ".join(words[(i * k + k) % len(words)] for k in range(1, 40))
            text = f"menu home\n{body}.\n{body[::-1]}."
            lines.append(json.dumps({"id": f"p{i}", "text": text, "url": f"https://example.org/{i}"}))
        (tmp_path / "in" / f"{part}.jsonl").write_text("\n".join([*lines, "not json"]) + "\n")
    return tmp_path / "in"
