r"""Prefix token ids, one way for training, packing and inference.

The prefix is encoded APART from the document and the ids are concatenated, as MeCo trains. Encoding both as one text
gives other ids: on 1,470 of 1,471 pages with a GPT-2 style pre-tokenizer (`\n\n` before a word splits in two), so a
model prompted that way sees a boundary it was never trained on.

A tokenizer reads `<|endoftext|>` in a column's value as the token itself. Such values are missing under
`special_token`. Prefixes repeat (few hosts hold most documents), so ids are kept for the most recent texts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from hf_curation.metadata.missing import Missing
from hf_curation.metadata.template import Prefix, PrefixTemplate


class TextTokenizer(Protocol):
    """A `tokenizers.Tokenizer`, a transformers tokenizer, or whatever has this one method."""

    def encode(self, text: str, *, add_special_tokens: bool = ...) -> Any:  # noqa: ANN401
        """Return a list of ids, or an object with `.ids`."""


@dataclass(frozen=True, slots=True)
class EncodedPrefix:
    """A document's prefix as token ids."""

    ids: tuple[int, ...]
    """Without BOS or any special token but the template's own; empty when the document has no prefix."""
    prefix: Prefix
    """The text, and what was missing."""


def encode_prefix(tokenizer: TextTokenizer, text: str) -> list[int]:
    """Return the ids of `text` alone, without special tokens.

    Raises:
        ValueError: the tokenizer pads or truncates by itself, so that ids would depend on its settings.
    """
    for setting in ("padding", "truncation"):
        if isinstance(getattr(tokenizer, setting, None), dict):
            raise ValueError(f"the tokenizer has {setting} enabled, which changes prefix ids: call no_{setting}()")
    if not text:
        return []
    encoded = tokenizer.encode(text, add_special_tokens=False)
    return list(getattr(encoded, "ids", encoded))


def special_token_ids(tokenizer: object) -> frozenset[int]:
    """Return the ids of all tokens that the tokenizer holds special, reserved ones included."""
    if hasattr(tokenizer, "get_added_tokens_decoder"):
        added = tokenizer.get_added_tokens_decoder()
    else:
        added = getattr(tokenizer, "added_tokens_decoder", {})
    ids = {token_id for token_id, token in added.items() if token.special}
    return frozenset(ids.union(getattr(tokenizer, "all_special_ids", ())))


class PrefixEncoder:
    """Documents' columns in, prefix ids out; the same object serves a collator and a prompt.

    A prompt is `[*encoder({"url": "www.factmonster.com"}).ids, *question_ids]`, behind BOS where training had one.

    Pickles to DataLoader workers; the cache stays behind.
    """

    def __init__(self, tokenizer: TextTokenizer, template: PrefixTemplate, *, cache_size: int = 1 << 16) -> None:
        """Check the tokenizer and count the special tokens that the template itself writes.

        Args:
            tokenizer: Not changed afterwards; its ids are cached.
            template: What to write in front.
            cache_size: Texts whose ids are kept, about 0.3 kB each.
        """
        self.tokenizer = tokenizer
        self.template = template
        self._cache_size = cache_size
        self._numbers: dict[int, int] = {}
        self._special = special_token_ids(tokenizer)
        self._encode = lru_cache(cache_size)(self._encode_uncached)
        self._num_own_special = sum(self._encode(literal)[1] for literal in template.literals)

    def __call__(self, metadata: Mapping[str, object]) -> EncodedPrefix:
        """Return the prefix of the document with these columns; see `PrefixTemplate.render` for errors."""
        values = [field.read(metadata) for field in self.template.fields]
        prefix = self.template.compose(values)
        ids, num_special = self._encode(prefix.text)
        if num_special > self._num_own_special:
            prefix = self.template.compose(self._refuse_special(values))
            ids = self._encode(prefix.text)[0]
        return EncodedPrefix(ids, prefix)

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text that you wrote yourself, from the cache where it is there."""
        return list(self._encode(text)[0])

    def _encode_uncached(self, text: str) -> tuple[tuple[int, ...], int]:
        numbers = encode_prefix(self.tokenizer, text)
        ids = tuple(map(self._numbers.setdefault, numbers, numbers))  # one object a number halves what the cache holds
        return ids, sum(token_id in self._special for token_id in ids)

    def _refuse_special(self, values: list[str | Missing]) -> list[str | Missing]:
        """Return `values` without those that hold special tokens; without any where only their context makes one."""
        holds_special = [isinstance(value, str) and self._encode(value)[1] > 0 for value in values]
        refused = [bad or not any(holds_special) for bad in holds_special]
        return [
            Missing("special_token") if bad and isinstance(value, str) else value
            for value, bad in zip(values, refused, strict=True)
        ]

    def __getstate__(self) -> dict[str, object]:
        return {"tokenizer": self.tokenizer, "template": self.template, "cache_size": self._cache_size}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]
