"""Documents on their way through our steps: in batches, and looked at before anything is done with them."""

from collections.abc import Iterator
from typing import Any, Final

from datatrove.data import Document

_BATCH_CHARS: Final = 4 * 2**20


def batches(data: Any, batch_size: int) -> Iterator[list[Document]]:  # noqa: ANN401 - datatrove's generators
    """Yield up to `batch_size` documents at a time, fewer once they hold `_BATCH_CHARS` characters."""
    batch: list[Document] = []
    num_chars = 0
    for doc in data:
        batch.append(doc)
        num_chars += len(doc.text) if isinstance(doc.text, str) else 0
        if len(batch) == batch_size or num_chars >= _BATCH_CHARS:
            yield batch
            batch, num_chars = [], 0
    if batch:
        yield batch


def why_unsound(text: object) -> str | None:
    """Return why a text cannot be handled at all (`text_not_string`, `lone_surrogate`); None when it can."""
    if not isinstance(text, str):
        return "text_not_string"
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            return "lone_surrogate"
    return None
