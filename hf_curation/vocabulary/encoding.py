"""Token ids in bulk, for n-gram features and for counting: exact, and as fast as this machine's libraries allow.

`tokenizers` is always there and always right: 2.2-2.8 MB/s a core on Llama-3's vocabulary (`encode_batch_fast`, fresh
documents). gigatoken gives the same ids ~50 times as fast, and superword merges of our own are applied to its ids
afterwards (`superwords`). A fast backend is used only after it has given the same ids as `tokenizers` on probe texts
in many scripts; where it does not load, or one id differs, one line of the log says so and the plain one takes over.

No special token is added, and none is read out of the text: a page that spells `<|end_of_text|>` gets letters.
Rejected: quicktok, tokie and others, whose ids differ outside English; tiktoken, exact but 11 times slower.
"""

import logging
import os
from pathlib import Path
from typing import Any, Literal

from hf_curation.files.pins import split_revision
from hf_curation.vocabulary.fast_encoding import GigatokenEncoder, NotExactError, check_exact
from hf_curation.vocabulary.plain_encoding import BulkEncoder, PlainEncoder
from hf_curation.vocabulary.superwords import SuperwordEncoder, has_word_runs

__all__ = ["Backend", "BulkEncoder", "PlainEncoder", "load_bulk_encoder"]

Backend = Literal["auto", "fast", "plain"]

logger = logging.getLogger(__name__)


def load_bulk_encoder(
    tokenizer: Any,  # noqa: ANN401 - a `tokenizers.Tokenizer` has no types here
    *,
    revision: str | None = None,
    backend: Backend = "auto",
) -> BulkEncoder:
    """Load a tokenizer for encoding in bulk.

    Args:
        tokenizer: A `tokenizer.json`, a folder that holds one, the name of a repository
            (also as `you/name@revision`), or a `tokenizers.Tokenizer`.
        revision: Of a repository.
        backend: `auto` takes the fast backend where it is there and exact, `fast` insists on it, `plain` is the twin.

    Raises:
        ImportError: without `tokenizers`; says what to install.
        ValueError: if there is no such tokenizer; with `fast`, if no fast backend is exact for it.
    """
    plain = PlainEncoder(*_read(tokenizer, revision))
    if backend == "plain":
        return plain
    try:
        encoder: BulkEncoder = SuperwordEncoder(plain) if has_word_runs(plain.data) else GigatokenEncoder(plain)
        check_exact(encoder, plain)
        return encoder
    except NotExactError as error:
        if backend == "fast":
            raise ValueError(f"{plain.name} has no fast encoder: {error}") from error
        logger.warning("%s is encoded by `tokenizers`, ~50 times slower: %s", plain.name, error)
        return plain


def _read(tokenizer: Any, revision: str | None) -> tuple[str, str]:  # noqa: ANN401
    """Return a tokenizer's name and the content of its `tokenizer.json`."""
    if hasattr(tokenizer, "to_str"):
        return "the tokenizer", tokenizer.to_str()
    name = os.fspath(tokenizer)
    path = Path(name).expanduser()
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file():
        return name, file.read_text(encoding="utf-8")
    if path.is_dir() or name.startswith((".", "/", "~")) or name.endswith(".json"):
        raise ValueError(f"{file} is not there; give a tokenizer.json, its folder, or the name of a repository")
    name, revision = split_revision(name, revision)
    return name if revision is None else f"{name}@{revision}", _download(name, revision).read_text(encoding="utf-8")


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError  # noqa: PLC0415

    try:
        return Path(hf_hub_download(name, "tokenizer.json", revision=revision))
    except (EntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"there is no tokenizer.json in {name!r}, here or on the Hub ({reason})") from error
