"""Reading the folder that a refining run wrote, one page at a time.

A run of 10 GB is read in bounded memory: batches are sized from the row groups' own figures (`BATCH_BYTES` of
uncompressed data each), only the columns that a report uses are decoded, and nothing is kept of a page but what
`statistics` and `sample` take from it. Columns that a run does not have (`original_text`, gold text) are `None`.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

BATCH_BYTES = 32 * 2**20
MAX_BATCH_ROWS = 1024

STATUSES = frozenset({"kept", "edited", "dropped", "fallback"})

# Field of `Page` -> the columns that may hold it, best first; a name also counts inside a struct column `metadata`.
COLUMNS: dict[str, tuple[str, ...]] = {
    "id": ("id",),
    "text": ("text",),
    "url": ("url",),
    "status": ("refine_status",),
    "doc_program": ("doc_program",),
    "chunk_program": ("chunk_program",),
    "rejected": ("refine_rejected",),
    "fallbacks": ("refine_fallbacks",),
    "earlier_programs": ("earlier_programs",),
    "drop_reason": ("filter_reason",),
    "original_text": ("original_text",),
    "original_sha256": ("original_sha256",),
    "gold_text": ("gold_text",),
    "language": ("language", "lang"),
    "kind": ("page_type", "type"),
    "title": ("title",),
}


@dataclass(slots=True)
class Page:
    """One row of a run: a page as it was left, and what is known of how it came."""

    id: str
    text: str
    status: str
    """`kept`, `edited`, `dropped` or `fallback`."""
    url: str | None = None
    doc_program: str = ""
    chunk_program: str = ""
    rejected: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    earlier_programs: tuple[str, ...] = ()
    """Programs of a page that went through a stage more than once, oldest first."""
    drop_reason: str | None = None
    original: str | None = None
    """The text as it came; known without `--keep-original` too where nothing was edited."""
    original_sha256: str | None = None
    gold_text: str | None = None
    language: str | None = None
    kind: str | None = None
    title: str | None = None


@dataclass(slots=True)
class Quarantine:
    """Documents that could not be read or refined, by reason."""

    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def num_documents(self) -> int:
        """How many documents the run set aside."""
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The output folder of `hf-curation refine`: `data/`, `dropped/`, `quarantine/`, `manifests/`, `summary.json`.

    Raises:
        ValueError: on construction, when there is no page in `path/data` or `path/dropped`.
    """

    path: Path

    def __post_init__(self) -> None:
        if not self.path.is_dir():
            raise ValueError(f"{self.path} is no folder; give the OUTPUT folder of `hf-curation refine`")
        if not self.files("data") and not self.files("dropped"):
            raise ValueError(f"{self.path} holds no data/*.parquet; give the OUTPUT folder of `hf-curation refine`")

    def files(self, part: str, suffix: str = ".parquet") -> list[Path]:
        """Return the finished files of one part of the folder (`data`, `dropped`, ...), sorted by name."""
        found = (self.path / part).rglob(f"*{suffix}")
        return sorted(path for path in found if not path.name.startswith((".", "_")))

    def pages(self) -> Iterator[Page]:
        """Yield every page that was kept or dropped, in the order of the files."""
        for part in ("data", "dropped"):
            for file in self.files(part):
                yield from _pages_of(file, dropped=part == "dropped")

    def quarantine(self) -> Quarantine:
        """Count the quarantined documents, by the reason each line gives."""
        counted = Quarantine()
        for file in self.files("quarantine", ".jsonl"):
            with file.open(encoding="utf-8", errors="replace") as lines:
                counted.reasons.update(_quarantine_reason(line) for line in lines if line.strip())
        return counted

    def read_json(self, name: str) -> dict[str, Any]:
        """Return a JSON object of the folder, or an empty one where the file is absent.

        Raises:
            ValueError: if the file is there and is not a JSON object.
        """
        path = self.path / name
        if not path.exists():
            return {}
        try:
            value = json.loads(path.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is not JSON ({error}); run `hf-curation refine` again to write it") from error
        if not isinstance(value, dict):
            raise ValueError(f"{path} holds {type(value).__name__}, not a JSON object")
        return value


def _quarantine_reason(line: str) -> str:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return "unreadable_entry"
    reason = entry.get("reason") if isinstance(entry, dict) else None
    return str(reason) if reason else "no_reason_given"


def _pages_of(file: Path, *, dropped: bool) -> Iterator[Page]:
    from pyarrow import parquet  # noqa: PLC0415 - `hf-curation report --help` need not load it

    with parquet.ParquetFile(file) as source:
        paths = _column_paths(source)
        if "text" not in paths:
            raise ValueError(f"{file} has no column 'text'; its columns are {', '.join(source.schema_arrow.names)}")
        rows = max(1, source.metadata.num_rows)
        size = sum(source.metadata.row_group(i).total_byte_size for i in range(source.num_row_groups))
        batch_size = max(1, min(MAX_BATCH_ROWS, BATCH_BYTES * rows // max(1, size)))
        columns = sorted({".".join(path) for path in paths.values()})
        for batch in source.iter_batches(batch_size=batch_size, columns=columns, use_threads=False):
            for row in batch.to_pylist():
                yield _page(row, paths, dropped=dropped)


def _column_paths(source: Any) -> dict[str, tuple[str, ...]]:  # noqa: ANN401 - pyarrow has no types
    """Return field of `Page` -> where this file keeps it."""
    schema = source.schema_arrow
    names = set(schema.names)
    # Field by field: a struct column's children are not in `schema.names`.
    nested = {child.name for child in schema.field("metadata").type} if _is_struct(schema, "metadata") else set()
    paths: dict[str, tuple[str, ...]] = {}
    for key, candidates in COLUMNS.items():
        for name in candidates:
            if name in names or name in nested:
                paths[key] = (name,) if name in names else ("metadata", name)
                break
    return paths


def _is_struct(schema: Any, name: str) -> bool:  # noqa: ANN401
    return name in schema.names and str(schema.field(name).type).startswith("struct<")


def _page(row: dict[str, Any], paths: dict[str, tuple[str, ...]], *, dropped: bool) -> Page:
    def get(key: str) -> Any:  # noqa: ANN401 - a cell
        path = paths.get(key)
        if path is None:
            return None
        value = row[path[0]]
        return value if len(path) == 1 or value is None else value.get(path[1])

    def words(key: str) -> tuple[str, ...]:
        value = get(key)
        return (value,) if isinstance(value, str) else tuple(str(item) for item in value or ())

    def string(key: str) -> str | None:
        value = get(key)
        return None if value is None else str(value)

    text = string("text") or ""
    status = "dropped" if dropped else string("status") or "kept"
    digest = string("original_sha256")
    if status not in STATUSES:
        raise ValueError(f"page {string('id')!r} has refine_status {status!r}; it must be one of {sorted(STATUSES)}")
    original = string("original_text")
    if original is None and (status in {"kept", "fallback"} or (status == "dropped" and _is_original(text, digest))):
        original = text
    return Page(
        id=string("id") or string("url") or _digest(text),
        text=text,
        status=status,
        url=string("url"),
        doc_program=string("doc_program") or "",
        chunk_program=string("chunk_program") or "",
        rejected=words("rejected"),
        fallbacks=words("fallbacks"),
        earlier_programs=words("earlier_programs"),
        drop_reason=string("drop_reason"),
        original=original,
        original_sha256=digest,
        gold_text=string("gold_text"),
        language=string("language"),
        kind=string("kind"),
        title=string("title"),
    )


def _is_original(text: str, digest: str | None) -> bool:
    return bool(text) and (digest is None or digest == _digest(text))


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
