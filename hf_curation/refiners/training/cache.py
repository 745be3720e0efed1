"""Answers on disk, found by what was asked: a run that is interrupted, or changed afterwards, asks nothing twice.

SQLite, because it survives a kill in the middle of a write and needs no index in memory. One process writes at a time;
keep the file on a local disk. The key is the SHA-256 of the model's name and the whole request body, and no address:
the same model behind another port has the same answers. Failures are never kept.
"""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hf_curation.files.atomic import canonical_json
from hf_curation.refiners.base import Draft

_COLUMNS: Final = "text, finish_reason, prompt_tokens, output_tokens"
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, text TEXT NOT NULL, finish_reason TEXT NOT NULL, "
    "prompt_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL) WITHOUT ROWID"
)
_KEYS_A_QUERY: Final = 500


def request_key(body: Mapping[str, Any]) -> str:
    """Return the key of a request body, the model's name included."""
    return sha256(canonical_json(body)).hexdigest()


class AnswerCache:
    """A file of answers.

    Raises:
        ValueError: if the file is there and is no such file.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = sqlite3.connect(path)
        try:
            self._file.execute(_TABLE)
            self._file.execute(f"SELECT key, {_COLUMNS} FROM answers LIMIT 1")  # noqa: S608 - constants
        except sqlite3.DatabaseError as error:
            self._file.close()
            raise ValueError(f"{path} is no cache of answers ({error}); move it away or name another file") from None

    def __len__(self) -> int:
        return int(self._file.execute("SELECT count(*) FROM answers").fetchone()[0])

    def get(self, keys: Sequence[str]) -> dict[str, Draft]:
        """Return the answers that are there, by key."""
        found: dict[str, Draft] = {}
        for start in range(0, len(keys), _KEYS_A_QUERY):
            some = keys[start : start + _KEYS_A_QUERY]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, {_COLUMNS} FROM answers WHERE key IN ({marks})"  # noqa: S608 - marks only
            for key, text, finish_reason, prompt_tokens, output_tokens in self._file.execute(query, some):
                found[key] = Draft(text, finish_reason, None, prompt_tokens, output_tokens)
        return found

    def put(self, answers: Iterable[tuple[str, Draft]]) -> None:
        """Keep answers; they are on disk when this returns."""
        rows = [
            (key, draft.text, draft.finish_reason, draft.prompt_tokens, draft.output_tokens)
            for key, draft in answers
            if draft.finish_reason != "error"
        ]
        with self._file:
            self._file.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
