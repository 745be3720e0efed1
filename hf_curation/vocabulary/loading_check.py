"""Does a folder or a repository load as the tokenizer that its file says? Some do not, and nothing complains.

transformers chooses a class by `tokenizer_config.json` and by the model type in `config.json`, and some classes build
their own pre-tokenizer: `Qwen2Tokenizer`, `GPT2Tokenizer`, and every class under the model type qwen2. Superwords are
then lost, without a word. So ids are compared on texts in many scripts and on superwords of the vocabulary itself.
"""

from pathlib import Path
from typing import Any

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.byte_level import SPACE, text_of
from hf_curation.vocabulary.probes import PROBES

_NUM_SUPERWORDS = 8


def superword_probes(tokenizer: ByteLevelBPE, limit: int = _NUM_SUPERWORDS) -> list[str]:
    """Return texts of tokens that span words and that the tokenizer does make, the first ones of its vocabulary."""
    encoder = tokenizer.to_tokenizer()
    found: list[str] = []
    for token in tokenizer.vocab:
        if len(found) == limit:
            break
        text = text_of(token) if SPACE in token[1:] else None
        is_superword = text is not None and len(text.split()) > 1
        if is_superword and encoder.encode(text, add_special_tokens=False).ids == [tokenizer.vocab[token]]:
            found.append(str(text))
    return found


def check_loading(source: str | Path, tokenizer: ByteLevelBPE, *, revision: str | None = None) -> list[str]:
    """Load `source` with `AutoTokenizer` and compare its ids with those of `tokenizer`.

    Args:
        source: A folder or a repository.
        tokenizer: What its `tokenizer.json` says.
        revision: Of a repository.

    Returns:
        The superwords among the probes, all of which came back as one id.

    Raises:
        ImportError: without transformers.
        ValueError: if it does not load, or one id differs; says on which text.
    """
    try:
        from transformers import AutoTokenizer  # noqa: PLC0415 - seconds
    except ImportError as error:
        raise ImportError("`transformers` is needed to check it: pip install 'hf-curation[train]'") from error
    try:
        loaded: Any = AutoTokenizer.from_pretrained(source, revision=revision)
    except Exception as error:  # a folder can be wrong in many ways
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ValueError(f"{source} does not load with AutoTokenizer ({reason})") from error
    superwords = superword_probes(tokenizer)
    encoder = tokenizer.to_tokenizer()
    for text in (*superwords, *PROBES):
        expected = encoder.encode(text, add_special_tokens=False).ids
        got = loaded(text, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if got != expected:
            raise ValueError(
                f"{source} loads as {type(loaded).__name__} and encodes {text[:40]!r} as {len(got)} tokens instead of "
                f"{len(expected)}: this class does not read the pre-tokenizer from tokenizer.json"
            )
    return superwords
