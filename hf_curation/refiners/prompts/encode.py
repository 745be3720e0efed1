r"""Prompts as token ids: the template's ids around the page's ids.

The template is encoded with control tokens on, the page with control tokens off, so that nothing in a page can become
one; neither string is ever joined to the other before encoding. Where they meet, ids are those of the whole string
(tested): the page starts after a newline and is encoded behind one, whose ids are then taken off, because tokenizers
of the Llama-2 kind put a space in front of any string. What follows the page up to the next control token (` [/INST]`)
is encoded with it.

Measured on ProX's document script: truncating the finished prompt cuts off ` [/INST]`. Here only the page is cut, and
that happens in `windows.document_window`.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hf_curation.refiners.base import Stage, Window
from hf_curation.refiners.prompts.neutral import neutralise
from hf_curation.refiners.prompts.presets import Preset, Template
from hf_curation.refiners.prompts.render import framing, render_page, system_messages
from hf_curation.refiners.windows import MIN_BUDGET, cut_windows, document_window

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

_SEAM_TOKENS = 4
"""Spare tokens of a truncated prompt: a sum of counts may miss the truth by one at each seam."""


class PromptEncoder:
    """The prompts of one preset in the token ids of one tokenizer.

    Raises:
        ValueError: if the preset wants a chat template and the tokenizer has none, or leaves no room for a page.
    """

    def __init__(self, tokenizer: "PreTrainedTokenizerBase", preset: Preset) -> None:
        self.preset = preset
        self._tokenizer = tokenizer
        self._control = _control_tokens(tokenizer)
        self._backend = _page_backend(tokenizer, set(self._control))
        if preset.template is Template.CHAT:
            before, after = _chat_framing(tokenizer, preset)
            self._before = self._trusted(before)
        else:
            before, after = framing(preset)
            self._before = self._with_bos(before)
        cut = min((at for token in self._control if (at := after.find(token)) >= 0), default=len(after))
        self._behind_page, self._after = after[:cut], self._trusted(after[cut:])
        self._newline = self._untrusted(["\n"])[0]
        if preset.stage is Stage.DOCUMENT and self._page_tokens < MIN_BUDGET:
            raise ValueError(
                f"window_tokens={preset.window_tokens} is for the whole prompt of preset {preset.name!r}, whose "
                f"template takes {self.overhead} already; pass {self.overhead + _SEAM_TOKENS + MIN_BUDGET} or more"
            )

    @property
    def head(self) -> tuple[int, ...]:
        """What all prompts begin with: every token in front of the page."""
        return tuple(self._before)

    @property
    def overhead(self) -> int:
        """Tokens of a prompt that are not the page's."""
        return len(self._before) + len(self._untrusted([self._behind_page])[0]) + len(self._after)

    @property
    def _page_tokens(self) -> int:
        """What a document prompt leaves for the page."""
        return self.preset.window_tokens - self.overhead - _SEAM_TOKENS

    def count(self, texts: Sequence[str]) -> list[int]:
        """Return the cost of each text as part of a page, in tokens."""
        return [len(ids) for ids in self._untrusted([neutralise(text) for text in texts])]

    def windows(self, text: str) -> list[Window]:
        """Cut a page as the preset wants it: numbered windows, or one window that shows what fits of the page."""
        preset = self.preset
        if preset.stage is Stage.DOCUMENT:
            return [document_window(text, self.count, self._page_tokens)]
        return cut_windows(text, self.count, preset.window_tokens, dialect=preset.dialect, overlap=preset.overlap)

    def encode(self, windows: Sequence[Window]) -> list[list[int]]:
        """Return the token ids of the prompt of every window."""
        pages = [render_page(window, self.preset) + self._behind_page for window in windows]
        lead = self._newline
        encoded = self._untrusted(["\n" + page for page in pages])
        # A page that starts with blanks may fuse with the newline; then it is encoded as it stands.
        bodies = [
            ids[len(lead) :] if ids[: len(lead)] == lead else self._untrusted([page])[0]
            for page, ids in zip(pages, encoded, strict=True)
        ]
        return [[*self._before, *body, *self._after] for body in bodies]

    def _trusted(self, text: str) -> list[int]:
        """Encode a string of ours, control tokens on."""
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"]) if text else []

    def _with_bos(self, text: str) -> list[int]:
        """Encode the start of a prompt behind the preset's number of BOS tokens, as ProX's two scripts came to do it.

        One: `<s>` is part of the string, so `[INST]` gets no space in front (ids 1, 29961, 25580). Two: the string is
        encoded as a new one behind them (ids 1, 1, 518, 25580).
        """
        bos, bos_id = self._tokenizer.bos_token, self._tokenizer.bos_token_id
        if bos is None or self.preset.num_bos == 0:
            return self._trusted(text)
        if self.preset.num_bos == 1:
            return self._trusted(bos + text)
        return [bos_id] * self.preset.num_bos + self._trusted(text)

    def _untrusted(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode strings that may hold anything: no control token comes out."""
        if self._backend is not None:
            batch = [e.ids for e in self._backend.encode_batch_fast(list(texts), add_special_tokens=False)]
        else:
            encoded = self._tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)
            batch = encoded["input_ids"]
        banned = set(self._control.values())
        return [[i for i in ids if i not in banned] if not banned.isdisjoint(ids) else list(ids) for ids in batch]


def _control_tokens(tokenizer: "PreTrainedTokenizerBase") -> dict[str, int]:
    """Return the added tokens that steer a model: the special ones and those written as markup (Qwen's `<think>`).

    Added tokens that are plain text, such as the runs of spaces of GPT-NeoX, are not among them; neither is `<unk>`,
    which stands for characters that the vocabulary lacks.
    """
    unknown = tokenizer.unk_token_id
    return {
        str(token.content): index
        for index, token in tokenizer.added_tokens_decoder.items()
        if index != unknown and (token.special or _is_markup(token.content))
    }


def _is_markup(content: str) -> bool:
    return content[:1] in ("<", "[") and content[-1:] in (">", "]")


def _page_backend(tokenizer: "PreTrainedTokenizerBase", control: set[str]) -> "Tokenizer | None":
    """Return a copy of a fast tokenizer's backend that reads control tokens as text; None for a slow tokenizer."""
    if not tokenizer.is_fast:
        return None
    from tokenizers import Tokenizer  # noqa: PLC0415

    state: dict[str, Any] = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in state["added_tokens"]:
        token["special"] = token["special"] or token["content"] in control
    state["truncation"] = state["padding"] = None
    backend = Tokenizer.from_str(json.dumps(state))
    backend.encode_special_tokens = True
    return backend


def _chat_framing(tokenizer: "PreTrainedTokenizerBase", preset: Preset) -> tuple[str, str]:
    """Return what the tokenizer's chat template writes before and after the page."""
    if not tokenizer.chat_template:
        raise ValueError(
            f"preset {preset.name!r} needs a chat template and this tokenizer has none; use an instruct model, or a "
            "preset of the released ProX models for weights tuned like them"
        )
    try:
        from jinja2.exceptions import TemplateError  # noqa: PLC0415
    except ImportError:
        raise ImportError("`jinja2` is needed for chat templates: pip install 'hf-curation[refine]'") from None

    stand_in = "PAGE0PAGE1PAGE2"
    before, after = preset.user_parts
    user = before + stand_in + after
    try:
        rendered = _render(tokenizer, [*system_messages(preset), {"role": "user", "content": user}])
    except TemplateError:
        if not preset.system:
            raise
        # Gemma and others refuse a system turn: its text then opens the user's.
        rendered = _render(tokenizer, [{"role": "user", "content": f"{preset.system}\n\n{user}"}])
    if rendered.count(stand_in) != 1:
        raise ValueError(f"the chat template of this tokenizer does not print the user's turn once: {rendered!r}")
    head, tail = rendered.split(stand_in)
    return head, tail


def _render(tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, str]]) -> str:
    rendered = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    return str(rendered)
