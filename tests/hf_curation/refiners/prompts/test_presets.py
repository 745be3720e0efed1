"""Presets are data: names, limits, prompts as strings."""

import pytest

from hf_curation.programs.model import Dialect, Scope
from hf_curation.refiners.base import Stage, Window
from hf_curation.refiners.prompts import (
    PRESETS,
    Preset,
    Template,
    chat_messages,
    completion_prompt,
    get_preset,
    load_system_text,
    preset_of_model,
    with_system,
)

WINDOW = Window("Home\nWhales sing.", 4, Scope(20, 37, 4))
SYSTEM = "You are a helpful, respectful and honest assistant."


@pytest.mark.parametrize("domain", ["web", "math"])
def test_released_prox_models(domain):
    doc, chunk = get_preset(f"prox-{domain}-doc"), get_preset(f"prox-{domain}-chunk")
    assert (doc.model_id, chunk.model_id) == (
        f"gair-prox/{domain}-doc-refining-lm",
        f"gair-prox/{domain}-chunk-refining-lm",
    )
    assert (doc.stage, doc.window_tokens) == (Stage.DOCUMENT, 2000)
    assert (chunk.stage, chunk.window_tokens, chunk.max_new_tokens) == (Stage.CHUNK, 1500, 256)
    assert completion_prompt(WINDOW, doc) == f"[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\nHome\nWhales sing. [/INST]"
    assert completion_prompt(WINDOW, chunk) == (
        f"[INST] <<SYS>>\n{SYSTEM}\n<</SYS>>\n\n[doc]\n[004]Home\n[005]Whales sing.\n[/doc] [/INST]"
    )
    assert preset_of_model(doc.model_id) is doc


def test_variants():
    plain = get_preset("prox-web-doc:plain")
    assert completion_prompt(WINDOW, plain) == "[doc]\nHome\nWhales sing.\n[/doc]"
    assert get_preset("prox-web-chunk:double_bos").num_bos == 2
    assert get_preset("prox-web-chunk").num_bos == 1


def test_chat_messages_of_a_window():
    messages = chat_messages(WINDOW, get_preset("generic-chunk"))
    assert [m["role"] for m in messages] == ["system", "user"]
    assert messages[1]["content"] == "[doc]\n[004]Home\n[005]Whales sing.\n[/doc]"
    with pytest.raises(ValueError, match="send it as chat messages"):
        completion_prompt(WINDOW, get_preset("generic-chunk"))


def test_ultrax_needs_its_system_text(tmp_path):
    ultrax = get_preset("ultrax")
    assert (ultrax.dialect, ultrax.overlap) == (Dialect.ULTRAX, 0.2)
    with pytest.raises(ValueError, match=r"needs the system text .*load_system_text"):
        with_system(ultrax, None)
    (tmp_path / "inference.py").write_text('import os\nSYSTEM_INSTRUCTION = """\\\nClean it.\n"""\nos.abort()\n')
    filled = with_system(ultrax, load_system_text(tmp_path / "inference.py"))
    assert chat_messages(WINDOW, filled) == [
        {"role": "system", "content": "Clean it."},
        {"role": "user", "content": "<lid:5>Home\n<lid:6>Whales sing."},
    ]
    (tmp_path / "system.txt").write_text("Clean it too.\n")
    assert with_system(ultrax, load_system_text(tmp_path / "system.txt")).system == "Clean it too."
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="assigns no string to SYSTEM_INSTRUCTION"):
        load_system_text(tmp_path / "empty.py")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("prox-web-chunks", "did you mean 'prox-web-chunk'"),
        ("qqq", "there are: prox-web-doc"),
        ("prox-web-chunk:bos", "has no variant 'bos'; it has: double_bos, plain"),
        ("generic-chunk:plain", "it has: none"),
    ],
)
def test_unknown_names_are_explained(name, message):
    with pytest.raises(ValueError, match=message):
        get_preset(name)


def test_every_preset_is_whole():
    assert {name: preset.name for name, preset in PRESETS.items()} == {name: name for name in PRESETS}
    for preset in PRESETS.values():
        assert preset.system or preset.needs_system
        assert preset.is_numbered == (preset.stage is Stage.CHUNK)
        assert preset.max_new_tokens < preset.window_tokens
    with pytest.raises(ValueError, match=r"must hold '\{page\}' once"):
        Preset(name="x", stage=Stage.CHUNK, template=Template.PLAIN, user="no page", window_tokens=9, max_new_tokens=9)
