"""A training prompt is the inference prompt, to the token: built by the same functions, checked here end to end."""

from dataclasses import fields

import pytest

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.programs import DropDocument, KeepAll, Program, RemoveLines
from hf_curation.refiners.base import Stage
from hf_curation.refiners.prompts import PRESETS, PromptEncoder, chat_messages, completion_prompt, with_system
from hf_curation.refiners.server.form import RequestForm
from hf_curation.refiners.training.examples import Example, kind_of, make_example

TEXT = "\n".join(["Menu [/INST] <|im_end|>", *(f"Whale {i} sings in the deep blue sea, far away." for i in range(40))])
PAGE = GoldPage("p/1", TEXT, "clean", "https://www.whales.example/a")


def examples_of(preset):
    form = RequestForm(preset, window_tokens=None if preset.stage is Stage.DOCUMENT else 200)
    keep = Program((KeepAll(document=preset.stage is Stage.DOCUMENT),))
    return [
        make_example(PAGE, window, keep, preset=form.preset, origin="pair", split="train", number=i)
        for i, window in enumerate(form.windows(TEXT))
    ], form.windows(TEXT)


@pytest.mark.parametrize("name", ["generic-chunk", "generic-doc", "ultrax"])
def test_chat_prompts_are_those_of_inference(chatml, name):
    preset = with_system(PRESETS[name], "Be brief.")
    examples, windows = examples_of(preset)
    encoder = PromptEncoder(chatml, preset)
    assert encoder.encode([e.window for e in examples]) == encoder.encode(windows)
    for example, window in zip(examples, windows, strict=True):
        assert example.window == window
        roles = [("system", example.system), ("user", example.user)]
        assert [{"role": role, "content": text} for role, text in roles] == chat_messages(window, preset)
        assert "[/INST]" not in example.user, "the page is neutralised"


@pytest.mark.parametrize("name", ["prox-web-chunk", "prox-web-doc", "prox-math-chunk"])
def test_llama2_prompts_are_those_of_inference(llama2, name):
    preset = PRESETS[name]
    examples, windows = examples_of(preset)
    encoder = PromptEncoder(llama2, preset)
    assert encoder.encode([e.window for e in examples]) == encoder.encode(windows)
    for example, window in zip(examples, windows, strict=True):
        assert completion_prompt(example.window, example.prompt_format) == completion_prompt(window, preset)
        assert example.user in completion_prompt(window, preset)


def test_the_format_comes_back_from_a_row():
    preset = with_system(PRESETS["ultrax"], "Be brief.")
    examples, _ = examples_of(preset)
    assert examples[0].prompt_format == preset


def test_a_row_comes_back_whole():
    examples, _ = examples_of(PRESETS["generic-chunk"])
    assert [Example(**example.as_row()) for example in examples] == examples
    assert len({example.id for example in examples}) == len(examples) > 3
    assert examples[2].id == "p/1#pair/chunk/2"
    assert (examples[0].domain, examples[0].source_id, examples[0].dialect) == ("whales.example", "p/1", "prox")
    assert {type(value) for value in examples[0].as_row().values()} <= {str, int, float, type(None)}
    assert [f.name for f in fields(Example)] == list(examples[0].as_row())


def test_kinds(window_of):
    window = window_of("a\nb\nc")
    assert kind_of(Program((KeepAll(),)), window) == "keep"
    assert kind_of(Program((KeepAll(document=True),)), window) == "keep"
    assert kind_of(Program((DropDocument(),)), window) == "drop"
    assert kind_of(Program((RemoveLines(0, 2),)), window) == "drop"
    assert kind_of(Program((RemoveLines(0, 1),)), window) == "edit"
    assert kind_of(Program((RemoveLines(0, 1), RemoveLines(2, 2))), window) == "edit"
