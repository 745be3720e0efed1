"""From a line or a row to a document, or to the reason why there is none. Pure functions; `readers` does the rest.

Two layouts are read: datatrove's `{"text", "id", "metadata": {...}}`, also with `metadata` as a JSON string, and flat
columns, where everything but text and id becomes metadata. A nested key that a column of the same name would hide is
kept as `metadata_NAME`.
"""

import json
from typing import Any, Final

import orjson
from datatrove.data import Document

_MAX_DEPTH: Final = 254  # orjson reads 1024 levels and writes 254


def parse_line(line: bytes) -> tuple[Any, str | None]:
    """Return `(record, None)`, or `(None, reason)` with a key of `QUARANTINE_REASONS`.

    Lines that orjson refuses and Python's `json` reads (NaN, Infinity) are good. Integers over 64 bits become floats.
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _parse_leniently(line)
    if line.count(b"[") + line.count(b"{") > _MAX_DEPTH and _is_too_deep(record):
        return None, "too_deep"
    return record, None


def to_document(
    record: Any,  # noqa: ANN401 - anything that JSON or Parquet holds
    default_id: str,
    *,
    text_key: str = "text",
    id_key: str = "id",
) -> Document | str:
    """Return the document of a record, which is used up, or a key of `QUARANTINE_REASONS`.

    An id that is a string or an integer is the document's; without one it is `default_id`.
    """
    if reason := why_no_text(record, text_key):
        return reason
    text = record.pop(text_key)
    id_ = own_id(record, id_key)
    if id_ is not None or record.get(id_key) in (None, ""):
        record.pop(id_key, None)
    return Document(text=text, id=id_ or default_id, metadata=_metadata(record))


def why_no_text(record: Any, text_key: str) -> str | None:  # noqa: ANN401 - anything that JSON or Parquet holds
    """Return the key of `QUARANTINE_REASONS` for which a record is no document; None when it is one."""
    if not isinstance(record, dict):
        return "not_an_object"
    text = record.get(text_key)
    if not isinstance(text, str):
        return "missing_text" if text is None else "text_not_string"
    return "empty_text" if not text or text.isspace() else None


def own_id(record: dict[str, Any], id_key: str) -> str | None:
    """Return the id that a record brings: a string with something in it, or an integer."""
    value = record.get(id_key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else None


def _metadata(record: dict[str, Any]) -> dict[str, Any]:
    """Merge the nested metadata of datatrove's layout with the columns beside it."""
    nested = record.get("metadata")
    if isinstance(nested, str):
        nested, _ = parse_line(nested.encode("utf-8"))
    if not isinstance(nested, dict):
        return record
    del record["metadata"]
    for key in nested.keys() & record.keys():
        record[f"metadata_{key}"] = nested[key]
    return nested | record


def _parse_leniently(line: bytes) -> tuple[Any, str | None]:
    try:
        record = json.loads(line.decode("utf-8"))
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except UnicodeDecodeError:
        return None, "invalid_utf8"
    except UnicodeEncodeError:
        return None, "lone_surrogate"
    except RecursionError:
        return None, "too_deep"
    except ValueError:
        return None, "bad_json"
    return (None, "too_deep") if _is_too_deep(record) else (record, None)


def _is_too_deep(value: Any) -> bool:  # noqa: ANN401
    """Walk a parsed value without recursion."""
    level = [value]
    for _ in range(_MAX_DEPTH - 10):  # headroom: a writer wraps the value
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True
