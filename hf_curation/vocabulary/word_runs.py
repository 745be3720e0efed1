r"""A pre-tokenizer that lets tokens span words and changes no segmentation by itself.

The split patterns of byte-level BPE cut at every space, so a merge of `Ġof` and `Ġthe` can never fire. SuperBPE's
second-stage pattern lets it fire, and re-segments ordinary text on the way: 415 of 1,471 web pages change under Llama
3's vocabulary without one new merge. Here only the word branch of the base's own pattern is extended over single
spaces,

    [^\r\n\p{L}\p{N}]?\p{L}+    ->    [^\r\n\p{L}\p{N}]?\p{L}+(?: \p{L}+)*

so every piece is a run of the pieces that the base would make, and as long as no merge crosses a space, each is
segmented as before (0 of 1,471 pages change). Tokens cannot cross punctuation, digits, line feeds or two spaces.
This holds for patterns whose branches we have read: those in `PATTERNS`. Others are refused.
"""

from collections.abc import Callable, Iterable
from typing import Any

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_TAIL = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_GPT2_HEAD, _GPT2_TAIL = r"'s|'t|'re|'ve|'m|'ll|'d|", r"| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
_CL100K_TAIL = r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"
_O200K_UPPER, _O200K_LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_O200K_WORDS = (
    rf"{_O200K_UPPER}*{_O200K_LOWER}+{_CONTRACTIONS}?",
    rf"{_O200K_UPPER}+{_O200K_LOWER}*{_CONTRACTIONS}?",
)
_O200K_TAIL = r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_PREFIX = r"[^\r\n\p{L}\p{N}]?"

GPT2 = rf"{_GPT2_HEAD} ?\p{{L}}+{_GPT2_TAIL}"
LLAMA3 = rf"{_CONTRACTIONS}|{_PREFIX}\p{{L}}+|\p{{N}}{{1,3}}{_TAIL}"
QWEN2 = rf"{_CONTRACTIONS}|{_PREFIX}\p{{L}}+|\p{{N}}{_TAIL}"
CL100K = rf"{_CONTRACTIONS}|{_PREFIX}+\p{{L}}+{_CL100K_TAIL}"
O200K = "|".join(_PREFIX + word for word in _O200K_WORDS) + _O200K_TAIL

PATTERNS = {
    GPT2: rf"{_GPT2_HEAD} ?\p{{L}}+(?: \p{{L}}+)*{_GPT2_TAIL}",
    LLAMA3: rf"{_CONTRACTIONS}|{_PREFIX}\p{{L}}+(?: \p{{L}}+)*|\p{{N}}{{1,3}}{_TAIL}",
    QWEN2: rf"{_CONTRACTIONS}|{_PREFIX}\p{{L}}+(?: \p{{L}}+)*|\p{{N}}{_TAIL}",
    CL100K: rf"{_CONTRACTIONS}|{_PREFIX}+\p{{L}}+(?: \p{{L}}+)*{_CL100K_TAIL}",
    O200K: f"(?:{'|'.join(_PREFIX + word for word in _O200K_WORDS)})(?: (?:{'|'.join(_O200K_WORDS)}))*{_O200K_TAIL}",
}
"""Pattern of a base -> the same with word runs. Llama 3's is OLMo 2's and SmolLM3's too; GPT-2's is in `ByteLevel`
itself."""

_DIGITS = {True: r"\p{N}|\P{N}+", False: r"\p{N}+|\P{N}+"}
"""What `Digits` splits into, with digits single or together."""


def word_run_pre_tokenizer(pre_tokenizer: dict[str, Any] | None, name: str = "the base") -> dict[str, Any]:
    """Return the pre-tokenizer of a `tokenizer.json` with its word branch extended over single spaces.

    A pre-tokenizer that has runs already comes back as it is.

    Raises:
        ValueError: Its pattern is none that we know, or it adds a space before the text.
    """
    steps = _steps(pre_tokenizer)
    if not steps or steps[-1].get("type") != "ByteLevel":
        raise ValueError(f"{name} does not end its pre-tokenizer in ByteLevel; adaptation needs a byte-level BPE")
    *splits, last = steps
    if last.get("add_prefix_space"):
        raise ValueError(
            f"{name} adds a space before every text; set add_prefix_space to false in its pre-tokenizer first"
        )
    if last.get("use_regex", True):
        splits = [*splits, {"type": "Split", "pattern": {"Regex": GPT2}, "behavior": "Isolated", "invert": False}]
    splits = [_with_runs(step, name) for step in splits]
    if sum(step["type"] == "Split" for step in splits) != 1:
        raise ValueError(
            f"{name} splits text {len(splits)} times before its merges; we know pre-tokenizers with one pattern"
        )
    return {"type": "Sequence", "pretokenizers": [*splits, {**last, "use_regex": False}]}


def run_splitter(pre_tokenizer: dict[str, Any]) -> Callable[[str], Iterable[str]]:
    """Return a function that splits a text into the pieces that `word_run_pre_tokenizer` describes.

    It uses `regex`, five times as fast as asking `tokenizers` for its pieces, which come with offsets. The two agree
    but for letters that are in one's Unicode tables only.
    """
    import regex  # type: ignore[import-untyped]  # noqa: PLC0415

    finders: list[Callable[[str], list[str]]] = [
        regex.compile(pattern).findall for pattern in map(_pattern, _steps(pre_tokenizer)[:-1])
    ]
    if len(finders) == 1:
        return finders[0]
    *first, last = finders

    def split(text: str) -> Iterable[str]:
        pieces = [text]
        for find in first:
            pieces = [part for piece in pieces for part in find(piece)]
        return (run for piece in pieces for run in last(piece))

    return split


def word_splitter() -> Callable[[str], list[str]]:
    """Return a function that splits a run into words, each with the space before it; other pieces stay whole.

    >>> word_splitter()(" of the day")
    [' of', ' the', ' day']
    """
    import regex  # noqa: PLC0415

    split = regex.compile(r"(?<=\S)(?= )").split

    def words(run: str) -> list[str]:
        found: list[str] = split(run)
        return found

    return words


def _with_runs(step: dict[str, Any], name: str) -> dict[str, Any]:
    if step["type"] == "Digits":
        return step
    pattern = step.get("pattern", {}).get("Regex")
    if step["type"] != "Split" or step.get("behavior") != "Isolated" or step.get("invert"):
        raise ValueError(f"{name} has a pre-tokenizer step {step['type']} that we do not know how to extend")
    if pattern in PATTERNS.values():
        return step
    if pattern not in PATTERNS:
        raise ValueError(
            f"{name} splits text by a pattern that we have not read: {pattern!r}. Known are those of GPT-2, Llama 3, "
            "Qwen 2, cl100k and o200k; a new one needs a row in hf_curation.vocabulary.word_runs.PATTERNS and its test"
        )
    return {**step, "pattern": {"Regex": PATTERNS[pattern]}}


def _steps(pre_tokenizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    if pre_tokenizer is None:
        return []
    return list(pre_tokenizer["pretokenizers"]) if pre_tokenizer["type"] == "Sequence" else [pre_tokenizer]


def _pattern(step: dict[str, Any]) -> str:
    return _DIGITS[bool(step["individual_digits"])] if step["type"] == "Digits" else str(step["pattern"]["Regex"])
