"""Where documents and records go that cannot be handled: a JSON line each, with the reason and all that can be kept.

Rows are pure ASCII: what has no UTF-8 (lone surrogates) is written as JSON escapes, bytes as base64. A rank without
bad documents has no quarantine file. Without a folder the documents are counted and named in the log, and not kept.
"""

import base64
import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from datatrove.data import Document
from datatrove.utils.logging import logger

from datatrove_steps.extraction import EXTRACTION_REASONS
from datatrove_steps.ledger import FinishedPart, Ledger, deliver
from hf_curation.files.atomic import PartFile
from hf_curation.files.warc import WARC_REASONS

QUARANTINE_REASONS: Final[dict[str, str]] = {
    "bad_json": "the line is not JSON",
    "invalid_utf8": "the bytes are not UTF-8",
    "lone_surrogate": "a string holds half of a surrogate pair, which has no UTF-8",
    "record_too_long": "the line is longer than the reader's cap; only its beginning is kept here",
    "too_deep": "the record is nested deeper than JSON writers can follow",
    "not_an_object": "the line is JSON and no object",
    "missing_text": "the record has no text",
    "text_not_string": "the text is not a string",
    "empty_text": "the text is empty or blank",
    "refiner_error": "the refiner or the executor raised an exception on this document alone",
    **WARC_REASONS,
    **EXTRACTION_REASONS,
}
"""Reason -> what it means; a closed set, part of the on-disk format."""

_MAX_DETAIL: Final = 200


class Quarantine:
    """One step's quarantine file of one rank, `FOLDER/STAGE-RANK.jsonl`; use as a context manager."""

    def __init__(self, folder: Path | None, stage: str, rank: int, ledger: Ledger | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._folder = folder
        self._stage = stage
        self._rank = rank
        self._ledger = ledger
        self._part: PartFile | None = None

    def add(self, reason: str, detail: str = "", **row: Any) -> None:  # noqa: ANN401 - whatever the record holds
        """Count and keep one document or record.

        Args:
            reason: a key of `QUARANTINE_REASONS`.
            detail: one line more, such as the exception's.
            row: what to keep; values that JSON does not know are kept as base64 (bytes) or by `repr`.
        """
        assert reason in QUARANTINE_REASONS, reason
        self.counts[reason] += 1
        if self._folder is None:
            name = row["id"] if "id" in row else f"{row.get('source')}/{row.get('index')}"
            logger.warning(f"quarantined ({reason}): {name!a}")
            return
        if self._part is None:
            self._part = PartFile(self._folder / f"{self._stage}-{self._rank:05d}.jsonl")
        head = {"reason": reason, "detail": detail[:_MAX_DETAIL], "stage": self._stage}
        self._part.write(_to_json(head | row).encode("ascii") + b"\n")

    def add_document(self, reason: str, doc: Document, detail: str = "") -> None:
        """Count and keep a document of datatrove's."""
        self.add(reason, detail, id=doc.id, text=doc.text, metadata=doc.metadata)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._part is None:
            return
        if kind is not None:
            self._part.discard()
            return
        try:
            self._part.finish()
            deliver(FinishedPart(self._part, self.counts.total(), self._part.sha256), self._ledger, self._rank)
        except BaseException:
            self._part.discard()
            raise


def _to_json(row: dict[str, Any]) -> str:
    try:
        return json.dumps(row, default=_plain)
    except (TypeError, ValueError, RecursionError):  # keys that are no strings, circles, too deep
        return json.dumps({key: value if isinstance(value, str) else _repr(value) for key, value in row.items()})


def _plain(value: object) -> object:
    return {"base64": base64.b64encode(value).decode("ascii")} if isinstance(value, bytes) else repr(value)


def _repr(value: object) -> str:
    try:
        return repr(value)
    except RecursionError:
        return f"{type(value).__name__} nested too deep to print"
