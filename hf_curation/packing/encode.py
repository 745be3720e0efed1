"""Pages to token ids, as training reads them: no special tokens added, none parsed out of the text.

A page that spells `</s>` or `<|endoftext|>` writes letters, not the control token: a crawl is full of pages about
language models. The tokenizer is loaded as `transformers` loads it, so that its vocabulary is the one that training
compares with; encoding then goes through its Rust core in batches.

`save_encoder` keeps the loaded core, so that the tasks of a run read it in milliseconds, without `transformers` (four
seconds to import), and all of them the same one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from hf_curation.files.atomic import write_json, write_whole
from hf_curation.packing.store import vocabulary_hash

_FACTS: Final = "encoder.json"
_RULES: Final = "tokenizer.json"


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

    @property
    def sha256(self) -> str:
        """Of all its rules: equal digests, equal ids."""
        return sha256(self.backend.to_str().encode()).hexdigest()


def load_encoder(tokenizer: str, *, revision: str | None = None) -> PageEncoder:
    """Load a tokenizer by the name of its repository, by its folder, or by one that `save_encoder` wrote.

    Raises:
        ImportError: without `transformers`; says what to install.
        ValueError: if it is not there, or has no fast implementation.
    """
    if (Path(tokenizer) / _FACTS).exists():
        return _load_saved(Path(tokenizer))
    try:
        from transformers import AutoTokenizer  # noqa: PLC0415 - seconds to import, and only where tokens are made
    except ImportError as error:
        raise ImportError("`transformers` is needed to tokenize: pip install 'hf-curation[train]'") from error
    try:
        loaded = AutoTokenizer.from_pretrained(tokenizer, revision=revision)
    except OSError as error:
        raise ValueError(f"tokenizer {tokenizer!r} cannot be loaded: {str(error).partition(chr(10))[0]}") from error
    if not loaded.is_fast:
        raise ValueError(f"{tokenizer} has no fast tokenizer (tokenizer.json): save it as one first")
    backend = loaded.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.encode_special_tokens = True
    name = tokenizer if revision is None else f"{tokenizer}@{revision}"
    return PageEncoder(name, vocabulary_hash(loaded), max(loaded.get_vocab().values(), default=0), backend)


def save_encoder(encoder: PageEncoder, folder: Path) -> None:
    """Write an encoder for `load_encoder`; `encoder.json` comes last."""
    write_whole(folder / _RULES, encoder.backend.to_str().encode())
    names = ("name", "vocabulary_sha256", "max_token_id")
    write_json(folder / _FACTS, {name: getattr(encoder, name) for name in names})


def _load_saved(folder: Path) -> PageEncoder:
    from tokenizers import Tokenizer  # noqa: PLC0415

    backend = Tokenizer.from_file(str(folder / _RULES))
    backend.encode_special_tokens = True  # no part of the file
    return PageEncoder(**json.loads((folder / _FACTS).read_bytes()), backend=backend)
