"""Pages to token ids, as training reads them: no special tokens added, none parsed out of the text.

A page that spells `</s>` or `<|endoftext|>` writes letters, not the control token: a crawl is full of pages about
language models. The tokenizer is loaded as `transformers` loads it, so that its vocabulary is the one that training
compares with; its rules then go to the fastest encoder that gives the same ids (`vocabulary.encoding`).

`save_encoder` keeps the rules, so that the tasks of a run read them in milliseconds, without `transformers` (four
seconds to import), and all of them the same ones.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from hf_curation.files.atomic import write_json, write_whole
from hf_curation.files.pins import portable_name, split_revision
from hf_curation.packing.store import vocabulary_hash
from hf_curation.vocabulary.encoding import Backend, BulkEncoder, load_bulk_encoder

_FACTS: Final = "encoder.json"
_RULES: Final = "tokenizer.json"


@dataclass(frozen=True, slots=True)
class PageEncoder:
    """A loaded tokenizer."""

    name: str
    """On the Hub, with `@revision` where there is one; of a folder its own name, wherever it lies."""
    vocabulary_sha256: str
    max_token_id: int
    rules: str
    """The content of a `tokenizer.json` that pads and cuts nothing."""
    bulk: BulkEncoder

    def encode(self, texts: Sequence[str]) -> list[npt.NDArray[np.uint32]]:
        """Return the ids of each text."""
        ids, offsets = self.bulk.encode(texts)
        return [ids[start:end] for start, end in pairwise(offsets.tolist())]

    @property
    def sha256(self) -> str:
        """Of all its rules: equal digests, equal ids."""
        return sha256(self.rules.encode()).hexdigest()


def load_encoder(tokenizer: str, *, revision: str | None = None, backend: Backend = "auto") -> PageEncoder:
    """Load a tokenizer by the name of its repository, by its folder, or by one that `save_encoder` wrote.

    Args:
        tokenizer: Name, also as `you/name@revision`, or folder.
        revision: Of a repository.
        backend: What encodes, see `load_bulk_encoder`.

    Raises:
        ImportError: without `transformers`; says what to install.
        ValueError: if it is not there, or has no fast implementation.
    """
    if (Path(tokenizer) / _FACTS).exists():
        return _load_saved(Path(tokenizer), backend)
    tokenizer, revision = split_revision(tokenizer, revision)
    loaded = _load_transformers(tokenizer, revision)
    rules = loaded.backend_tokenizer
    rules.no_padding()
    rules.no_truncation()
    return PageEncoder(
        name=portable_name(tokenizer) + ("" if revision is None else f"@{revision}"),
        vocabulary_sha256=vocabulary_hash(loaded),
        max_token_id=max(loaded.get_vocab().values(), default=0),
        rules=rules.to_str(),
        bulk=load_bulk_encoder(rules, backend=backend),
    )


def save_encoder(encoder: PageEncoder, folder: Path) -> None:
    """Write an encoder for `load_encoder`; `encoder.json` comes last."""
    write_whole(folder / _RULES, encoder.rules.encode())
    names = ("name", "vocabulary_sha256", "max_token_id")
    write_json(folder / _FACTS, {name: getattr(encoder, name) for name in names})


def _load_saved(folder: Path, backend: Backend) -> PageEncoder:
    facts = json.loads((folder / _FACTS).read_bytes())
    rules = (folder / _RULES).read_text(encoding="utf-8")
    return PageEncoder(**facts, rules=rules, bulk=load_bulk_encoder(folder / _RULES, backend=backend))


def _load_transformers(tokenizer: str, revision: str | None) -> Any:  # noqa: ANN401
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
    return loaded
