"""Reading the sidecar of weights: as candidates for the choice, or row by row beside the documents."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from datatrove_steps.importance.stages import Stage, check_file
from hf_curation.files.reading import open_parquet
from hf_curation.sampling.candidates import Candidates

_BATCH_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The sidecars of a finished weighing stage, in the order of its ranks."""

    paths: tuple[Path, ...]
    columns: tuple[str, ...]
    """Of log weights; one, or one for each target."""
    digests: tuple[str, ...]
    """SHA-256 of the files."""
    model_sha256: str
    """Digest of the model that made the weights."""
    source_names: tuple[str, ...] = ()
    """What source codes stand for, in order."""

    @classmethod
    def of(cls, stage: Stage, columns: Sequence[str]) -> "Sidecars":
        """Return a stage's sidecars, checked against their manifests.

        Raises:
            ValueError: if one is missing, changed, or of other weights.
        """
        outputs = stage.outputs()
        paths = tuple(check_file(stage, output) for output in outputs)
        models = {_check_facts(path, stage, columns) for path in paths}
        if len(models) > 1:
            raise ValueError(f"the weights in {stage.folder} come from {len(models)} models; remove them, run again")
        return cls(paths, tuple(columns), tuple(output.sha256 for output in outputs), models.pop())

    def with_sources(self) -> "Sidecars":
        """Return the same with the names of all sources, in the order of the alphabet."""
        names: set[str] = set()
        for path in self.paths:
            for batch in read_columns(path, ["source"]):
                column = batch.column("source")
                used = np.unique(column.indices.to_numpy(zero_copy_only=False))
                names.update(column.dictionary.take(pa.array(used)).to_pylist())
        return replace(self, source_names=tuple(sorted(names - {""})))

    def read(self) -> Iterator[Candidates]:
        """Yield all documents as candidates; the same ones with every call."""
        for path in self.paths:
            yield from read_candidates(path, self.columns, self.source_names)


def read_candidates(path: Path, columns: Sequence[str], source_names: Sequence[str]) -> Iterator[Candidates]:
    """Yield the rows of one sidecar."""
    codes = {name: code for code, name in enumerate(source_names)}
    for batch in read_columns(path, ["id_hash", "num_tokens", *columns, "source", "excluded"]):
        yield candidates_of(batch, columns, codes)


def candidates_of(batch: Any, columns: Sequence[str], codes: Mapping[str, int]) -> Candidates:  # noqa: ANN401
    """Return rows of a sidecar as candidates; `batch` is a `pyarrow.RecordBatch`."""
    weights = [batch.column(name).to_numpy(zero_copy_only=False) for name in columns]
    return Candidates(
        hashes=batch.column("id_hash").to_numpy(),
        log_weights=weights[0]
        if columns == ["log_weight"] or columns == ("log_weight",)
        else np.stack(weights, axis=1),
        num_tokens=batch.column("num_tokens").to_numpy(),
        sources=_source_codes(batch.column("source"), codes),
        excluded=batch.column("excluded").is_valid().to_numpy(zero_copy_only=False),
    )


def read_sidecar(path: Path, columns: Sequence[str]) -> "RowReader":
    """Return a reader of a sidecar's rows, some at a time."""
    return RowReader(read_columns(path, ["id", "id_hash", "num_tokens", "num_ngrams", *columns, "source", "excluded"]))


class RowReader:
    """Hands out the rows of a sidecar in the portions that are asked for."""

    def __init__(self, batches: Iterator[Any]) -> None:
        self._batches = batches
        self._rest: Any = None

    def take(self, num_rows: int) -> Any:  # noqa: ANN401 - a pyarrow record batch
        """Return the next rows; fewer where the sidecar ends, None behind its end."""
        parts, missing = [], num_rows
        while missing and not self.is_at_end():
            parts.append(self._rest.slice(0, missing))
            missing -= parts[-1].num_rows
            self._rest = self._rest.slice(parts[-1].num_rows)
        if len(parts) == 1:
            return parts[0]
        return pa.Table.from_batches(parts).combine_chunks().to_batches()[0] if parts else None

    def is_at_end(self) -> bool:
        """Return whether no row is left."""
        while self._rest is None or self._rest.num_rows == 0:
            self._rest = next(self._batches, None)
            if self._rest is None:
                return True
        return False


def read_columns(path: Path, columns: list[str]) -> Iterator[Any]:
    """Yield some columns of a sidecar as record batches."""
    with path.open("rb") as raw:
        yield from open_parquet(raw, path.name).iter_batches(
            batch_size=_BATCH_ROWS, columns=columns, use_threads=False
        )


def _check_facts(path: Path, stage: Stage, columns: Sequence[str]) -> str:
    """Return the digest of the model that made a sidecar."""
    with path.open("rb") as raw:
        schema = open_parquet(raw, path.name).schema_arrow
    facts = {key.decode(): value.decode() for key, value in (schema.metadata or {}).items()}
    if facts.get("plan_sha256") != stage.plan.sha256 or not set(columns) <= set(schema.names):
        raise ValueError(f"{path} holds weights of another plan; remove it and run again")
    return str(facts["model_sha256"])


def _source_codes(column: Any, codes: Mapping[str, int]) -> Any:  # noqa: ANN401 - a dictionary array; int32[N]
    table = np.array([codes.get(name, -1) for name in column.dictionary.to_pylist()], np.int32)
    return table[column.indices.to_numpy(zero_copy_only=False)] if len(table) else np.full(len(column), -1, np.int32)
