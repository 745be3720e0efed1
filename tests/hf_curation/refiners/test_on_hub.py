"""A refiner by its name on the Hub: an adapter or a whole model, asked in the way that its repository says."""

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from hf_curation.refiners import refine_texts
from hf_curation.refiners.base import Stage
from hf_curation.refiners.causal_lm.loading import Source, load_model
from hf_curation.refiners.described import Described, write_description
from hf_curation.refiners.load import load_refiner
from hf_curation.refiners.on_hub import adapter_folder

TESTS = Path(__file__).parents[2]


def module_of(path):
    spec = spec_from_file_location(f"borrowed_by_on_hub_{path.parent.name}", path)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_hub = module_of(TESTS / "hf_curation" / "hub" / "conftest.py")
save_model = module_of(TESTS / "hf_curation" / "refiners" / "causal_lm" / "conftest.py").save_model
hub_server, hub, repo = _hub.hub_server, _hub.hub, _hub.repo

PRESET = "prox-web-chunk:plain"
PAGE = "Home\nShop\nWhales sing in the cold sea.\nThey dive.\nPrivacy"


@pytest.fixture(scope="module")
def base(tmp_path_factory, chatml):
    folder = tmp_path_factory.mktemp("base")
    save_model(folder, chatml)
    return folder


@pytest.fixture(scope="module")
def adapter(tmp_path_factory, base):
    """An adapter with random weights, so that it is told from its base by what it writes."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("adapter")
    config = LoraConfig(r=2, target_modules=["q_proj", "up_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    model.save_pretrained(folder)
    write_description(folder, {Stage.CHUNK: Described(preset=PRESET, window_tokens=40, max_new_tokens=12)})
    return folder


@pytest.fixture
def pushed(repo, adapter):
    """The adapter on the Hub."""
    from huggingface_hub import HfApi

    HfApi().create_repo(repo.id)
    repo.commit = HfApi().upload_folder(repo_id=repo.id, folder_path=adapter).oid
    return repo


def test_an_adapter_is_loaded_by_name(pushed, adapter, base):
    here, there = load_refiner(str(adapter)), load_refiner(pushed.id)
    assert there.name == f"{base} + {pushed.id} ({PRESET})"
    assert there._preset == here._preset
    assert not [path for path in requested(pushed) if "safetensors" in path], "weights wait"
    done = refine_texts([PAGE], there)
    assert done == refine_texts([PAGE], here)
    assert (done[0].num_windows, done[0].output_tokens > 0) == (2, True)


def requested(repo):
    return [one["path"] for one in repo.hub.requests() if repo.id in one["path"]]


def test_of_a_revision(pushed, base):
    from huggingface_hub import HfApi

    settings = json.dumps({"stages": {"chunk": {"preset": "generic-chunk"}}}).encode()
    HfApi().upload_file(repo_id=pushed.id, path_or_fileobj=settings, path_in_repo="refiner.json")
    old = load_refiner(f"{pushed.id}@{pushed.commit}")
    assert old.name == f"{base} + {pushed.id}@{pushed.commit} ({PRESET})"
    assert load_refiner(pushed.id, revision=pushed.commit).name == old.name
    assert load_refiner(pushed.id).name == f"{base} + {pushed.id} (generic-chunk)"
    assert load_refiner(pushed.id, preset=PRESET, window_tokens=99)._preset.window_tokens == 99
    assert refine_texts([PAGE], old)[0].num_windows == 2
    with pytest.raises(ValueError, match="has no revision 'v9'"):
        load_refiner(f"{pushed.id}@v9")
    with pytest.raises(ValueError, match=f"{pushed.id} was trained for the chunk stage, not for the document stage"):
        load_refiner(f"{pushed.id}@{pushed.commit}", stage="document")


def test_once_seen_it_is_there_offline(pushed, monkeypatch):
    from huggingface_hub import constants

    refine_texts([PAGE], load_refiner(pushed.id))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refine_texts([PAGE], load_refiner(pushed.id))[0].num_windows == 2
    assert load_refiner("you/never-seen").name == "you/never-seen (generic-chunk)"


def test_a_hub_that_does_not_answer_is_no_model_without_settings(hub, monkeypatch):
    monkeypatch.setattr("hf_curation.hub.errors.ATTEMPTS", 1)
    hub.fail("GET", "/api/models/me/away", 503, times=20)
    with pytest.raises(OSError, match="me/away"):
        load_refiner("me/away")
    with pytest.raises(ValueError, match="me/nothing is not on the Hub"):
        load_refiner("me/nothing")


def test_a_whole_model_says_how_it_is_asked(repo, base, tmp_path):
    from huggingface_hub import HfApi

    write_description(tmp_path, {Stage.CHUNK: Described(preset=PRESET, window_tokens=40)})
    HfApi().create_repo(repo.id)
    HfApi().upload_folder(repo_id=repo.id, folder_path=base)
    commit = (
        HfApi()
        .upload_file(repo_id=repo.id, path_or_fileobj=tmp_path / "refiner.json", path_in_repo="refiner.json")
        .oid
    )
    refiner = load_refiner(f"{repo.id}@{commit}")
    assert refiner.name == f"{repo.id}@{commit} ({PRESET})"
    assert (refiner.adapter, refiner._preset.window_tokens) == (None, 40)


def test_pickled_weights_are_not_loaded(repo, adapter, base):
    from huggingface_hub import HfApi

    HfApi().create_repo(repo.id)
    config = adapter / "adapter_config.json"
    HfApi().upload_file(repo_id=repo.id, path_or_fileobj=config, path_in_repo=config.name)
    HfApi().upload_file(repo_id=repo.id, path_or_fileobj=b"pickle", path_in_repo="adapter_model.bin")
    with pytest.raises(ValueError, match="pickled weights are not loaded"):
        load_model(Source(model=str(base), adapter=repo.id), device="cpu", dtype="auto")
    with pytest.raises(ValueError, match="pickled weights are not loaded"):
        adapter_folder(str(base))


def test_a_run_reads_the_commit_of_its_plan(pushed, tmp_path):
    from datatrove_steps.refine_plan import RefineConfig, pin_config
    from hf_curation.files.pins import Pins

    (tmp_path / "in").mkdir()
    given = {"input": str(tmp_path / "in"), "output": str(tmp_path / "out"), "doc_refiner": None}
    pins = Pins()
    assert pin_config(RefineConfig(**given, chunk_refiner=pushed.id), pins).chunk_refiner == (
        f"{pushed.id}@{pushed.commit}"
    )
    assert pins.used == {f"{pushed.id}@main": pushed.commit}


def test_the_command_evaluates_it(pushed, tmp_path, capsys):
    from hf_curation.cli.main import main

    row = {"text": PAGE, "gold_text": "Whales sing in the cold sea.\nThey dive.", "url": "https://a.example/"}
    (tmp_path / "pages.jsonl").write_text(json.dumps(row) + "\n")
    assert main(["refiner", "evaluate", pushed.id, str(tmp_path / "pages.jsonl")]) == 0
    assert "evaluates-it (prox-web-chunk:plain)" in capsys.readouterr().out


def test_the_command_refines_with_it(pushed, tmp_path):
    from hf_curation.cli.main import main

    (tmp_path / "in.jsonl").write_text(json.dumps({"id": "1", "text": PAGE}) + "\n")
    words = [
        "refine",
        str(tmp_path / "in.jsonl"),
        str(tmp_path / "out"),
        "--refiner",
        pushed.id,
        "--doc-refiner",
        "none",
    ]
    assert main([*words, "--workers", "1"]) == 0
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert f"{pushed.id}@{pushed.commit} ({PRESET})" in plan["config"]["chunk_refiner"]["name"]
