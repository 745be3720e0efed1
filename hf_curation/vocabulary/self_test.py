"""The test that every saved tokenizer passes, on the files as they lie there.

A tokenizer that is slightly wrong does not fail: it gives other ids, for months. So what is written is loaded again
and held against what it must do: all bytes, dense ids, closed merges, no token that no text gives, every text back as
it was, no special token from a text.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.byte_level import text_of
from hf_curation.vocabulary.counts import find_unreachable
from hf_curation.vocabulary.merge_tree import MergeTree, crosses_space
from hf_curation.vocabulary.probes import PROBES

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MANY_SPACES = 1_000_000
NUM_FUZZED = 300
SHOWN = 5
_FUZZ_RANGES = (
    (0, 0x80),
    (0x80, 0x250),
    (0x370, 0x530),
    (0x590, 0xE00),
    (0x2000, 0x2C00),
    (0x3000, 0xA000),
    (0x1F300, 0x1FA00),
)


class SelfTestError(RuntimeError):
    """A tokenizer does not do what it must."""


def self_test(bpe: ByteLevelBPE, *, added: Sequence[str] = (), texts: Iterable[str] = ()) -> dict[str, Any]:
    """Test a tokenizer as it was saved.

    Args:
        bpe: Loaded from the files.
        added: Tokens that were learned: the text of each must give the token.
        texts: Texts that must come back as they were.

    Returns:
        What was tested, with numbers.

    Raises:
        SelfTestError: With all that is wrong.
    """
    tokenizer = bpe.to_tokenizer()
    tree = MergeTree.of(bpe)
    unreachable = find_unreachable(tree, [True] * len(tree.strings))
    lost = _not_found(tokenizer, bpe, added)
    changed, num_texts = _changed(tokenizer, bpe, texts)
    special = _special_from_text(tokenizer, bpe)
    wrong: dict[str, Sequence[object]] = {
        "bytes without a token": [hex(byte) for byte in bpe.missing_bytes],
        "ids that are not dense": _sparse(bpe),
        "merges across spaces before others": _misplaced(bpe),
        "unreachable tokens": [tree.strings[i] for i in unreachable],
        "added tokens that their text does not give": lost,
        "texts that do not come back": changed,
        "special tokens from text": special,
        "ids of special tokens": _moved(bpe, tokenizer),
    }
    found = [f"{len(cases)} {what}: {', '.join(map(repr, cases[:SHOWN]))}" for what, cases in wrong.items() if cases]
    if found:
        raise SelfTestError(f"the tokenizer is not right: {'; '.join(found)}")
    return {"tokens_reachable": len(tree.strings), "texts_round_trip": num_texts, "added_tokens_found": len(added)}


def fuzzed_texts(number: int, seed: int = 0) -> Iterator[str]:
    """Yield texts of random characters from ASCII with its control characters, scripts, symbols and emoji."""
    rng = random.Random(seed)  # noqa: S311 - not for secrets
    for _ in range(number):
        ranges = rng.choices(_FUZZ_RANGES, k=rng.randint(1, 40))
        yield "".join(chr(rng.randrange(*r)) * rng.choice((1, 1, 1, 2, 5)) for r in ranges)


def _changed(tokenizer: "Tokenizer", bpe: ByteLevelBPE, texts: Iterable[str]) -> tuple[list[str], int]:
    every_byte = "".join(map(chr, range(256)))
    asked = [*PROBES, every_byte, "\r", "a\rb", " " * MANY_SPACES, *fuzzed_texts(NUM_FUZZED), *texts]
    normalize = tokenizer.normalizer.normalize_str if bpe.body.get("normalizer") else str
    changed = []
    for text in asked:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        if tokenizer.decode(ids, skip_special_tokens=False) != normalize(text):
            changed.append(text[:80])
    return changed, len(asked)


def _not_found(tokenizer: "Tokenizer", bpe: ByteLevelBPE, added: Sequence[str]) -> list[str]:
    texts = [(token, text) for token in added if (text := text_of(token)) is not None]
    found = tokenizer.encode_batch([text for _, text in texts], add_special_tokens=False)
    return [token for (token, _), encoding in zip(texts, found, strict=True) if encoding.ids != [bpe.vocab[token]]]


def _sparse(bpe: ByteLevelBPE) -> list[int]:
    ids = {*bpe.vocab.values(), *(token["id"] for token in bpe.added_tokens)}
    return sorted(ids ^ set(range(bpe.size)))


def _misplaced(bpe: ByteLevelBPE) -> list[str]:
    crossing = [crosses_space(left, right) for left, right in bpe.merges]
    first = crossing.index(True) if True in crossing else len(crossing)
    return ["".join(bpe.merges[rank]) for rank in range(first, len(crossing)) if not crossing[rank]]


def _special_from_text(tokenizer: "Tokenizer", bpe: ByteLevelBPE) -> list[str]:
    special = {token["content"]: token["id"] for token in bpe.added_tokens if token.get("special")}
    text = " ".join(f"of the {content}of the" for content in special)
    ids = set(tokenizer.encode(text, add_special_tokens=False).ids)
    return [content for content, i in special.items() if i in ids]


def _moved(bpe: ByteLevelBPE, tokenizer: "Tokenizer") -> list[str]:
    """Return added tokens that `tokenizers` gives another id than the file says, and unknown ids around a text."""
    moved = [t["content"] for t in bpe.added_tokens if tokenizer.token_to_id(t["content"]) != t["id"]]
    added = {token["id"] for token in bpe.added_tokens}
    plain = tokenizer.encode("of the", add_special_tokens=False).ids
    around = set(tokenizer.encode("of the").ids) - set(plain)
    return moved + [f"id {i} from the post-processor" for i in sorted(around - added)]
