"""A few documents to look at, the same ones for any number of tasks: those with the smallest keyed hash of their ids.

Of each stratum (chosen, not chosen, leaked) the first k in the order of `keys.mixed(hash, seed)`; a task keeps its own
first k, and the first k of all tasks are among them.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from hf_curation.sampling.keys import mixed

STREAM: Final = "sample documents"
MAX_TEXT: Final = 1_500
"""Characters of a document that are kept to be shown."""
STRATA: Final = ("chosen", "not_chosen", "leaked")


@dataclass(frozen=True, slots=True)
class SampleDocument:
    """One document, cut to its beginning."""

    id: str
    text: str
    num_chars: int
    num_tokens: int
    log_weight: float | None
    """Nats, as in the sidecar; None where it was not weighed."""
    source: str | None = None
    url: str | None = None
    note: str | None = None
    """One line more, such as the passage of a test set that it holds."""

    @classmethod
    def of(cls, document_id: str, text: str, **facts: Any) -> Self:  # noqa: ANN401 - the other fields
        """Return the sample of a document, its text cut to `MAX_TEXT` characters."""
        return cls(id=document_id, text=text[:MAX_TEXT], num_chars=len(text), **facts)


@dataclass(slots=True)
class DocumentSample:
    """The first documents of every stratum; `offer` batches, `merge` tasks."""

    size: int = 12
    """Documents kept of each stratum."""
    seed: int = 0
    _kept: dict[str, list[tuple[int, SampleDocument]]] = field(default_factory=dict)

    def offer(
        self,
        stratum: str,
        hashes: npt.NDArray[np.uint64],
        rows: npt.NDArray[np.int64],
        make: Callable[[int], SampleDocument],
    ) -> None:
        """Let a batch take part.

        Args:
            stratum: one of `STRATA`.
            hashes: uint64[N], `stable_hash64` of the ids of the batch.
            rows: which of them belong to the stratum.
            make: called with a row that is, so far, among the first.
        """
        if stratum not in STRATA:
            raise ValueError(f"stratum must be one of {', '.join(STRATA)}, got {stratum!r}")
        kept = self._kept.setdefault(stratum, [])
        keys = mixed(hashes[rows], self.seed, STREAM)
        if len(kept) == self.size and self.size:
            rows, keys = rows[keys < kept[-1][0]], keys[keys < kept[-1][0]]
        first = np.argsort(keys, kind="stable")[: self.size]
        self._keep(stratum, [(int(keys[i]), make(int(rows[i]))) for i in first])

    def merge(self, other: Self) -> None:
        """Take in what another task kept."""
        for stratum, kept in other._kept.items():
            self._keep(stratum, kept)

    def documents(self) -> dict[str, tuple[SampleDocument, ...]]:
        """Return the sample by stratum, in the order of keys."""
        return {name: tuple(document for _, document in self._kept.get(name, ())) for name in STRATA}

    def to_dict(self) -> dict[str, Any]:
        """Return JSON; keys are written as text, for they need all 64 bits."""
        kept = {name: [[str(key), asdict(one)] for key, one in rows] for name, rows in self._kept.items()}
        return {"size": self.size, "seed": self.seed, "kept": kept}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote."""
        kept = {
            name: [(int(key), SampleDocument(**one)) for key, one in rows] for name, rows in values["kept"].items()
        }
        return cls(values["size"], values["seed"], kept)

    def _keep(self, stratum: str, more: list[tuple[int, SampleDocument]]) -> None:
        rows = [*self._kept.get(stratum, ()), *more]
        self._kept[stratum] = sorted(rows, key=lambda row: (row[0], row[1].id))[: self.size]
