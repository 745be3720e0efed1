"""A file at its final name is whole: write beside it, flush, fsync, rename, fsync the folder.

`PartFile` separates finishing (the bytes are safe on disk under a temporary name) from publishing (the rename): a rank
writes all of its files, checks its counts, and only then publishes them together. Hashes and sizes are taken from the
bytes on their way out, so that nothing is read twice.

Two attempts at one file never share a part: the temporary name carries random digits. Left-over parts of a killed
attempt end in `.part`, are never read, and `remove_parts` sweeps them.
"""

import io
import os
import secrets
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

PART_SUFFIX: Final = ".part"
_MAX_NAME_BYTES: Final = 255  # of Linux and macOS file systems


class PartFile(io.RawIOBase):
    """A binary file on its way to `target`; as a context manager it is published on success and discarded on error.

    Usable wherever a writable binary file object is (pyarrow, gzip, zstandard). `close` is a no-op, because libraries
    close what they write to, and whether the file is complete is not theirs to say.
    """

    def __init__(self, target: Path) -> None:
        super().__init__()
        target.parent.mkdir(parents=True, exist_ok=True)
        self.target = target
        self.path = target.with_name(_part_name(target.name))
        self.num_bytes = 0
        self._hash = sha256()
        self._is_discarded = False
        self._file = self.path.open("xb")

    @property
    def sha256(self) -> str:
        """Hex digest of the bytes written so far."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        """Return True: this is all the file is for."""
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer; the stubs' Buffer is Python 3.12
        """Append `data`, and count and hash it. After `discard`, what a library still has to flush goes nowhere."""
        view = memoryview(data).cast("B")
        if self._is_discarded:
            return len(view)
        self._file.write(view)
        self._hash.update(view)
        self.num_bytes += len(view)
        return len(view)

    def tell(self) -> int:
        """Return how many bytes have been written."""
        return self.num_bytes

    def close(self) -> None:
        """Do nothing; see `finish` and `discard`."""

    def finish(self) -> None:
        """Bring the bytes to the disk, under the temporary name. Harmless when repeated."""
        if not self._file.closed:
            with self._file:
                self._file.flush()
                os.fsync(self._file.fileno())

    def publish(self) -> None:
        """Give the finished file its final name, replacing a file that is there."""
        self.finish()
        os.replace(self.path, self.target)
        _sync_folder(self.target.parent)

    def discard(self) -> None:
        """Remove what was written. Harmless when repeated, or when the file has been published."""
        self._is_discarded = True
        try:
            self._file.close()
        except OSError:  # the disk is full: the buffer cannot be flushed, and need not be
            pass
        finally:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.discard()
            return
        try:
            self.publish()
        except BaseException:
            self.discard()
            raise


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file in one go, whole or not at all."""
    with PartFile(path) as part:
        part.write(data)


def canonical_json(value: object, *, indent: bool = False, keep_order: bool = False) -> bytes:
    """Return `value` as JSON with sorted keys: equal values give equal bytes."""
    option = 0 if keep_order else orjson.OPT_SORT_KEYS
    return orjson.dumps(value, option=option | (orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE if indent else 0))


def write_json(path: Path, value: object, *, keep_order: bool = False) -> None:
    """Write `value` as readable JSON, whole or not at all; keys are sorted unless their order says something."""
    write_whole(path, canonical_json(value, indent=True, keep_order=keep_order))


def remove_parts(folder: Path) -> int:
    """Remove what killed attempts left under `folder`; return how many files that were. Only while nobody writes."""
    parts = list(folder.rglob(f"*{PART_SUFFIX}"))
    for part in parts:
        part.unlink(missing_ok=True)
    return len(parts)


def _part_name(name: str) -> str:
    """Return a name of its own for a part, which is longer than the file's only where there is room for that."""
    suffix = f".{secrets.token_hex(4)}{PART_SUFFIX}"
    room = _MAX_NAME_BYTES - len(suffix)
    return os.fsencode(name)[:room].decode("utf-8", "ignore") + suffix


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
