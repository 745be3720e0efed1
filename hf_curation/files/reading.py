"""Reading files that may be damaged: decompression that notices a cut, lines of bounded length, rows of Parquet.

A damaged file is a `ShardError` that names the file and how far it could be read, never a shorter list of documents:
datatrove 0.10 publishes 498 of 994 documents of a `.gz` cut in half. Compression is told by the first bytes, not the
name. Arrow's streams do the work: unlike Python's `zstandard` they raise on a cut frame, they read concatenated
members, and their gzip checks the checksum. A single flipped bit in zstd or Parquet without checksums goes unseen by
any reader; the files that we write have them.
"""

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

DATA_SUFFIXES: Final = (".jsonl", ".ndjson", ".parquet")
"""Names that a folder's files are read under, alone or before one of `COMPRESSED_SUFFIXES` (Parquet: alone)."""
COMPRESSED_SUFFIXES: Final = (".gz", ".zst", ".bz2")
MAX_RECORD_BYTES: Final = 256 * 2**20
_BUFFER_BYTES: Final = 2**20
_BATCH_ROWS: Final = 256
_BATCH_BYTES: Final = 16 * 2**20
_MAGIC: Final = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2"}


BAD_SHARD_REASONS: Final[dict[str, str]] = {
    "damaged": "it cannot be decoded, or is cut off",
    "no_footer": "it has the name of a Parquet file and no readable footer: cut off, or something else",
    "wrong_format": "its first bytes are those of another format than its name says, or there are none",
    "no_text_column": "it is Parquet without a column for the text",
}
"""Reason -> what it means; a closed set, part of the on-disk format."""


class ShardError(OSError):
    """A file of the input is damaged or is not what its name says; the rank that reads it stops.

    Attributes:
        reason: a key of `BAD_SHARD_REASONS`.
    """

    def __init__(self, message: str, reason: str = "damaged") -> None:
        assert reason in BAD_SHARD_REASONS, reason
        super().__init__(message)
        self.reason = reason


def is_parquet(name: str) -> bool:
    """Return whether a file of this name is read as Parquet."""
    return name.lower().endswith(".parquet")


def is_warc(name: str) -> bool:
    """Return whether a file of this name is read as WARC, or as WET, which is WARC too."""
    stem = name.lower()
    if stem.endswith(COMPRESSED_SUFFIXES):
        stem = stem.rpartition(".")[0]
    return stem.endswith((".warc", ".wet"))


def is_readable(name: str) -> bool:
    """Return whether a file of this name in a folder is data; compressed `.json` is taken for lines, as C4 has it."""
    if is_warc(name):
        return True
    stem = name.lower()
    if stem.endswith(COMPRESSED_SUFFIXES):
        stem = stem.rpartition(".")[0]
        return stem.endswith((".jsonl", ".ndjson", ".json"))
    return stem.endswith(DATA_SUFFIXES)


def open_lines(raw: BinaryIO, name: str) -> BinaryIO:
    """Return a buffered stream of the decompressed bytes of `raw`.

    Raises:
        ShardError: if the file is Parquet, or has the name of a compressed file and no byte in it.
    """
    import pyarrow as pa  # noqa: PLC0415

    # fsspec's own buffered files are pure Python and split lines slowly; an object with readinto is all we need.
    buffered = io.BufferedReader(raw, _BUFFER_BYTES)  # type: ignore[type-var]
    head = buffered.peek(4)[:4]
    if head == b"PAR1":
        raise ShardError(f"{name}: its first bytes are those of Parquet; name it .parquet", "wrong_format")
    if not head and name.lower().endswith(COMPRESSED_SUFFIXES):
        raise ShardError(f"{name}: is empty, and no compressed file is", "wrong_format")
    for magic, codec in _MAGIC.items():
        if head.startswith(magic):
            stream = pa.CompressedInputStream(pa.PythonFile(buffered, mode="r"), codec)
            return io.BufferedReader(stream, _BUFFER_BYTES)
    return buffered


def read_lines(stream: BinaryIO, name: str, *, max_bytes: int = MAX_RECORD_BYTES) -> Iterator[tuple[int, bytes, bool]]:
    """Yield `(index, line, whole)` of every line; of a line over `max_bytes` only its beginning, with `whole` False.

    Raises:
        ShardError: where the file is cut off or damaged, every line before that having been yielded, or is WARC.
    """
    index = 0
    try:
        while line := stream.readline(max_bytes):
            if line.startswith(b"WARC/") and index == 0:
                raise ShardError(
                    f"{name}: is WARC, an archive of pages; `hf-curation refine` makes documents of it", "wrong_format"
                )
            whole = len(line) < max_bytes or line.endswith(b"\n")
            tail = line
            while tail and not whole and not tail.endswith(b"\n"):
                tail = stream.readline(max_bytes)
            yield index, line, whole
            index += 1
    except ShardError:
        raise
    except (OSError, EOFError) as error:
        raise ShardError(f"{name}: damaged or cut off after {index} lines ({error})") from error


def read_rows(
    parquet: Any,  # noqa: ANN401 - pyarrow has no types
    name: str,
    *,
    start: int,
    stop: int,
    columns: list[str] | None = None,
) -> Iterator[tuple[int, Any]]:
    """Yield `(index of the first row, record batch)` for the rows `start:stop` of an open `ParquetFile`.

    Only row groups that hold one of these rows are read, and of these only `columns` where they are named.

    Raises:
        ShardError: where a page is damaged, or a row group has not the rows that the footer says.
    """
    import pyarrow as pa  # noqa: PLC0415

    first_row = 0
    try:
        for group in range(parquet.num_row_groups):
            meta = parquet.metadata.row_group(group)
            num_rows = meta.num_rows
            batch_rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES * num_rows // max(1, meta.total_byte_size)))
            if first_row < stop and first_row + num_rows > start:
                position = first_row
                batches = parquet.iter_batches(
                    batch_size=batch_rows, row_groups=[group], columns=columns, use_threads=False
                )
                for batch in batches:
                    low, high = max(start - position, 0), min(stop - position, batch.num_rows)
                    if low < high:
                        yield position + low, batch.slice(low, high - low)
                    position += batch.num_rows
                if position != first_row + num_rows:  # a damaged page header, which pyarrow takes for the end
                    raise OSError(f"{position - first_row} of its {num_rows} rows")
            first_row += num_rows
    except (OSError, pa.ArrowException) as error:
        raise ShardError(f"{name}: damaged in or after row {first_row} ({_first_line(error)})") from error


def open_parquet(raw: BinaryIO, name: str) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Return the `ParquetFile` of an open file: every Parquet file that we read, input or our own, is opened here.

    Where its pages have checksums, reading them checks these. Nothing is buffered ahead, because what is stays in
    memory to the end of the file: 327 MiB for a file of 239 MB, instead of 115.

    Raises:
        ShardError: if it has no readable footer.
    """
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    try:
        return parquet.ParquetFile(raw, page_checksum_verification=True, pre_buffer=False)
    except (OSError, pa.ArrowException) as error:
        raise ShardError(f"{name}: no readable Parquet footer ({_first_line(error)})", "no_footer") from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0]
