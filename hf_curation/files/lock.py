"""One writer at a time: an advisory lock on a folder, which the system releases when its holder dies."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_TRIES: Final = 20
_PAUSE_S: Final = 0.01


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold `folder` (made if it is not there) against other processes of this kind.

    Where the file system knows no locks, nothing is held: writers still never share a file (`atomic`).

    Raises:
        ValueError: if another process holds it, or it is a file.
    """
    if folder.is_file():
        raise ValueError(f"{folder} is a file; OUTPUT is a folder")
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        for left in reversed(range(_TRIES)):  # `is_locked` holds it too, for the time of two system calls
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if not left:
                    raise ValueError(
                        f"another process is writing to {folder}; wait for it, or give another OUTPUT"
                    ) from error
                time.sleep(_PAUSE_S)
            except OSError:  # no locks on this file system
                break
        yield
    finally:
        os.close(handle)


def is_locked(folder: Path) -> bool:
    """Return whether a process holds `folder`; False where the file system knows no locks."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, FileNotFoundError):
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks on this file system
        return False
    finally:
        os.close(handle)
    return False
