"""A folder that says how its model is asked needs no preset."""

import json

import pytest

from hf_curation.refiners.base import Stage
from hf_curation.refiners.described import REFINER_FILE, Described, write_description
from hf_curation.refiners.load import load_refiner


@pytest.fixture
def folder(tmp_path):
    config = {"base_model_name_or_path": "someone/base", "revision": "abc"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    told = Described(preset="prox-web-chunk:plain", window_tokens=512, max_new_tokens=99, system="Clean.")
    write_description(tmp_path, {Stage.CHUNK: told})
    return tmp_path


def test_what_the_folder_says_is_taken(folder):
    refiner = load_refiner(str(folder))
    assert refiner.name == f"someone/base@abc + {folder} (prox-web-chunk:plain)"
    preset = refiner._preset
    assert (preset.window_tokens, preset.max_new_tokens, preset.system) == (512, 99, "Clean.")


def test_what_the_caller_says_comes_first(folder):
    assert load_refiner(str(folder), window_tokens=300, revision="v2")._preset.window_tokens == 300
    assert load_refiner(str(folder), revision="v2").revision == "v2"
    other = load_refiner(str(folder), preset="generic-chunk")._preset
    assert (other.name, other.window_tokens) == ("generic-chunk", 1500)


def test_a_full_model_may_say_so_too(folder):
    (folder / "config.json").write_text("{}")
    refiner = load_refiner(str(folder))
    assert (refiner.model, refiner.adapter, refiner._preset.window_tokens) == (str(folder), None, 512)


def test_another_stage_is_refused(folder):
    with pytest.raises(ValueError, match="trained for the chunk stage, not for the document stage"):
        load_refiner(str(folder), stage="document")


@pytest.mark.parametrize("text", ["{", '{"stages": 3}', '{"stages": {"chunk": {"presett": "x"}}}', "[]"])
def test_a_broken_description_is_one_line(folder, text):
    (folder / REFINER_FILE).write_text(text)
    with pytest.raises(ValueError, match=r"refiner\.json cannot be read .*; name a preset"):
        load_refiner(str(folder))
