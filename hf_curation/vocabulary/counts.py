"""Counting on the target: every piece of text once, with a weight, and what a vocabulary makes of it.

Text is read once. Its pieces (word runs) are counted as strings; runs are sequences of words, and a vocabulary
segments every distinct word once: 9.9 MB of documentation are 888,000 pieces, 201,000 different runs, 70,000 different
words, in 2 s. Everything after that works on flat arrays of token ids with a weight for each run. Counts are sums over
sorted strings, so neither the order of the texts nor how they were split changes anything.

Removing tokens changes only runs that held one, so a recount encodes these runs again and leaves the others.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hf_curation.vocabulary.byte_level import is_byte_level
from hf_curation.vocabulary.merge_tree import MergeTree
from hf_curation.vocabulary.word_runs import run_splitter, word_splitter

if TYPE_CHECKING:
    from tokenizers import Tokenizer

IntArray = np.ndarray[Any, np.dtype[np.int64]]
BoolArray = np.ndarray[Any, np.dtype[np.bool_]]

_BATCH_UNITS: Final = 1 << 13


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetText:
    """The target as counted runs of words. U = different runs, W = different words."""

    runs: list[str]
    """U strings, sorted."""
    run_weights_U: IntArray
    """How often each run occurs."""
    words: list[str]
    """W strings, sorted; each begins with the space before it, if there is one."""
    word_weights_W: IntArray
    run_words: IntArray
    """Indices of words, run after run."""
    run_offsets: IntArray
    """Where each run begins in `run_words`, and the end: U + 1 numbers."""
    num_texts: int
    num_bytes: int
    num_repaired: int
    """Texts with a lone surrogate, which no encoder takes; it was counted as U+FFFD."""
    digest: str
    """Of the texts, whatever their order."""


@dataclass(slots=True, kw_only=True)
class TokenStream:
    """Token ids of weighted units, one unit after another. P = tokens, U = units."""

    ids_P: IntArray
    offsets: IntArray
    """U + 1 numbers."""
    weights_U: IntArray

    @property
    def unit_of_P(self) -> IntArray:
        """The unit of each token."""
        return np.repeat(np.arange(len(self.weights_U)), np.diff(self.offsets))

    def counts(self, num_tokens: int) -> IntArray:
        """Return how often each of `num_tokens` ids occurs, weights included."""
        found = np.bincount(self.ids_P, weights=self.weights_U[self.unit_of_P], minlength=num_tokens)
        return np.rint(found).astype(np.int64)  # exact below 2**53


def count_target(
    texts: Iterable[str], pre_tokenizer: dict[str, Any], normalize: Callable[[str], str] | None = None
) -> TargetText:
    """Count the word runs of texts.

    Args:
        texts: Any number, of any length; read once.
        pre_tokenizer: As `word_run_pre_tokenizer` returns it.
        normalize: What the base does to text first, if anything.

    Raises:
        ValueError: There is no text in them, one is no text, or they are one string, whose characters would be texts.
    """
    if isinstance(texts, str):
        raise ValueError(f"the target is one string, {texts[:40]!r}; give a list of texts, not a path or a text")
    split, runs = run_splitter(pre_tokenizer), Counter[str]()
    num_texts = num_bytes = num_repaired = digest = 0
    for text in texts:
        if not isinstance(text, str):
            raise ValueError(f"text {num_texts} of the target is {type(text).__name__}; drop what is no text")
        encoded = text.encode("utf-8", "surrogatepass")
        digest += int.from_bytes(sha256(encoded).digest(), "big")
        try:
            encoded.decode("utf-8")
        except UnicodeDecodeError:
            text = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in text)
            num_repaired += 1
        runs.update(split(normalize(text) if normalize else text))
        num_texts, num_bytes = num_texts + 1, num_bytes + len(encoded)
    if not runs:
        raise ValueError(f"the target is empty: {num_texts} texts without a character; give it texts")
    # A sum, so that order does not count.
    hexdigest = f"{digest % 2**256:064x}"
    return _index(runs, num_texts=num_texts, num_bytes=num_bytes, num_repaired=num_repaired, digest=hexdigest)


def segment_words(target: TargetText, tree: MergeTree) -> TokenStream:
    """Return the tokens of each different word."""
    tokenizer = working_tokenizer(tree, [True] * len(tree.strings))
    return encode_units(tokenizer, target.words, target.word_weights_W)


def join_words(target: TargetText, words: TokenStream) -> tuple[TokenStream, BoolArray]:
    """Return the tokens of each different run, and for each whether a word begins with it."""
    lengths = np.diff(words.offsets)[target.run_words]
    ends = np.cumsum(lengths)
    total = int(ends[-1])
    source = np.arange(total) + np.repeat(words.offsets[target.run_words] - (ends - lengths), lengths)
    is_word_start = np.zeros(total, dtype=bool)
    is_word_start[(ends - lengths)[lengths > 0]] = True
    offsets = np.concatenate([[0], ends])[target.run_offsets]
    stream = TokenStream(ids_P=words.ids_P[source], offsets=offsets, weights_U=target.run_weights_U)
    return stream, is_word_start


def recount(stream: TokenStream, runs: Sequence[str], removed: BoolArray, tokenizer: "Tokenizer") -> TokenStream:
    """Encode the units again that hold a removed token (bool per token); the others stay."""
    units = stream.unit_of_P
    is_stale = np.zeros(len(stream.weights_U), dtype=bool)
    is_stale[units[removed[stream.ids_P]]] = True
    stale = np.flatnonzero(is_stale)
    if not len(stale):
        return stream
    fresh = encode_units(tokenizer, [runs[i] for i in stale.tolist()], stream.weights_U[stale])
    lengths = np.diff(stream.offsets)
    lengths[stale] = np.diff(fresh.offsets)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    ids = np.empty(int(offsets[-1]), dtype=np.int64)
    is_fresh = np.repeat(is_stale, lengths)
    ids[is_fresh], ids[~is_fresh] = fresh.ids_P, stream.ids_P[~is_stale[units]]
    return TokenStream(ids_P=ids, offsets=offsets, weights_U=stream.weights_U)


def encode_units(tokenizer: "Tokenizer", units: Sequence[str], weights_U: IntArray) -> TokenStream:
    """Encode strings, none of which is split before its merges.

    By the batch: what the encoder returns of a string (offsets, masks, tokens) takes far more memory than its ids.
    """
    lengths: list[int] = []
    ids = array("q")
    for first in range(0, len(units), _BATCH_UNITS):
        batch = units[first : first + _BATCH_UNITS]
        for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False):
            found = encoding.ids
            lengths.append(len(found))
            ids.extend(found)
    offsets = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
    return TokenStream(ids_P=np.frombuffer(ids, dtype=np.int64), offsets=offsets, weights_U=weights_U)


def working_tokenizer(tree: MergeTree, kept: Sequence[bool], *, raw: bool = False) -> "Tokenizer":
    """Return an encoder whose ids are indices of the tree and that splits nothing before its merges.

    Args:
        tree: All tokens.
        kept: Which to use.
        raw: Whether it takes token strings (`Ġthe`) and not text.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers  # noqa: PLC0415

    vocab = {token: i for i, token in enumerate(tree.strings) if kept[i] and is_byte_level(token)}
    merges = [(tree.strings[tree.left[i]], tree.strings[tree.right[i]]) for i in tree.order if kept[i]]
    tokenizer = Tokenizer(models.BPE(vocab, merges))
    if not raw:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    return tokenizer


