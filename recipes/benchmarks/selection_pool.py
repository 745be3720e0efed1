"""A corpus whose right answer is known: sources that differ, and a target source that the pool holds as a minority."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

MAX_SHARE = 0.3
"""Of the pool, for a single source."""
PASSAGE_BYTES = 1500
HELD_OUT_PASSAGES = 120


@dataclass(frozen=True, slots=True)
class Pool:
    """What the methods choose from, what they are told, and what the models are tested on."""

    texts: list[str]
    sources: list[str]
    ids: list[str]
    target: list[str]
    """Documents of the target source that are not in the pool; all that a method knows of it."""
    held_out_target: list[str]
    held_out_others: list[str]
    """Passages of documents that are neither in the pool nor in the target."""
    name: str
    """The target source."""

    @property
    def num_bytes(self) -> Any:  # noqa: ANN401
        """int64[N]: UTF-8 bytes of every document."""
        return np.array([len(text.encode()) for text in self.texts], dtype=np.int64)


def make_pool(documents: Path, target: str, minority: float, seed: int = 0) -> Pool:
    """Split a corpus with a column `source`; which document goes where follows from its id alone.

    Args:
        documents: JSONL of `{"id", "source", "text"}`.
        target: the source that is sought.
        minority: its share of the pool's bytes, at most.
        seed: of the split.
    """
    by_source: dict[str, list[dict[str, str]]] = {}
    with documents.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            by_source.setdefault(row["source"], []).append(row)
    if target not in by_source:
        raise ValueError(f"no source {target!r}; there are {', '.join(sorted(by_source))}")
    for rows in by_source.values():
        rows.sort(key=lambda row: _digest(row["id"], seed))
    held_out = {name: rows[: max(len(rows) // 20, 20)] for name, rows in by_source.items()}
    wanted = by_source[target][len(held_out[target]) :]
    told, hidden = wanted[: len(wanted) // 3], wanted[len(wanted) // 3 :]
    others = {name: rows[len(held_out[name]) :] for name, rows in by_source.items() if name != target}
    total = sum(_bytes(rows) for rows in others.values())
    kept = [row for rows in others.values() for row in _up_to(rows, MAX_SHARE * total)]
    kept += _up_to(hidden, minority / (1 - minority) * _bytes(kept))
    kept.sort(key=lambda row: _digest(row["id"], seed + 1))
    return Pool(
        texts=[row["text"] for row in kept],
        sources=[row["source"] for row in kept],
        ids=[row["id"] for row in kept],
        target=[row["text"] for row in told],
        held_out_target=_passages(held_out[target], seed),
        held_out_others=_passages([row for name, rows in held_out.items() if name != target for row in rows], seed),
        name=target,
    )


def _up_to(rows: list[dict[str, str]], num_bytes: float) -> list[dict[str, str]]:
    found, used = [], 0
    for row in rows:
        if used >= num_bytes:
            break
        found.append(row)
        used += len(row["text"].encode())
    return found


def _passages(rows: list[dict[str, str]], seed: int) -> list[str]:
    order: Callable[[dict[str, str]], int] = lambda row: _digest(row["id"], seed + 2)  # noqa: E731
    chosen = sorted(rows, key=order)[:HELD_OUT_PASSAGES]
    return [row["text"].encode()[:PASSAGE_BYTES].decode(errors="ignore") for row in chosen]


def _bytes(rows: list[dict[str, str]]) -> int:
    return sum(len(row["text"].encode()) for row in rows)


def _digest(text: str, seed: int) -> int:
    return int.from_bytes(blake2b(f"{seed}\0{text}".encode(), digest_size=8).digest(), "big")
