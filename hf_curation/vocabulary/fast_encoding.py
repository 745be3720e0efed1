"""gigatoken behind the interface of `encoding`, trusted only after a comparison with `tokenizers`.

It is given a `tokenizer.json` without its special tokens (it would read them out of the text) and without the
post-processor, and takes Arrow's bytes as they lie. One thread: tasks are processes. What costs is the start, 0.6 s to
load Llama-3's vocabulary and a cold cache for the first megabytes: few long tasks, not many short ones.
"""

import re
from typing import Any

import numpy as np
import orjson

from hf_curation.vocabulary.plain_encoding import BulkEncoder, PlainEncoder
from hf_curation.vocabulary.probes import PROBES
from hf_curation.vocabulary.texts import Texts, as_large_strings
from hf_curation.vocabulary.word_runs import GPT2


class NotExactError(Exception):
    """There is no fast encoder for a vocabulary, or it is not exact; the message says why."""


def check_exact(encoder: BulkEncoder, plain: BulkEncoder, probes: tuple[str, ...] = PROBES) -> None:
    """Compare two encoders on probe texts, one by one and in a batch.

    Raises:
        NotExactError: if one id differs; names the text.
    """
    expected, expected_offsets = plain.encode(probes)
    ids, offsets = encoder.encode(probes)
    if np.array_equal(ids, expected) and np.array_equal(offsets, expected_offsets):
        return
    for index, probe in enumerate(probes):
        want = expected[expected_offsets[index] : expected_offsets[index + 1]]
        if not np.array_equal(ids[offsets[index] : offsets[index + 1]], want):
            raise NotExactError(f"{encoder.backend_name} gives other ids than `tokenizers` for {probe[:40]!r}")
    raise NotExactError(f"{encoder.backend_name} puts the borders between texts elsewhere")


class GigatokenEncoder:
    """gigatoken, one thread.

    Args:
        plain: The encoder to be the twin of.
        data: Another `tokenizer.json` than the twin's, of a part of its vocabulary.
    """

    backend_name = "gigatoken"

    def __init__(self, plain: PlainEncoder, data: dict[str, Any] | None = None) -> None:
        self._plain = plain
        self.name = plain.name
        self.num_ids = plain.num_ids
        self.vocabulary_sha256 = plain.vocabulary_sha256
        self.tokenizer_sha256 = plain.tokenizer_sha256
        self._backend = _load(plain.data if data is None else data)

    def encode(self, texts: Texts) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids of all texts, uint32[total], and where each text begins, int64[N + 1]."""
        array = as_large_strings(texts)
        if not len(array):
            return np.empty(0, np.uint32), np.zeros(1, np.int64)
        layout = self._backend.encode_batch(_as_awkward(array), parallel=False).layout
        offsets = np.asarray(layout.offsets.data, np.int64)
        return np.asarray(layout.content.data, np.uint32)[offsets[0] : offsets[-1]], offsets - offsets[0]

    def token(self, token_id: int) -> str:
        """Return a token for people, as `readable` shows it."""
        return self._plain.token(token_id)


def _load(data: dict[str, Any]) -> Any:  # noqa: ANN401
    try:
        from gigatoken import Tokenizer  # noqa: PLC0415
    except ImportError:
        raise NotExactError("gigatoken is not installed (pip install 'hf-curation[fast]')") from None
    kept = [token for token in data.get("added_tokens") or [] if not token["special"]]
    changed = {"added_tokens": kept, "post_processor": None, "pre_tokenizer": _plain_words(data.get("pre_tokenizer"))}
    try:
        return Tokenizer.from_json(orjson.dumps(data | changed))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # what it does not know it says as it likes, and a panic of Rust is no Exception
        reason = re.sub(r"\s+", " ", str(error)).partition(" Location:")[0]
        raise NotExactError(f"gigatoken does not take this tokenizer ({reason[:120]})") from error


def _plain_words(pre_tokenizer: Any) -> Any:  # noqa: ANN401
    """Return GPT-2's pattern written out as the built-in one that it is, which gigatoken knows by that name only."""
    steps = (pre_tokenizer or {}).get("pretokenizers", [])
    is_written_out = len(steps) == 2 and steps[0].get("pattern") == {"Regex": GPT2} and steps[1]["type"] == "ByteLevel"
    return steps[1] | {"use_regex": True} if is_written_out else pre_tokenizer


def _as_awkward(array: Any) -> Any:  # noqa: ANN401
    """Return an Arrow array of large strings as the same buffers under awkward's names."""
    import awkward as ak  # noqa: PLC0415

    _, offset_buffer, data_buffer = array.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(data_buffer or b"", np.uint8)
    characters = ak.contents.NumpyArray(data, parameters={"__array__": "char"})
    layout = ak.contents.ListOffsetArray(ak.index.Index64(offsets), characters, parameters={"__array__": "string"})
    return ak.Array(layout)
