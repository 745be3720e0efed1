"""Texts as UTF-8 bytes and offsets: what compiled kernels read, without a copy where Arrow holds them already."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Buffer = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


def utf8_of(texts: Any) -> Iterator[Buffer]:  # noqa: ANN401 - Sequence[str], or an Arrow string array of any kind
    """Yield (bytes, offsets) of texts in order, one pair for each Arrow chunk; null counts as empty.

    Lone surrogates in Python strings become their three bytes; Arrow holds none.
    """
    if hasattr(texts, "chunks"):
        for chunk in texts.chunks:
            yield _arrow_buffer(chunk)
    elif hasattr(texts, "buffers"):
        yield _arrow_buffer(texts)
    else:
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]
        offsets = np.zeros(len(encoded) + 1, np.int64)
        np.cumsum([len(one) for one in encoded], out=offsets[1:])
        yield np.frombuffer(b"".join(encoded), np.uint8), offsets


def _arrow_buffer(array: Any) -> Buffer:  # noqa: ANN401
    import pyarrow as pa  # noqa: PLC0415

    if not (pa.types.is_string(array.type) or pa.types.is_large_string(array.type)):
        raise ValueError(f"texts must be strings, got an Arrow array of {array.type}")
    if not len(array):
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    if array.null_count:
        array = array.fill_null("")
    _, offsets, data = array.buffers()
    width = np.int64 if pa.types.is_large_string(array.type) else np.int32
    stops = np.frombuffer(offsets, width)[array.offset : array.offset + len(array) + 1].astype(np.int64)
    return np.frombuffer(data or b"", np.uint8), stops
