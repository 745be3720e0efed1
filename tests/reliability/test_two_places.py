"""The same run in two places gives the same bytes: nothing that is kept says where it was made.

Logs are of the place, and hold its paths: executors and pickled steps, which find the input there, and the command
that `hf-curation status` gives to go on with.
"""

import json
import shutil

import pytest

from datatrove_steps.refine_plan import RefineConfig, _describe_refiner
from hf_curation.cli.main import main
from hf_curation.refiners import CausalLMRefiner, Stage


@pytest.fixture
def places(tmp_path, make_byte_tokenizer):
    """Two folders with equal inputs."""
    here, there = tmp_path / "here", tmp_path / "a longer name" / "there"
    here.mkdir()
    rows = [{"id": str(i), "text": f"Whales sing for hours, number {i * i}. " * 3, "source": "sea"} for i in range(60)]
    (here / "pages.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"id": "bad"}]))
    (here / "target.jsonl").write_text("".join(json.dumps({"text": f"Whales sing, {i}."}) + "\n" for i in range(9)))
    make_byte_tokenizer().save_pretrained(here / "tokenizer")
    shutil.copytree(here, there)
    return here, there


def run_all(place):
    """Refine, then select by the tokenizer's n-grams, choose again by the same weights, and tokenize."""
    select = ["--target", f"{place}/target.jsonl", "--features", f"{place}/tokenizer", "--held-out"]
    select += [f"{place}/target.jsonl", "--buckets", "512", "--budget", "50%"]
    assert main(["refine", f"{place}/pages.jsonl", f"{place}/refined", "--tasks", "2", "--workers", "1"]) == 0
    for output, more in (("selected", []), ("again", ["--seed", "1", "--weights-of", f"{place}/selected"])):
        assert main(["select", f"{place}/refined", f"{place}/{output}", *select, "--workers", "1", *more]) == 0
    tokenizer = ["--tokenizer", f"{place}/tokenizer", "--workers", "1"]
    assert main(["tokenize", f"{place}/selected", f"{place}/store", *tokenizer]) == 0


def test_equal_runs_in_two_places_are_equal(places, contents):
    for place in places:
        run_all(place)
    here, there = map(contents, places)
    assert here.keys() == there.keys()
    assert [name for name in here if here[name] != there[name]] == []
    assert {"refined/plan.json", "selected/model.npz", "again/summary.json", "store/store.json"} <= here.keys()
    assert json.loads(here["store/store.json"])["tokenizer"] == "tokenizer"
    assert not [name for place in places for name, data in here.items() if str(place).encode() in data]


def test_a_refiner_that_lies_here_is_known_by_its_files(tmp_path):
    """In two places it is the same, and with another file it is another."""
    for place in ("here", "there", "other"):
        (tmp_path / place / "model").mkdir(parents=True)
        (tmp_path / place / "model/config.json").write_text("{}" if place != "other" else '{"hidden_size": 1}')

    def described(place):
        refiner = CausalLMRefiner(str(tmp_path / place / "model"), preset="prox-web-chunk")
        return _describe_refiner(RefineConfig(input="in", output="out", chunk_refiner=refiner), Stage.CHUNK)

    assert described("here")["name"].startswith("model (")
    assert described("here") == described("there")
    assert described("here") != described("other")
