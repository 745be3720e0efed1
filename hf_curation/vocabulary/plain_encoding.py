"""Encoding by `tokenizers` itself: the twin of every faster way, and the way where there is none.

2.2-2.8 MB/s a core on Llama-3's vocabulary (`encode_batch_fast`, fresh documents).
"""

from hashlib import sha256
from typing import Any, Final, Protocol

import numpy as np
import orjson

from hf_curation.files.atomic import canonical_json
from hf_curation.vocabulary.byte_level import bytes_of, is_byte_level
from hf_curation.vocabulary.texts import Texts, as_strings

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
