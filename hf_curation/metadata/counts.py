"""k-anonymity: how many documents share a value, so that rare ones can be left unsaid.

Two passes. The first counts (one `ValueCounts` per rank, merged at the end, equal for any number of ranks), the second
shows values that fewer than k documents share as `unknown`. A personal blog's host names its author; k of 100 hides
it. The artefact itself names every rare value, so `prune` it before publishing.

Kept as Parquet (value, count; the rest in the schema's metadata) or as JSON, by the file's suffix; both sorted, so
equal counts are equal bytes.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_curation.files.atomic import PartFile, canonical_json, write_json
from hf_curation.files.reading import ShardError, open_parquet
from hf_curation.metadata.missing import Missing

_FORMAT = "hf-curation value counts 1"


@dataclass(slots=True)
class ValueCounts:
    """How many documents have each value of one field. A host takes about 110 bytes of memory."""

    spec: str
    """The field counted, as `Field.spec` has it."""
    counts: Counter[str] = field(default_factory=Counter)
    """Value -> documents."""
    missing: Counter[str] = field(default_factory=Counter)
    """Reason -> documents without a value."""
    num_pruned: int = 0
    """Documents whose value was pruned."""
    min_count: int = 1
    """Values with fewer documents have been pruned."""

    @property
    def num_documents(self) -> int:
        """Documents counted, with and without a value."""
        return self.counts.total() + self.missing.total() + self.num_pruned

    def add(self, value: str | Missing) -> None:
        """Count one document: what `Field.read` said of it."""
        if isinstance(value, Missing):
            self.missing[value.reason] += 1
        else:
            self.counts[value] += 1

    def merge(self, other: "ValueCounts") -> None:
        """Add the counts of other documents to these.

        Raises:
            ValueError: another field was counted, or either side is pruned (its sums would come out too low).
        """
        if other.spec != self.spec:
            raise ValueError(f"cannot merge counts of {other.spec!r} into counts of {self.spec!r}")
        if max(self.min_count, other.min_count) > 1:
            raise ValueError("cannot merge pruned counts: merge first, then prune")
        self.counts.update(other.counts)
        self.missing.update(other.missing)

    def prune(self, k: int) -> "ValueCounts":
        """Return these counts without the values that fewer than `k` documents share, fit for publishing."""
        kept = Counter({value: self.counts[value] for value in self.frequent(k)})
        num_pruned = self.num_pruned + self.counts.total() - kept.total()
        return ValueCounts(self.spec, kept, Counter(self.missing), num_pruned, max(k, self.min_count))

    def frequent(self, k: int) -> frozenset[str]:
        """Return the values that at least `k` documents share.

        Raises:
            ValueError: `k` is under 1, or under the k that these counts were pruned with.
        """
        if k < self.min_count:
            raise ValueError(f"k must be at least {self.min_count}, the k of these counts, got {k}")
        return frozenset(value for value, count in self.counts.items() if count >= k)

    def coverage(self, k: int) -> float:
        """Return the share of all documents that keep their value under `k`, in [0, 1]; 0 without documents."""
        values = self.frequent(k)
        return sum(self.counts[value] for value in values) / max(self.num_documents, 1)

    def save(self, path: str | Path) -> None:
        """Write to `path`, `.json` or `.parquet`; a file at that name is always whole."""
        path = Path(path)
        facts = {
            "format": _FORMAT,
            "spec": self.spec,
            "missing": dict(self.missing),
            "num_pruned": self.num_pruned,
            "min_count": self.min_count,
        }
        if _suffix(path) == ".json":
            write_json(path, {**facts, "counts": dict(self.counts)})
        else:
            _write_parquet(path, facts, dict(sorted(self.counts.items())))

    @classmethod
    def load(cls, path: str | Path) -> "ValueCounts":
        """Read what `save` wrote.

        Raises:
            ValueError: the file holds something else.
        """
        try:
            facts, counts = (_read_json if _suffix(Path(path)) == ".json" else _read_parquet)(Path(path))
            known = facts["format"] == _FORMAT
        except (KeyError, TypeError, ValueError, ShardError):  # not JSON, not Parquet, or of another shape
            known = False
        if not known:
            raise ValueError(f"{path} does not hold {_FORMAT!r}; write it with ValueCounts.save")
        return cls(facts["spec"], Counter(counts), Counter(facts["missing"]), facts["num_pruned"], facts["min_count"])


def _suffix(path: Path) -> str:
    if path.suffix not in (".json", ".parquet"):
        raise ValueError(f"value counts are kept as .json or .parquet, not as {path.name!r}")
    return path.suffix


def _read_json(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    facts = json.loads(path.read_text(encoding="utf-8"))
    return facts, facts["counts"]


def _write_parquet(path: Path, facts: dict[str, Any], counts: dict[str, int]) -> None:
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.parquet as pq  # noqa: PLC0415

    schema = pa.schema(
        [("value", pa.string()), ("count", pa.int64())], metadata={"hf_curation": canonical_json(facts)}
    )
    with PartFile(path) as part:
        pq.write_table(
            pa.table([list(counts), list(counts.values())], schema=schema),
            part,
            compression="zstd",
            write_page_checksum=True,
        )


def _read_parquet(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    with path.open("rb") as raw:
        table = open_parquet(raw, path.name).read(use_threads=False)
    facts = json.loads((table.schema.metadata or {})[b"hf_curation"])
    return facts, dict(zip(table["value"].to_pylist(), table["count"].to_pylist(), strict=True))
