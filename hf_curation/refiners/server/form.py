"""What a server is asked for one window: the request body, and the windows themselves.

Shared by `ServerRefiner`, which sends requests itself, and by the rollouts for datatrove's InferenceRunner, which
hands them to the runner.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, get_args

from hf_curation.programs.model import Dialect, Scope
from hf_curation.refiners.base import Stage, Window
from hf_curation.refiners.prompts import (
    Preset,
    Template,
    chat_messages,
    completion_prompt,
    get_preset,
    with_system,
)
from hf_curation.refiners.server.answers import Api
from hf_curation.refiners.server.constraints import Constraint, constraint_body
from hf_curation.refiners.server.tokens import token_counter
from hf_curation.refiners.windows import CountTokens, cut_windows, document_window

_OURS: Final = frozenset({"model", "prompt", "messages", "stream", "n", "best_of"})
"""Request fields that `extra_body` may not set: answers could no longer be told apart."""
_TURN_TOKENS: Final = 16
"""Allowance for what a chat template puts around the turns, which is not known here."""


class RequestForm:
    """Windows of a document, and the request body for each; pickles small."""

    def __init__(
        self,
        preset: str | Preset,
        *,
        api: Api | None = None,
        system: str | None = None,
        tokenizer: str | None = None,
        window_tokens: int | None = None,
        constrained: Constraint = "none",
        max_tokens: int | None = None,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        """Choose the prompt and the fields of requests; nothing is loaded yet.

        Args:
            preset: window, prompt and dialect: a name of `PRESETS`, or a `Preset`.
            api: `completions` (the prompt is rendered here) or `chat` (by the server's template); by default what
                the preset's template asks for.
            system: the system text, for presets that need one.
            tokenizer: `tokenizer.json`, a folder that holds one, or a Hub id, to cut windows by exact token counts;
                by default a cautious estimate.
            window_tokens: size of a window, for a server with little context; by default the preset's.
            constrained: what kind of server is told the grammar of programs; `none` leaves decoding free.
            max_tokens: where an answer is cut off; by default the preset's value.
            extra_body: further fields of every request, such as `chat_template_kwargs`; one that is None is left out,
                so `{"max_tokens": None, "max_completion_tokens": 256}` renames a field.

        Raises:
            ValueError: for a preset, api, constraint or field that cannot be used.
        """
        self.preset = with_system(get_preset(preset) if isinstance(preset, str) else preset, system)
        if window_tokens is not None:
            self.preset = replace(self.preset, window_tokens=window_tokens)
        self.api: Api = api or ("chat" if self.preset.template is Template.CHAT else "completions")
        self.tokenizer = tokenizer
        self.constrained: Constraint = constrained
        self.max_tokens = max_tokens or self.preset.max_new_tokens
        self.extra_body = dict(extra_body or {})
        self._check()

    @property
    def stage(self) -> Stage:
        """The preset's stage."""
        return self.preset.stage

    @property
    def dialect(self) -> Dialect:
        """The preset's dialect."""
        return self.preset.dialect

    @property
    def digest(self) -> str:
        """Eight hex digits that change when anything does that decides what is asked."""
        own = {name: value for name, value in self.__getstate__().items() if name not in ("preset", "tokenizer")}
        tokenizer = self.tokenizer and Path(self.tokenizer).name
        facts = json.dumps([asdict(self.preset), tokenizer, own], sort_keys=True, default=str)
        return hashlib.sha256(facts.encode()).hexdigest()[:8]

    def windows(self, text: str) -> list[Window]:
        """Cut a document into windows of the preset's size; the document stage shows one, truncated if need be."""
        preset, count = self.preset, self._count
        if self.stage is Stage.DOCUMENT:
            return [document_window(text, count, preset.window_tokens - self._frame_tokens)]
        return cut_windows(text, count, preset.window_tokens, dialect=self.dialect, overlap=preset.overlap)

    def body(self, window: Window) -> dict[str, Any]:
        """Return the request body for one window, without the model's name."""
        body = self._prompt(window) | {"max_tokens": self.max_tokens, "temperature": 0.0}
        body |= constraint_body(self.constrained, self.dialect, self.stage, window) | self.extra_body
        return {name: value for name, value in body.items() if value is not None}

    def __getstate__(self) -> dict[str, Any]:
        transient = {"_count", "_frame_tokens"}
        return {name: value for name, value in self.__dict__.items() if name not in transient}

    def _check(self) -> None:
        for value, kind, name in ((self.api, Api, "api"), (self.constrained, Constraint, "constrained")):
            if value not in get_args(kind):
                raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}, got {value!r}")
        if self.api == "completions" and self.preset.template is Template.CHAT:
            raise ValueError(f"preset {self.preset.name!r} uses the model's chat template; use api='chat'")
        if self.preset.num_bos != 1:
            raise ValueError(f"preset {self.preset.name!r} wants {self.preset.num_bos} BOS tokens; a server adds one")
        if taken := sorted(_OURS & self.extra_body.keys()):
            raise ValueError(f"extra_body may not set {', '.join(taken)}")

    def _prompt(self, window: Window) -> dict[str, Any]:
        if self.api == "chat":
            return {"messages": chat_messages(window, self.preset)}
        return {"prompt": completion_prompt(window, self.preset)}

    @cached_property
    def _count(self) -> CountTokens:
        return token_counter(self.tokenizer)

    @cached_property
    def _frame_tokens(self) -> int:
        """Tokens of the prompt around the page, the template's share included."""
        return sum(self._count([prompt_text(self._prompt(Window("", 0, Scope(0, 0, 0))))])) + _TURN_TOKENS


def prompt_text(body: Mapping[str, Any]) -> str:
    """Return all text of the prompt in a request body."""
    return str(body.get("prompt", "")) + "".join(turn["content"] for turn in body.get("messages", ()))
