"""A byte-level BPE tokenizer as data: strings, merges in order, and the rest of its `tokenizer.json` untouched.

The file is the model. Everything that adaptation does is an edit of this data, and `tokenizers` loads the result, so
there is no second implementation of encoding to keep equal. Strings that are not byte-level BPE are refused when they
are loaded, with the reason, since a wrong guess would show only as silently different ids.

Truncation and padding that someone saved into the file are dropped: a tokenizer that counts must see the whole text.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hf_curation.files.pins import split_revision
from hf_curation.vocabulary.byte_level import byte_chars

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
TEMPLATE_FILE = "chat_template.jinja"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByteLevelBPE:
    """The parts of a `tokenizer.json`.

    >>> base = ByteLevelBPE.load("HuggingFaceTB/SmolLM2-135M")    # a Hub name, a folder, a file, or a loaded tokenizer
    >>> base.merges[0]
    ('Ġ', 't')
    """

    vocab: dict[str, int] = field(repr=False)
    """Token string -> id, of the model alone: added tokens may stand outside."""
    merges: list[tuple[str, str]] = field(repr=False)
    """In order of rank. Several may have one product; Llama 3 has 280,147 for 127,744."""
    body: dict[str, Any] = field(repr=False)
    """The rest of the file: `added_tokens`, `normalizer`, `pre_tokenizer`, `post_processor`, `decoder`, and `model`
    without `vocab` and `merges`."""
    config: dict[str, Any] = field(default_factory=dict, repr=False)
    """`tokenizer_config.json`, or empty."""
    chat_template: str | None = field(default=None, repr=False)
    """Of a `chat_template.jinja` beside the file."""
    name: str = "tokenizer"
    """On the Hub, or of the folder; for cards and manifests."""
    revision: str | None = None
    """Commit on the Hub."""

    @classmethod
    def load(cls, source: object, *, revision: str | None = None) -> Self:
        """Load a tokenizer.

        Args:
            source: A `tokenizer.json`, a folder that holds one, a name on the Hub, a `tokenizers.Tokenizer`, or a fast
                tokenizer of transformers.
            revision: Branch, tag or commit, of a Hub name.

        Raises:
            ValueError: It is not a byte-level BPE, or lies nowhere.
        """
        if not isinstance(source, str | Path):
            return cls._from_object(source)
        path = Path(source)
        if path.is_dir():
            path = path / TOKENIZER_FILE
        if path.is_file():
            return cls._from_file(path, name=path.resolve().parent.name)
        name, revision = split_revision(str(source), revision)
        if path.name == TOKENIZER_FILE or path.suffix == ".json" or name.count("/") != 1:
            raise ValueError(
                f"no {TOKENIZER_FILE} at {str(source)!r}; give a file, a folder, or a Hub name as owner/name"
            )
        return cls._from_hub(name, revision)

    @classmethod
    def from_json(cls, text: str | bytes, **others: Any) -> Self:  # noqa: ANN401 - fields of this class
        """Parse the text of a `tokenizer.json`; `others` are the fields that it does not hold.

        Raises:
            ValueError: It is not a byte-level BPE.
        """
        body: dict[str, Any] = json.loads(text)
        model = (body.get("model") if isinstance(body, dict) else None) or {}
        _check_model(model, others.get("name", "tokenizer"))
        vocab = model.pop("vocab")
        merges = [(a, b) for a, b in (m.split(" ") if isinstance(m, str) else m for m in model.pop("merges"))]
        body |= {"truncation": None, "padding": None}
        loaded = cls(vocab=vocab, merges=merges, body=body, **others)
        loaded.check_closed()
        return loaded

    @property
    def ignore_merges(self) -> bool:
        """Whether a whole pre-token that is in the vocabulary is taken without looking at merges."""
        return bool(self.body["model"].get("ignore_merges", False))

    @property
    def added_tokens(self) -> list[dict[str, Any]]:
        """Added tokens, the special ones among them, as the file has them: `content`, `id`, how they match."""
        return list(self.body.get("added_tokens") or [])

    @property
    def missing_bytes(self) -> list[int]:
        """Bytes that have no token, so that text which holds them is not encoded whole: SmolLM2 lacks 21."""
        return [byte for byte, char in enumerate(byte_chars()) if char not in self.vocab]

    @property
    def size(self) -> int:
        """Number of ids in use, added tokens included: what `len(tokenizer)` says in transformers."""
        return len(self.vocab.keys() | {token["content"] for token in self.added_tokens})

    @property
    def sha256(self) -> str:
        """Digest of the content, the same for equal files in different layout."""
        return sha256(self.to_json().encode("utf-8", "surrogatepass")).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the `tokenizer.json`."""
        model = {**self.body["model"], "vocab": self.vocab, "merges": [[a, b] for a, b in self.merges]}
        return {**self.body, "model": model}

    def to_json(self) -> str:
        """Return the text of the `tokenizer.json`, on one line."""
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    def to_tokenizer(self, *, parse_special: bool = False) -> "Tokenizer":
        """Return it for encoding, by default with special tokens in a text taken as the text that they are."""
        from tokenizers import Tokenizer  # noqa: PLC0415

        tokenizer = Tokenizer.from_str(self.to_json())
        tokenizer.encode_special_tokens = not parse_special
        return tokenizer

    def check_closed(self) -> None:
        """Raise a ValueError where a merge lacks a part or its product; `tokenizers` would not load it either."""
        for left, right in self.merges:
            for token in (left, right, left + right):
                if token not in self.vocab:
                    raise ValueError(f"{self.name} has a merge of {left!r} and {right!r}, but no token {token!r}")

    @classmethod
    def _from_object(cls, source: object) -> Self:
        tokenizer = getattr(source, "backend_tokenizer", source)
        to_str = getattr(tokenizer, "to_str", None)
        if to_str is None:
            raise ValueError(
                f"cannot read a tokenizer from {type(source).__name__}; give a fast tokenizer, a path or a name"
            )
        roles: Mapping[str, Any] = getattr(source, "special_tokens_map", {})
        name = str(getattr(source, "name_or_path", "") or "tokenizer")
        return cls.from_json(to_str(), name=name, config=dict(roles))

    @classmethod
    def _from_file(cls, path: Path, *, name: str, revision: str | None = None) -> Self:
        config, template = path.parent / CONFIG_FILE, path.parent / TEMPLATE_FILE
        try:
            return cls.from_json(
                path.read_bytes(),
                name=name,
                revision=revision,
                config=json.loads(config.read_bytes()) if config.is_file() else {},
                chat_template=template.read_text("utf-8") if template.is_file() else None,
            )
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no {TOKENIZER_FILE}, or a file beside it is damaged: {error}") from error

    @classmethod
    def _from_hub(cls, name: str, revision: str | None) -> Self:
        from huggingface_hub import snapshot_download  # noqa: PLC0415

        files = [TOKENIZER_FILE, CONFIG_FILE, TEMPLATE_FILE]
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=files))
        if not (folder / TOKENIZER_FILE).is_file():
            raise ValueError(f"{name} has no {TOKENIZER_FILE}: only fast tokenizers can be adapted")
        return cls._from_file(folder / TOKENIZER_FILE, name=name, revision=folder.name)


def _check_model(model: Mapping[str, Any], name: str) -> None:
    """Refuse models whose merges do not mean what they mean in byte-level BPE."""
    if model.get("type") != "BPE":
        raise ValueError(
            f"{name} is a {model.get('type')} model; adaptation needs a byte-level BPE (Llama 3, SmolLM, Qwen)"
        )
    if model.get("byte_fallback"):
        raise ValueError(f"{name} falls back to bytes (SentencePiece BPE); adaptation needs a byte-level BPE")
    for option in ("continuing_subword_prefix", "end_of_word_suffix", "dropout"):
        if model.get(option):
            raise ValueError(f"{name} sets {option}={model[option]!r}, which byte-level BPE does not have")
