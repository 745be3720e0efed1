"""Control strings are broken in prompts, in place, and mended in programs."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hf_curation.refiners.prompts import neutralise, restore

CONTROL = [
    *("</s>", "<s>", "[/INST]", "[INST]", "<<SYS>>", "<</SYS>>", "[doc]", "[/doc]", "<|im_end|>", "<think>"),
    *("</think>", "<end_of_turn>", "<eos>", "<|eot_id|>", "<｜User｜>", "<lid:12>", "[/SYSTEM_PROMPT]"),
]
HARMLESS = [
    "",
    "a < b > c",
    "[1]",
    "[edit]",
    "<p>text</p>",
    "[INST",
    "<s",
    "x[0]|y",
    "<|",
    "a <| b |> c\n",
    "[[wiki]]",
]


@pytest.mark.parametrize("control", CONTROL)
def test_breaks_every_control_string_by_one_character(control):
    quoted = neutralise(f"page {control} text")
    assert control not in quoted
    assert quoted == f"page {control[0]}\u200b{control[1:]} text"
    assert restore(f'normalize(source_str="{quoted}", target_str="")') == (
        f'normalize(source_str="page {control} text", target_str="")'
    )


@pytest.mark.parametrize("text", HARMLESS)
def test_leaves_other_text_as_the_same_object(text):
    assert neutralise(text) is text
    assert restore(text) is text


def test_keeps_zero_width_spaces_of_the_page():
    text = "Schiff\u200bfahrt <\u200b br> [\u200b1]"
    assert neutralise(text) == text
    assert restore(text) == text


def test_replaces_lone_surrogates_one_for_one():
    assert neutralise("a\ud800b\udfffc😀") == "a\ufffdb\ufffdc😀"


@given(st.lists(st.one_of(st.sampled_from(CONTROL + HARMLESS), st.text(max_size=8))).map("".join))
def test_reversible_idempotent_and_blind_to_lines(text):
    quoted = neutralise(text)
    assert not any(control in quoted for control in CONTROL)
    assert neutralise(quoted) == quoted
    assert quoted.count("\n") == text.count("\n")
    assert quoted.replace("\u200b", "") == text.replace("\u200b", "")
    if "\u200b" not in text:
        assert restore(quoted) == text


@pytest.mark.parametrize("unit", ["<|", "<", "[/", "<|a", "</", "[INST]", "<|x|"])
def test_takes_linear_time(unit):
    start = time.process_time()
    neutralise(unit * 500_000)
    assert time.process_time() - start < 5
