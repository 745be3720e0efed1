"""The recipe's settings: every key is known, and a wrong one is told with the nearest."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from datatrove_steps.node_server import NodeServerRefiner
from hf_curation.refiners import ServerRefiner

RECIPE = Path(__file__).parents[2] / "recipes" / "serve_refiner"


@pytest.fixture(scope="module")
def recipe():
    spec = spec_from_file_location("serve_refiner_run", RECIPE / "run.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shipped_settings_make_a_run(recipe):
    config = recipe.make_config(recipe.read_settings(None, ["server.model=mine", "policy.max_concurrency=3"]))
    assert isinstance(config.chunk_refiner, ServerRefiner)
    assert config.chunk_refiner.model == "mine"
    assert config.chunk_refiner.policy.max_concurrency == 3
    assert config.doc_refiner == "tagger"


def test_a_file_overrides_the_defaults_and_the_command_line_both(recipe, tmp_path):
    (tmp_path / "mine.yaml").write_text("server: {model: a, preset: prox-web-chunk}\nrun: {limit: 5}\n")
    settings = recipe.read_settings(tmp_path / "mine.yaml", ["server.model=b"])
    assert (settings["server"]["model"], settings["server"]["preset"], settings["run"]["limit"]) == (
        "b",
        "prox-web-chunk",
        5,
    )
    assert settings["server"]["base_url"]


def test_the_settings_for_nodes_start_servers(recipe):
    config = recipe.make_config(recipe.read_settings(RECIPE / "nodes.yaml", ["run.output=out"]))
    refiner = config.chunk_refiner
    assert isinstance(refiner, NodeServerRefiner)
    assert refiner.launch.words[:3] == ["/opt/vllm/bin/python", "-m", "vllm.entrypoints.openai.api_server"]
    assert refiner.launch.words[refiner.launch.words.index("--served-model-name") + 1] == refiner.model == "refiner"
    assert "--trust-remote-code" not in refiner.launch.words
    assert refiner.launch.logs == str(Path("out/logs/servers").absolute())
    assert config.workers is None, "as many jobs at a time as there are nodes"


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("server.modle=x", "unknown setting server.modle; did you mean 'model'"),
        ("run.chunk_refiner=x", "unknown setting run.chunk_refiner"),
        ("sever.model=x", "unknown section 'sever'"),
        ("policy.timeout_s=0", "timeout_s must be above 0"),
        ("launch.comand=x", "unknown setting launch.comand; did you mean 'command'"),
        ("slurm.partition=gpu", "slurm needs time"),
    ],
)
def test_a_wrong_setting_is_one_line(override, says, recipe, capsys):
    assert recipe.main(["--set", override]) == 1
    err = capsys.readouterr().err
    assert says in err
    assert err.count("\n") == 1
