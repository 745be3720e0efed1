"""Texts as callers have them: a list of `str`, or an Arrow column that was never made into Python objects."""

from typing import Any, TypeAlias

Texts: TypeAlias = Any
"""A sequence of `str`, or a `pyarrow` array of strings: string, large_string or string_view, chunked too."""


def is_arrow(texts: Texts) -> bool:
    """Return whether the texts are an Arrow array."""
    return hasattr(texts, "type") and hasattr(texts, "null_count")


def as_strings(texts: Texts) -> list[str]:
    """Return the texts as Python strings, lone surrogates (JSON can spell them) replaced by U+FFFD.

    Raises:
        ValueError: if one of them is null, or they are no strings.
    """
    strings = _checked(texts).to_pylist() if is_arrow(texts) else list(texts)
    for index, text in enumerate(strings):
        if text is None:
            raise ValueError(f"text {index} is null; drop rows without a text before they are encoded")
        if not text.isascii() and not _is_encodable(text):
            strings[index] = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return strings


def as_large_strings(texts: Texts) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return the texts as one `pyarrow.LargeStringArray`, without a copy where they are one.

    Raises:
        ValueError: if one of them is null, or they are no strings.
    """
    import pyarrow as pa  # noqa: PLC0415

    if not is_arrow(texts):
        try:
            array = pa.array(texts, pa.large_string())
        except UnicodeEncodeError:
            array = pa.array(as_strings(texts), pa.large_string())
    else:
        texts = _checked(texts)
        array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        array = array if array.type == pa.large_string() else array.cast(pa.large_string())
    if array.null_count:
        index = array.is_null().index(True).as_py()
        raise ValueError(f"text {index} is null; drop rows without a text before they are encoded")
    return array


def _checked(array: Any) -> Any:  # noqa: ANN401
    """Return the array if it holds strings; a cast would make texts of numbers."""
    import pyarrow as pa  # noqa: PLC0415

    kinds = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    if not any(is_kind(array.type) for is_kind in kinds):
        raise ValueError(f"texts must be strings, got an Arrow array of {array.type}")
    return array


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
