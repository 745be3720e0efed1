"""Pages to token ids, as training reads them: no special tokens added, none parsed out of the text.

A page that spells `</s>` or `<|endoftext|>` writes letters, not the control token: a crawl is full of pages about
language models. The tokenizer is loaded as `transformers` loads it, so that its vocabulary is the one that training
compares with; encoding then goes through its Rust core in batches.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hf_curation.packing.store import vocabulary_hash


@dataclass(frozen=True, slots=True)
class PageEncoder:
    """A loaded tokenizer."""

    name: str
    """As given, with `@revision` where there is one."""
    vocabulary_sha256: str
    max_token_id: int
    backend: Any
    """A `tokenizers.Tokenizer` that adds, pads, cuts and parses nothing."""

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text."""
        encodings = self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        return [encoding.ids for encoding in encodings]


def load_encoder(tokenizer: str, *, revision: str | None = None) -> PageEncoder:
    """Load a tokenizer by the name of its repository or by its folder.

    Raises:
        ImportError: without `transformers`; says what to install.
        ValueError: if it has no fast implementation.
    """
    try:
        from transformers import AutoTokenizer  # noqa: PLC0415 - seconds to import, and only where tokens are made
    except ImportError as error:
        raise ImportError("`transformers` is needed to tokenize: pip install 'hf-curation[train]'") from error
    loaded = AutoTokenizer.from_pretrained(tokenizer, revision=revision)
    if not loaded.is_fast:
        raise ValueError(f"{tokenizer} has no fast tokenizer (tokenizer.json): save it as one first")
    backend = loaded.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True
    name = tokenizer if revision is None else f"{tokenizer}@{revision}"
    return PageEncoder(name, vocabulary_hash(loaded), max(loaded.get_vocab().values(), default=0), backend)
