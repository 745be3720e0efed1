"""The recipe with a server per node: every job has GPUs and a server of its own; the result is that of one server."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import yaml

from hf_curation.cli.main import main
from hf_curation.files.status import read_status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # jobs wait for processors, on a busy machine for minutes

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes" / "serve_refiner"
SERVER = ROOT / "tests" / "datatrove_steps" / "scripted_server.py"


@pytest.fixture
def recipe():
    spec = spec_from_file_location("serve_refiner_run", RECIPE / "run.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_one_server_a_node(recipe, slurm, until_idle, pages, tmp_path, contents):
    def refine(name, config, **changes):
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(config))
        settings = {"run.input": pages, "run.output": tmp_path / name, "run.tasks": 3, "run.doc_refiner": "null"}
        settings["launch.command"] = f"{sys.executable} {SERVER} {tmp_path / name}.notes"
        words = [f"--set={key}={value}" for key, value in (settings | changes).items()]
        assert recipe.main(["--config", str(tmp_path / f"{name}.yaml"), *words]) == 0
        until_idle()
        return [json.loads(line) for line in (tmp_path / f"{name}.notes").read_text().splitlines()]

    shipped = yaml.safe_load((RECIPE / "nodes.yaml").read_text())
    cluster = slurm | {"cpus_per_task": 1, "gpus_per_task": 2, "tasks_per_job": 2}
    servers = refine("there", shipped, **{f"slurm.{key}": value for key, value in cluster.items()})
    assert sorted(server["SLURMD_NODENAME"] for server in servers) == ["n1", "n2"], "three tasks, two servers"
    assert {server["CUDA_VISIBLE_DEVICES"] for server in servers} == {"0,1"}
    assert not any(Path(f"/proc/{server['pid']}").exists() for server in servers)
    del shipped["slurm"]
    assert len(refine("here", shipped, **{"run.workers": 1})) == 1
    assert contents(tmp_path / "there") == contents(tmp_path / "here")
    status = read_status(tmp_path / "there")
    assert (status.state, status.on_slurm) == ("finished", True)
    assert json.loads((tmp_path / "there" / "summary.json").read_text())["documents"]["edited"] == 40


def test_a_server_that_does_not_start_fails_its_task(recipe, slurm, until_idle, pages, tmp_path, capsys):
    settings = {"run.input": pages, "run.output": tmp_path / "out", "run.tasks": 1, "run.doc_refiner": "null"}
    settings["launch.command"] = "/nowhere/python -m vllm"
    settings |= {f"slurm.{key}": value for key, value in (slurm | {"cpus_per_task": 1, "gpus_per_task": 1}).items()}
    words = [f"--set={key}={value}" for key, value in settings.items()]
    assert recipe.main(["--config", str(RECIPE / "nodes.yaml"), *words]) == 0
    until_idle()
    assert main(["status", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert "task 0 of refine failed: ServerDown: the server does not start" in told.out
    assert "/nowhere/python: No such file or directory" in told.out
    assert "what is finished stays; for the rest, run" in told.err
