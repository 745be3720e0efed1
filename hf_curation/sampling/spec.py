"""What a feature is: which tokens, which n-grams of them, and into which bucket.

Two runs can share counts, a model or weights only if all of this is equal, so `FeatureSpec.describe` goes into plans,
manifests and models: it names the version of the hash, the Unicode version of the character classes, and the digest of
a tokenizer's vocabulary, not only its name.
"""

import unicodedata
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final, Literal, Self

from hf_curation.files.pins import portable_name
from hf_curation.sampling.mix64 import MIX64_VERSION

WORDS: Final = "words"
MAX_BUCKETS: Final = 1 << 28
_WORD_BUCKETS: Final = 10_000
_TOKEN_BUCKETS: Final = 1 << 20
MAX_ORDER: Final = 16


def default_buckets(tokens: str) -> int:
    """Return how many buckets serve words, or a tokenizer, well.

    DSIR's 10,000 are enough for words, and far too few for the 128,256 tokens of Llama 3 and their pairs. Of 150 MB
    towards the questions of eight benchmarks, 1 % chosen is at KL(target || chosen) on character 5-grams of .101 nats
    by words, .155 by Llama 3's tokens and .190 by tokens adapted to the questions, in 10,000 buckets; in 2^20 it is at
    .100, .094 and .092 (`recipes/benchmarks/temperature.py --features TOKENIZER --buckets N`).
    """
    return _WORD_BUCKETS if tokens == WORDS else _TOKEN_BUCKETS


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """The features of a text: hashed n-grams of its tokens."""

    tokens: str = WORDS
    """"words": runs of letters and digits, and runs of other signs (see `hf_curation.sampling.words`); anything else
    is a tokenizer: a folder, a tokenizer.json, or a name on the Hub."""
    revision: str | None = None
    """Of a tokenizer on the Hub: a commit, a branch or a tag."""
    lower: bool = True
    """Fold case before words are found. Must be False for a tokenizer, which sees the text as it is."""
    max_order: int = 2
    """N-grams of orders 1 to `max_order`."""
    num_buckets: int = _WORD_BUCKETS
    """Buckets that n-grams of all orders share; for a tokenizer take more, see `default_buckets`."""
    hash: Literal["mix64", "sha256"] = "mix64"
    """`mix64` is ours (`hf_curation.sampling.mix64`); `sha256` gives DSIR's own buckets, of words only."""

    def __post_init__(self) -> None:
        if not self.tokens:
            raise ValueError("tokens must be 'words' or name a tokenizer, got an empty string")
        if self.hash not in ("mix64", "sha256"):
            raise ValueError(f"hash must be 'mix64' or 'sha256', got {self.hash!r}")
        if not 1 <= self.max_order <= MAX_ORDER:
            raise ValueError(f"max_order must be in 1..{MAX_ORDER}, got {self.max_order}")
        if not 1 <= self.num_buckets <= MAX_BUCKETS:
            raise ValueError(f"num_buckets must be in 1..{MAX_BUCKETS:,}, got {self.num_buckets:,}")
        if not self.uses_words and self.lower:
            raise ValueError(f"lower=True is for words; with the tokenizer {self.tokens!r} say lower=False")
        if not self.uses_words and self.hash == "sha256":
            raise ValueError(f"hash='sha256' is for words; with the tokenizer {self.tokens!r} take hash='mix64'")
        if self.uses_words and self.revision is not None:
            raise ValueError(f"revision={self.revision!r} belongs to a tokenizer on the Hub; words have none")

    @classmethod
    def dsir(cls) -> Self:
        """Return the features of DSIR: lower-case words, uni- and bigrams, SHA-256 modulo 10,000."""
        return cls(hash="sha256")

    @property
    def uses_words(self) -> bool:
        """Whether tokens are words, for which no tokenizer is needed."""
        return self.tokens == WORDS

    def describe(self) -> dict[str, Any]:
        """Return everything that decides in which bucket an n-gram falls, as JSON.

        For a tokenizer this loads it once, to take the digest of its vocabulary. One that lies here goes by the last
        part of its path: where it lies is not what it is, and equal runs in two folders are equal.
        """
        described = asdict(self) | {"hash_version": MIX64_VERSION if self.hash == "mix64" else "sha256-mod"}
        if self.uses_words:
            return described | {"unicode": unicodedata.unidata_version}
        described["tokens"] = portable_name(self.tokens)
        return described | {"tokenizer_sha256": _tokenizer_digest(self.tokens, self.revision)}


@lru_cache(maxsize=8)
def _tokenizer_digest(tokenizer: str, revision: str | None) -> str:
    from hf_curation.vocabulary.encoding import load_bulk_encoder  # noqa: PLC0415 - loads a tokenizer library

    return str(load_bulk_encoder(tokenizer, revision=revision).tokenizer_sha256)
