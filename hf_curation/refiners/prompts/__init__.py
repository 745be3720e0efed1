"""Prompts: presets of known refiners, pages made safe to quote, and prompts as strings or token ids."""

from hf_curation.refiners.prompts.encode import PromptEncoder
from hf_curation.refiners.prompts.neutral import neutralise, restore
from hf_curation.refiners.prompts.presets import (
    PRESETS,
    Preset,
    Template,
    get_preset,
    load_system_text,
    preset_of_model,
)
from hf_curation.refiners.prompts.render import chat_messages, completion_prompt, render_page, with_system

__all__ = [
    "PRESETS",
    "Preset",
    "PromptEncoder",
    "Template",
    "chat_messages",
    "completion_prompt",
    "get_preset",
    "load_system_text",
    "neutralise",
    "preset_of_model",
    "render_page",
    "restore",
    "with_system",
]
