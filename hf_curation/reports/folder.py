"""Reading the folder that a refining run wrote, one page at a time.

A run of 10 GB is read in bounded memory: batches are sized from the row groups' own figures (`BATCH_BYTES` of
uncompressed data each), only the columns that a report uses are decoded, and nothing is kept of a page but what
`statistics` and `sample` take from it. Columns that a run does not have (`original_text`, gold text) are `None`.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from hf_curation.files.addresses import without_user
from hf_curation.files.reading import ShardError, open_parquet
from hf_curation.reports.tally import count_words

BATCH_BYTES = 32 * 2**20
MAX_BATCH_ROWS = 1024

EXTRA_COLUMN = "extra_metadata"
"""What fits into no column, as a JSON object in a string (the house's writers keep it there)."""
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

    @property
    def result(self) -> str:
        """What is left of the page in the data: nothing of a dropped one, whose row keeps the text it came with."""
        return "" if self.status == "dropped" else self.text


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The output folder of `hf-curation refine`: `data/`, `dropped/`, `quarantine/`, `manifests/`, `summary.json`.

    Raises:
        ValueError: on construction, when there is no page in `path/data` or `path/dropped`.
    """

    path: Path

    def __post_init__(self) -> None:
        if not self.path.is_dir():
            raise ValueError(f"{self.path} is no folder; give the OUTPUT folder of `hf-curation refine` or `select`")
        if not self.files("data") and not self.files("dropped"):
            raise ValueError(
                f"{self.path} holds no data/*.parquet; give the OUTPUT folder of `hf-curation refine` or `select`"
            )

    def files(self, part: str, suffix: str = ".parquet") -> list[Path]:
        """Return the finished files of one part of the folder (`data`, `dropped`, ...), sorted by name."""
        found = (self.path / part).rglob(f"*{suffix}")
        return sorted(path for path in found if not path.name.startswith((".", "_")))

    def pages(self) -> Iterator[Page]:
        """Yield every page that was kept or dropped, in the order of the files."""
        for part in ("data", "dropped"):
            for file in self.files(part):
                yield from _pages_of(file, dropped=part == "dropped")

    def quarantined(self) -> Counter[str]:
        """Count the documents that could not be read or refined, by the reason that each line gives."""
        reasons: Counter[str] = Counter()
        for file in self.files("quarantine", ".jsonl"):
            with file.open(encoding="utf-8", errors="replace") as lines:
                count_words(reasons, (_quarantine_reason(line) for line in lines if line.strip()))
        return reasons


def _quarantine_reason(line: str) -> str:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError:
        return "unreadable_entry"
    reason = entry.get("reason") if isinstance(entry, dict) else None
    return str(reason) if reason else "no_reason_given"


def _pages_of(file: Path, *, dropped: bool) -> Iterator[Page]:
    import pyarrow as pa  # noqa: PLC0415 - `hf-curation report --help` need not load it

    try:
        with file.open("rb") as raw:
            source = open_parquet(raw, file.name)
            cells = _Cells(source.schema_arrow)
            if "text" not in cells.paths:
                raise ValueError(
                    f"{file} has no column 'text'; its columns are {', '.join(source.schema_arrow.names)}"
                )
            for batch in source.iter_batches(_batch_size(source.metadata), columns=cells.columns, use_threads=False):
                for row in batch.to_pylist():
                    row[EXTRA_COLUMN] = _json_object(row.get(EXTRA_COLUMN))
                    yield _page(cells, row, dropped=dropped)
    except (ShardError, pa.ArrowException, UnicodeDecodeError) as error:
        raise ValueError(f"{file} is damaged ({error}); run `hf-curation refine` again to write it") from error


def _batch_size(metadata: Any) -> int:  # noqa: ANN401 - pyarrow has no types
    size = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return int(max(1, min(MAX_BATCH_ROWS, BATCH_BYTES * metadata.num_rows // max(1, size))))


class _Cells:
    """Where one file keeps the fields of `Page`: a column, a child of a struct `metadata`, or JSON in the extras."""

    def __init__(self, schema: Any) -> None:  # noqa: ANN401
        names = set(schema.names)
        is_struct = "metadata" in names and str(schema.field("metadata").type).startswith("struct<")
        children = {child.name for child in schema.field("metadata").type} if is_struct else set()
        self.paths: dict[str, tuple[str, ...]] = {}
        for key, candidates in COLUMNS.items():
            found: list[tuple[str, ...]] = [(name,) for name in candidates if name in names]
            found += [("metadata", name) for name in candidates if name in children]
            if found:
                self.paths[key] = found[0]
        self.columns = sorted({".".join(path) for path in self.paths.values()})
        if EXTRA_COLUMN in names:
            self.columns.append(EXTRA_COLUMN)

    def get(self, row: dict[str, Any], key: str) -> Any:  # noqa: ANN401 - a cell
        """Return the cell of `key`; a value that its column could not hold lies in the extras."""
        value: Any = row
        for name in self.paths.get(key, ()):
            value = None if value is None else value[name]
        if key in self.paths and value is not None:
            return value
        extra = row[EXTRA_COLUMN]
        return next((extra[name] for name in COLUMNS[key] if extra.get(name) is not None), None)

    def string(self, row: dict[str, Any], key: str) -> str | None:
        """Return the cell as a string; None where there is none."""
        value = self.get(row, key)
        return None if value is None else str(value)

    def words(self, row: dict[str, Any], key: str) -> tuple[str, ...]:
        """Return the cell as strings; a cell that holds one string counts as a list of it."""
        value = self.get(row, key)
        return tuple(map(str, value)) if isinstance(value, list) else () if value is None else (str(value),)


def _json_object(text: str | None) -> dict[str, Any]:
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def _page(cells: _Cells, row: dict[str, Any], *, dropped: bool) -> Page:
    text = cells.string(row, "text") or ""
    status = "dropped" if dropped else cells.string(row, "status") or "kept"
    url = cells.string(row, "url")
    url = None if url is None else without_user(url)
    page_id = cells.string(row, "id") or url or _digest(text)
    if status not in STATUSES:
        raise ValueError(f"page {page_id!r} has refine_status {status!r}; it must be one of {sorted(STATUSES)}")
    digest = cells.string(row, "original_sha256")
    original = cells.string(row, "original_text")
    if original is None and (status in {"kept", "fallback"} or (status == "dropped" and _is_original(text, digest))):
        original = text
    return Page(
        id=page_id,
        text=text,
        status=status,
        url=url,
        doc_program=cells.string(row, "doc_program") or "",
        chunk_program=cells.string(row, "chunk_program") or "",
        rejected=cells.words(row, "rejected"),
        fallbacks=cells.words(row, "fallbacks"),
        earlier_programs=cells.words(row, "earlier_programs"),
        drop_reason=cells.string(row, "drop_reason"),
        original=original,
        original_sha256=digest,
        gold_text=cells.string(row, "gold_text"),
        language=cells.string(row, "language"),
        kind=cells.string(row, "kind"),
        title=cells.string(row, "title"),
    )


def _is_original(text: str, digest: str | None) -> bool:
    return digest is None or digest == _digest(text)


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
