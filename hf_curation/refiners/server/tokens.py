"""Counting tokens where the model is elsewhere: with its tokenizer if one is at hand, else by a cautious estimate.

Windows have to be cut here, before anything is sent, and a window that is too long comes back as HTTP 400. The
estimate errs on the safe side: with a 49k byte-pair vocabulary, on 3,028 pieces of web pages with line markers, it is
27 % too high in the median and too low in 1 % of pieces (by up to 25 %).
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from hf_curation.refiners.windows import CountTokens

_LETTERS: Final = re.compile(r"[A-Za-z]+")


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """Return a cautious number of tokens per text: a third per ASCII letter, 1.1 per other byte, 0.1 per space."""
    return [_estimate(text) for text in texts]


def token_counter(tokenizer: str | None) -> CountTokens:
    """Return a function that counts the tokens of texts, special tokens neither added nor recognised.

    Args:
        tokenizer: a `tokenizer.json`, a folder that holds one, or a Hub id; None: `estimate_tokens`.

    Raises:
        ImportError: if the `tokenizers` package is missing.
        ValueError: if there is no such tokenizer.
    """
    if tokenizer is None:
        return estimate_tokens
    try:
        from tokenizers import Tokenizer  # noqa: PLC0415
    except ImportError:
        raise ImportError("`tokenizers` is needed to count tokens: pip install 'hf-curation[refine]'") from None

    path = Path(tokenizer) / "tokenizer.json" if Path(tokenizer).is_dir() else Path(tokenizer)
    try:
        loaded = Tokenizer.from_file(str(path)) if path.is_file() else Tokenizer.from_pretrained(tokenizer)
    except Exception as error:  # the package raises bare Exceptions
        raise ValueError(
            f"no tokenizer at {tokenizer!r} ({type(error).__name__}); give a tokenizer.json, a folder with one or a "
            "Hub id, or leave it out for an estimate"
        ) from None
    loaded.no_truncation()
    loaded.no_padding()
    loaded.encode_special_tokens = True
    return lambda texts: [len(e.ids) for e in loaded.encode_batch_fast(list(texts), add_special_tokens=False)]


def _estimate(text: str) -> int:
    num_bytes = len(text.encode("utf-8", "replace"))
    letters = sum(len(run) for run in _LETTERS.findall(text))
    spaces = text.count(" ")
    return math.ceil(letters / 3 + 1.1 * (num_bytes - letters - spaces) + 0.1 * spaces)
