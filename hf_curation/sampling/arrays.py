"""Named arrays in one npz file: whole at its final name, never pickled, equal bytes for equal arrays."""

import zipfile
from collections.abc import Collection, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hf_curation.files.atomic import write_whole


def write_arrays(path: Path, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write arrays as npz; a file that is there is replaced as a whole.

    numpy dates every member 1980-01-01, so that the bytes follow from the arrays alone.
    """
    buffer = BytesIO()
    np.savez(buffer, allow_pickle=False, **dict(arrays))  # type: ignore[arg-type,unused-ignore]
    write_whole(path, buffer.getvalue())


def read_arrays(path: Path, names: Collection[str], what: str) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an npz file.

    Args:
        path: what `write_arrays` wrote.
        names: arrays that must be there.
        what: what the file should be, for the error.

    Raises:
        ValueError: if it is no npz file, lacks an array, or holds pickled objects.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ValueError(f"{path} is not {what}, or is damaged: {error}") from error
    if missing := sorted(set(names) - set(arrays)):
        raise ValueError(f"{path} is not {what}: it lacks {', '.join(missing)}")
    return arrays
