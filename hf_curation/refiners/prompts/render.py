"""Prompts as strings: what a chat or completion server is sent, and what `encode` cuts into token ids.

The page goes in neutralised (`neutral`): a server tokenises prompts with control tokens on.
"""

from dataclasses import replace

from hf_curation.refiners.base import Window
from hf_curation.refiners.prompts.neutral import neutralise
from hf_curation.refiners.prompts.presets import Preset, Template
from hf_curation.refiners.windows import number_lines


def with_system(preset: Preset, system: str | None) -> Preset:
    """Return `preset` with the system text filled in or replaced.

    Raises:
        ValueError: if the preset needs a system text and none is given.
    """
    if system is not None:
        return replace(preset, system=system.strip("\n"), needs_system=False)
    if preset.needs_system:
        raise ValueError(
            f"preset {preset.name!r} needs the system text that {preset.model_id} was tuned on, which is not part of "
            "this package: pass system=load_system_text(PATH); PATH: a text file, or inference.py of openbmb/UltraX"
        )
    return preset


def render_page(window: Window, preset: Preset) -> str:
    """Return what stands for `{page}`: the window's lines, neutralised, numbered in the chunk stage."""
    page = neutralise(window.text)
    return number_lines(page, window.first_line, preset.dialect) if preset.is_numbered else page.strip()


def user_turn(window: Window, preset: Preset) -> str:
    """Return the user's turn for a window."""
    before, after = preset.user_parts
    return before + render_page(window, preset) + after


def chat_messages(window: Window, preset: Preset) -> list[dict[str, str]]:
    """Return the messages for a chat server; the Llama-2 template is the server's business then."""
    return [*system_messages(preset), {"role": "user", "content": user_turn(window, preset)}]


def completion_prompt(window: Window, preset: Preset) -> str:
    """Return the prompt as one string, without BOS, for a completion server.

    Raises:
        ValueError: for a preset whose template only the tokenizer knows.
    """
    before, after = framing(preset)
    return before + render_page(window, preset) + after


def system_messages(preset: Preset) -> list[dict[str, str]]:
    """Return the system message, if the preset has one."""
    return [{"role": "system", "content": preset.system}] if preset.system else []


def framing(preset: Preset) -> tuple[str, str]:
    """Return the strings before and after the page, BOS left out, for templates that are ours to write.

    Raises:
        ValueError: for a preset whose template only the tokenizer knows.
    """
    before, after = preset.user_parts
    match preset.template:
        case Template.PLAIN:
            return before, after
        case Template.LLAMA2:
            system = f"<<SYS>>\n{preset.system}\n<</SYS>>\n\n" if preset.system else ""
            return f"[INST] {system}{before}", f"{after} [/INST]"
        case Template.CHAT:
            raise ValueError(f"preset {preset.name!r} uses the model's chat template: send it as chat messages")
