"""One writer at a time: an advisory lock on a folder, which the system releases when its holder dies."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold `folder` (made if it is not there) against other processes of this kind.

    Where the file system knows no locks, nothing is held: writers still never share a file (`atomic`).

    Raises:
        ValueError: if another process holds it.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(f"another process is writing to {folder}; wait for it, or give another OUTPUT") from error
        except OSError:  # no locks on this file system
            pass
        yield
    finally:
        os.close(handle)