def find_unreachable(tree: MergeTree, kept: Sequence[bool]) -> list[int]:
    """Return the kept tokens that their own characters do not give back; bytes and added tokens are left out."""
    asked = [i for i in range(len(tree.strings)) if kept[i] and i not in tree.protected]
    tokenizer = working_tokenizer(tree, kept, raw=True)
    found = tokenizer.encode_batch_fast([tree.strings[i] for i in asked], add_special_tokens=False)
    return [i for i, encoding in zip(asked, found, strict=True) if encoding.ids != [i]]


def _index(runs: Counter[str], **sums: Any) -> TargetText:  # noqa: ANN401 - plain fields
    split, seen = word_splitter(), dict[str, int]()
    names = sorted(runs)
    lengths = np.empty(len(names), dtype=np.int64)
    run_words_seen = array("q")
    for place, name in enumerate(names):
        parts = split(name)
        lengths[place] = len(parts)
        run_words_seen.extend(seen.setdefault(word, len(seen)) for word in parts)
    words = sorted(seen)
    place_of_seen = np.empty(len(words), dtype=np.int64)
    place_of_seen[[seen[word] for word in words]] = np.arange(len(words))
    run_words = place_of_seen[np.frombuffer(run_words_seen, dtype=np.int64)]
    run_weights = np.fromiter((runs[name] for name in names), dtype=np.int64, count=len(names))
    word_weights = np.bincount(run_words, weights=np.repeat(run_weights, lengths), minlength=len(words))
    return TargetText(
        runs=names,
        run_weights_U=run_weights,
        words=words,
        word_weights_W=np.rint(word_weights).astype(np.int64),
        run_words=run_words,
        run_offsets=np.concatenate([[0], np.cumsum(lengths)]),
        **sums,
    )
