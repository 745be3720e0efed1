"""The merges that a vocabulary really uses: one for each token, so that the whole vocabulary is a forest.

A file may list several merges with one product. Llama 3's, made from tiktoken ranks, lists every split of every token:
280,147 merges for 127,744 products, up to 80 for one. At most one of them ever fires. Where a token t stands in a
segmentation, no merge crossed its borders before it was complete, so the merges inside it were those that happen when
t stands alone, in the same order, and the last of these is always the same one. Hence:

- the merge of a token is the last one of its own segmentation; the others are dead, and dropping them changes nothing;
- a token whose own segmentation does not end in itself is unreachable: 588 of Llama 3's, which only whole pre-tokens
  produced under `ignore_merges`;
- a leaf, a token that is no part of any other's merge, can be removed without making another token unreachable, and a
  leaf that a text does not contain can be removed without changing the segmentation of that text.

Tokens are numbered here by their place in the base's ids, so that arrays can hold them; ids come with the export.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.byte_level import SPACE, bytes_of, is_byte_level, token_of

NO_PART = -1
Pair = tuple[int, int]


@dataclass(slots=True, kw_only=True)
class MergeTree:
    """The tokens of a model with the one merge of each, and the order of these merges. Grows by `add`."""

    strings: list[str]
    """By index: the base's tokens in order of their ids, then those that were added, in the order of learning."""
    left: list[int]
    """Index of the first part of the token's merge, or NO_PART: bytes, added tokens, unreachable tokens."""
    right: list[int]
    order: list[int]
    """Indices of tokens that have a merge, in the order of these merges."""
    num_base: int
    unreachable: set[int] = field(default_factory=set)
    """Tokens of the base that its own merges cannot make. Learning may give one a merge; the rest are dropped."""
    protected: set[int] = field(default_factory=set)
    """Bytes and added tokens: never removed."""
    reserved: set[str] = field(default_factory=set)
    """Contents of added tokens; they are names already."""
    intercepted: tuple[str, ...] = ()
    """Those that are cut out of a text before its merges, in byte-level form; special tokens are not, in a corpus."""
    index: dict[str, int] = field(default_factory=dict)
    """Token string -> index."""

    @classmethod
    def of(cls, base: ByteLevelBPE) -> Self:
        """Find the live merge of every token of a model: 3.4 s for Llama 3's."""
        strings = sorted(base.vocab, key=base.vocab.__getitem__)
        none = [NO_PART] * len(strings)
        tree = cls(strings=strings, left=none, right=none.copy(), order=[], num_base=len(strings))
        tree.index = {token: i for i, token in enumerate(strings)}
        tree.reserved = {token["content"] for token in base.added_tokens}
        tree.intercepted = tuple(token_of(t["content"]) for t in base.added_tokens if not t.get("special"))
        tree.protected = {i for i, token in enumerate(strings) if len(token) == 1 or token in tree.reserved}
        ranks = {(tree.index[a], tree.index[b]): rank for rank, (a, b) in enumerate(base.merges)}
        tree._find_live(ranks)
        return tree

    @property
    def num_merges(self) -> int:
        """Number of live merges."""
        return len(self.order)

    def can_add(self, string: str) -> bool:
        """Return whether a token of this string may be learned: it is new, or one that the base could not make."""
        if string in self.reserved or any(content in string for content in self.intercepted):
            return False
        token = self.index.get(string)
        return token is None or token in self.unreachable

    def add(self, left: int, right: int) -> int:
        """Append a merge after all others and return its product, which may be a token of the base that had none."""
        string = self.strings[left] + self.strings[right]
        product = self.index.get(string)
        if product is None:
            product = self.index[string] = len(self.strings)
            self.strings.append(string)
            self.left.append(left)
            self.right.append(right)
        else:
            assert product in self.unreachable, string
            self.unreachable.discard(product)
            self.left[product], self.right[product] = left, right
        self.order.append(product)
        return product

    def add_atom(self, string: str) -> int:
        """Append a token without a merge, a byte that the base lacks, and return its index."""
        assert string not in self.index, string
        self.index[string] = len(self.strings)
        self.protected.add(len(self.strings))
        self.strings.append(string)
        self.left.append(NO_PART)
        self.right.append(NO_PART)
        return self.index[string]

    def num_bytes(self) -> list[int]:
        """Return the length of each token in bytes; of added tokens, which may hold any characters, in UTF-8."""
        return [len(s) if is_byte_level(s) else len(s.encode("utf-8", "surrogatepass")) for s in self.strings]

    def _find_live(self, ranks: dict[Pair, int]) -> None:
        index = self.index
        merges = {pair: index[self.strings[pair[0]] + self.strings[pair[1]]] for pair in ranks}
        live_rank: dict[int, int] = {}
        for token, string in enumerate(self.strings):
            if token in self.protected or not is_byte_level(string):
                continue
            last = last_merge([index.get(char, NO_PART) for char in string], ranks, merges)
            if last is None:
                self.unreachable.add(token)
                continue
            self.left[token], self.right[token] = last
            live_rank[token] = ranks[last]
        self.order = sorted(live_rank, key=live_rank.__getitem__)


def last_merge(symbols: list[int], ranks: dict[Pair, int], merges: dict[Pair, int]) -> Pair | None:
    """Merge symbols until one is left, lowest rank first and leftmost among equals; return the last pair, or None."""
    never = len(ranks)
    while len(symbols) > 2:
        pairs = list(pairwise(symbols))
        found = [ranks.get(pair, never) for pair in pairs]
        best = min(found)
        if best == never:
            return None
        at = found.index(best)
        symbols[at : at + 2] = [merges[pairs[at]]]
    last = (symbols[0], symbols[-1])
    return last if len(symbols) == 2 and last in ranks else None


def children_of(tree: MergeTree) -> Sequence[int]:
    """Return for each token in how many merges of others it is a part; leaves have 0."""
    children = [0] * len(tree.strings)
    for token in tree.order:
        children[tree.left[token]] += 1
        children[tree.right[token]] += 1
    return children


def crosses_space(left: str, right: str) -> bool:
    """Return whether a merge joins words: its right part begins with a space, before which there is something else.

    >>> crosses_space("Ġof", "Ġthe"), crosses_space("Ġ", "the"), crosses_space("Ġ", "Ġ"), crosses_space("Ċ", "Ġ")
    (True, False, False, False)
    """
    if not right.startswith(SPACE):
        return False
    text = bytes_of(left).decode("utf-8", "ignore")
    return text != "" and not text[-1].isspace()


def multi_word_tokens(tree: MergeTree) -> set[int]:
    """Return the tokens that span more than one word."""
    found: set[int] = set()
    for token in tree.order:
        left, right = tree.left[token], tree.right[token]
        if left in found or right in found or crosses_space(tree.strings[left], tree.strings[right]):
            found.add(token)
    return found
