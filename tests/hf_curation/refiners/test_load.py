"""What a refiner's name means, and what is said of a name that means nothing."""

import json

import pytest

from hf_curation.refiners.base import Stage
from hf_curation.refiners.causal_lm import CausalLMRefiner
from hf_curation.refiners.load import load_refiner
from hf_curation.refiners.prompts import Template


@pytest.mark.parametrize(
    ("name", "stage", "model", "preset"),
    [
        ("prox-web", "document", "gair-prox/web-doc-refining-lm", "prox-web-doc"),
        ("prox-web", "chunk", "gair-prox/web-chunk-refining-lm", "prox-web-chunk"),
        ("prox-math-doc", Stage.DOCUMENT, "gair-prox/math-doc-refining-lm", "prox-math-doc"),
        ("prox-web-chunk:double_bos", "chunk", "gair-prox/web-chunk-refining-lm", "prox-web-chunk:double_bos"),
        ("gair-prox/math-chunk-refining-lm", "chunk", "gair-prox/math-chunk-refining-lm", "prox-math-chunk"),
        ("someone/some-model", "chunk", "someone/some-model", "generic-chunk"),
        ("someone/some-model", "document", "someone/some-model", "generic-doc"),
    ],
)
def test_names_of_causal_lms(name, stage, model, preset):
    refiner = load_refiner(name, stage=stage)
    assert isinstance(refiner, CausalLMRefiner)
    assert refiner.name == f"{model} ({preset})"
    assert refiner.stage == stage


def test_options_reach_the_refiner():
    refiner = load_refiner("a/b", stage="chunk", preset="prox-web-chunk:plain", constrained=True, revision="v2")
    assert refiner.name == "a/b@v2 (prox-web-chunk:plain, constrained)"
    assert refiner._preset.template is Template.PLAIN
    assert load_refiner("ultrax", stage="chunk", system="Clean.").dialect == "ultrax"


def test_folders_hold_models_or_adapters(tmp_path):
    (tmp_path / "model").mkdir()
    assert load_refiner(str(tmp_path / "model")).name == f"{tmp_path / 'model'} (generic-chunk)"
    (tmp_path / "adapter").mkdir()
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps({"base_model_name_or_path": "gair-prox/web-chunk-refining-lm"}))
    refiner = load_refiner(str(tmp_path / "adapter"))
    assert refiner.name == f"gair-prox/web-chunk-refining-lm + {tmp_path / 'adapter'} (prox-web-chunk)"
    config.write_text("{}")
    with pytest.raises(ValueError, match="does not name its base model"):
        load_refiner(str(tmp_path / "adapter"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("taggr", {}, "did you mean 'tagger'"),
        ("prox-webb", {}, "did you mean 'prox-web'"),
        ("zzzz", {}, "known are tagger, prox-web, prox-math, prox-web-doc"),
        ("./nowhere", {}, "'./nowhere' is no refiner, folder"),
        ("/no/where", {}, "is no refiner, folder"),
        ("prox-web-doc", {"stage": "chunk"}, "is for the document stage, not for the chunk stage; for this one there"),
        ("ultrax", {"stage": "document", "system": "x"}, "'ultrax' is for the chunk stage, not for the document"),
        ("a/b", {"preset": "generic-doc"}, "there is 'generic-chunk'"),
        ("generic-chunk", {}, "is a prompt format without weights"),
        ("prox-web-chunk", {"preset": "generic-chunk"}, "is a preset already"),
        ("prox-web-chunk:x", {}, "has no variant 'x'"),
        ("tagger", {"preset": "generic-chunk"}, "the tagger has no prompt"),
        ("a/b", {"model": "m"}, "is no http:// or https:// address"),
        ("http://localhost:1/v1", {}, "which model at http://localhost:1/v1"),
        ("a/b", {"stage": "line"}, "'line' is not a valid Stage"),
    ],
)
def test_names_that_mean_nothing_are_explained(name, options, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.").replace("/", "/")):
        load_refiner(name, **options)


def test_an_address_is_a_server():
    pytest.importorskip("httpx")
    refiner = load_refiner("http://localhost:1/v1", stage="document", model="some-model")
    assert (type(refiner).__name__, refiner.stage) == ("ServerRefiner", "document")
    assert "generic-doc" in refiner.name
    known = load_refiner("https://example.org/v1", model="gair-prox/web-chunk-refining-lm", constrained="vllm")
    assert "prox-web-chunk" in known.name
