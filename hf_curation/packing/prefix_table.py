"""Metadata prefixes as token ids, and the file that holds them: safetensors, mapped rather than read.

Few prefixes serve many documents (a host has hundreds of pages), so a table holds each distinct prefix once and, for
every document, its row: 4 bytes a document.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import orjson

from hf_curation.files.atomic import canonical_json
from hf_curation.metadata import PrefixCounts

_COUNTS: Final = "counts"
_LENGTH_BYTES: Final = 8
"""Of a safetensors header, little-endian, in front of it."""


@dataclass(frozen=True, slots=True)
class PrefixTable:
    """Distinct prefixes end to end, and which document has which. One that is mapped pickles as its path."""

    ids_T: npt.NDArray[np.uint32]
    """Shape (T,): token ids of all distinct prefixes; the first prefix is empty: none."""
    starts_R1: npt.NDArray[np.int64]
    """Shape (R + 1,): where each begins, then T."""
    row_D: npt.NDArray[np.int32]
    """Shape (D,): which prefix a document has, 0 for none."""
    counts: PrefixCounts
    """Documents with a prefix, and why others have none."""
    path: Path | None = None
    """The file that the arrays are mapped from."""

    def ids(self, document: int) -> npt.NDArray[np.uint32]:
        """Return the prefix of a document; empty when it has none."""
        row = self.row_D[document]
        return self.ids_T[self.starts_R1[row] : self.starts_R1[row + 1]]

    def lengths(self, documents_N: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the tokens of the prefixes of some documents."""
        row_N = self.row_D[documents_N]
        return self.starts_R1[row_N + 1] - self.starts_R1[row_N]

    def to_bytes(self) -> bytes:
        """Return the file."""
        from safetensors.numpy import save  # noqa: PLC0415

        counts = self.counts
        missing = [[*key, number] for key, number in sorted(counts.missing.items())]
        facts = {"num_documents": counts.num_documents, "num_prefixed": counts.num_prefixed, "missing": missing}
        arrays: dict[str, Any] = {"ids_T": self.ids_T, "starts_R1": self.starts_R1, "row_D": self.row_D}
        return bytes(save(arrays, metadata={_COUNTS: canonical_json(facts).decode()}))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Map what `to_bytes` wrote.

        Raises:
            FileNotFoundError: if there is no file.
            ValueError: if it is not whole, or of something else.
        """
        from safetensors import SafetensorError, safe_open  # noqa: PLC0415

        try:
            with safe_open(path, framework="numpy") as file:  # which checks the header against the file's size
                facts: dict[str, Any] = orjson.loads(file.metadata()[_COUNTS])
            counts = PrefixCounts(facts["num_documents"], facts["num_prefixed"])
            counts.missing.update({(kind, reason): number for kind, reason, number in facts["missing"]})
            return cls(**_map_arrays(path), counts=counts, path=path)
        except FileNotFoundError:
            raise
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(str(error)) from error

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path is not None:
            return PrefixTable.open, (self.path,)
        return PrefixTable, (self.ids_T, self.starts_R1, self.row_D, self.counts)


def _map_arrays(path: Path) -> dict[str, Any]:
    data = np.asarray(np.memmap(path, dtype=np.uint8, mode="r"))
    start = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES].tobytes(), "little")
    header = orjson.loads(data[_LENGTH_BYTES:start].tobytes())
    arrays = {}
    for name, kind in (("ids_T", np.uint32), ("starts_R1", np.int64), ("row_D", np.int32)):
        begin, end = header[name]["data_offsets"]
        arrays[name] = data[start + begin : start + end].view(kind)
    return arrays
