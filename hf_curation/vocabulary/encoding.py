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
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, Protocol

import numpy as np
import orjson

from hf_curation.files.atomic import canonical_json
from hf_curation.vocabulary.byte_level import bytes_of, is_byte_level
from hf_curation.vocabulary.texts import Texts, as_strings

Backend = Literal["auto", "fast", "plain"]

logger = logging.getLogger(__name__)

_BATCH_TEXTS: Final = 256


class BulkEncoder(Protocol):
    """Texts in, ids out."""

    name: str
    """As given, with `@revision` where there is one."""
    backend_name: str
    """`tokenizers`, `gigatoken` or `gigatoken+superwords`."""
    tokenizer_sha256: str
    """Of all that decides ids: vocabulary, merges, normalizer, pre-tokenizer, added tokens that are no specials."""
    vocabulary_sha256: str
    """Of the vocabulary, as token stores record it."""
    num_ids: int
    """One more than the largest id."""

    def encode(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of all texts, uint32[total], and where each text begins, int64[N + 1]."""
        ...

    def token(self, token_id: int) -> str:
        """Return a token for people, as `readable` shows it."""
        ...


def load_bulk_encoder(
    tokenizer: Any,  # noqa: ANN401 - a `tokenizers.Tokenizer` has no types here
    *,
    revision: str | None = None,
    backend: Backend = "auto",
) -> BulkEncoder:
    """Load a tokenizer for encoding in bulk.

    Args:
        tokenizer: A `tokenizer.json`, a folder that holds one, the name of a repository, or a `tokenizers.Tokenizer`.
        revision: Of a repository.
        backend: `auto` takes the fast backend where it is there and exact, `fast` insists on it, `plain` is the twin.

    Raises:
        ImportError: without `tokenizers`; says what to install.
        ValueError: if there is no such tokenizer; with `fast`, if no fast backend is exact for it.
    """
    plain = PlainEncoder(*_read(tokenizer, revision))
    if backend == "plain":
        return plain
    from hf_curation.vocabulary.fast_encoding import NotExactError, load_fast_encoder  # noqa: PLC0415

    try:
        return load_fast_encoder(plain)
    except NotExactError as error:
        if backend == "fast":
            raise ValueError(f"{plain.name} has no fast encoder: {error}") from error
        logger.warning("%s is encoded by `tokenizers`, ~50 times slower: %s", plain.name, error)
        return plain


class PlainEncoder:
    """`tokenizers` itself.

    Args:
        name: For messages.
        text: The content of a `tokenizer.json`.
    """

    backend_name = "tokenizers"

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.data: dict[str, Any] = orjson.loads(text)
        self._tokenizer = _build(name, text)
        vocabulary: dict[str, int] = self._tokenizer.get_vocab(with_added_tokens=True)
        self.num_ids = max(vocabulary.values(), default=-1) + 1
        self.vocabulary_sha256 = _digest(sorted(vocabulary.items()))
        self.tokenizer_sha256 = _digest(_what_decides_ids(self.data))

    def encode(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of all texts, uint32[total], and where each text begins, int64[N + 1]."""
        strings = as_strings(texts)
        offsets = np.zeros(len(strings) + 1, np.int64)
        parts = [np.empty(0, np.uint32)]
        for start in range(0, len(strings), _BATCH_TEXTS):
            batch = strings[start : start + _BATCH_TEXTS]
            encodings = self._tokenizer.encode_batch_fast(batch, add_special_tokens=False)
            for index, encoding in enumerate(encodings, start + 1):
                parts.append(np.array(encoding.ids, np.uint32))
                offsets[index] = len(parts[-1])
        return np.concatenate(parts), np.cumsum(offsets)

    def token(self, token_id: int) -> str:
        """Return a token for people, as `readable` shows it."""
        text = self._tokenizer.id_to_token(token_id)
        if text is None:
            raise ValueError(f"{self.name} has no token {token_id}")
        return readable(text)


def readable(token: str) -> str:
    """Return a token of a byte-level vocabulary as text, and any other token as it is.

    `Ġof` is ` of`; bytes that are no whole character are written as backslash, x and two digits.
    """
    return bytes_of(token).decode(errors="backslashreplace") if is_byte_level(token) else token


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
    return name if revision is None else f"{name}@{revision}", _download(name, revision).read_text(encoding="utf-8")


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError  # noqa: PLC0415

    try:
        return Path(hf_hub_download(name, "tokenizer.json", revision=revision))
    except (EntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"there is no tokenizer.json in {name!r}, here or on the Hub ({reason})") from error


def _build(name: str, text: str) -> Any:  # noqa: ANN401
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("`tokenizers` is needed here: pip install 'hf-curation[select]'") from error
    try:
        built = Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing narrower
        raise ValueError(f"{name} is no tokenizer.json that `tokenizers` can load ({error})") from error
    built.no_padding()
    built.no_truncation()
    built.encode_special_tokens = True
    return built


def _what_decides_ids(data: dict[str, Any]) -> list[Any]:
    """Return it spelled in one way: merges are lists or strings, and an option that is off is written or not."""
    model = {name: value for name, value in data["model"].items() if value}
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model.get("merges", [])]
    added = [[token["content"], token["id"]] for token in data.get("added_tokens") or [] if not token["special"]]
    return [model | {"merges": merges}, data.get("normalizer"), data.get("pre_tokenizer"), added]


def _digest(value: object) -> str:
    return sha256(canonical_json(value)).hexdigest()
