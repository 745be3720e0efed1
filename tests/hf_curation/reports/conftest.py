"""Runs as `hf-curation refine` leaves them, made of pages that are executed for real."""

import json
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from hf_curation.files.accounts import StageAccount
from hf_curation.files.manifest import Manifest
from hf_curation.programs.execute import execute
from hf_curation.programs.model import Dialect
from hf_curation.programs.parse import parse_program
from hf_curation.programs.printing import print_programs

STRINGS = pa.list_(pa.string())
CUSTODY = {
    "original_sha256": pa.string(),
    "doc_program": pa.string(),
    "chunk_program": pa.string(),
    "refine_status": pa.string(),
    "refine_rejected": STRINGS,
    "refine_fallbacks": STRINGS,
    "original_text": pa.string(),
}
TEXT = "Home | Login | Basket\nWhales sing to one another.\nShare this\nTheir songs travel far, call us on 555 0100."
PROGRAM = 'remove_lines(line_start=0, line_end=0)\nremove_lines(2, 2)\nnormalize(source_str=", call us on 555 0100")'


def refined(page_id: str, text: str, program: str, **metadata: Any) -> dict[str, Any]:
    """One row: `text` after `program` has run, with its custody columns; `drop_doc()` drops it."""
    dropped = program == "drop_doc()"
    result = execute(text, parse_program("keep_chunk()" if dropped else program))
    return {
        "id": page_id,
        "text": text if dropped else result.text,
        "url": "https://example.org/whales",
        "original_sha256": sha256(text.encode()).hexdigest(),
        "doc_program": program if dropped else "keep_doc()",
        "chunk_program": "" if dropped else print_programs(result.effective, Dialect.PROX),
        "refine_status": "dropped" if dropped else result.status,
        "refine_rejected": [rejection.reason for rejection in result.rejected],
        "refine_fallbacks": list(result.fallbacks),
        "original_text": text,
        **({"filter_reason": "drop_doc"} if dropped else {}),
        **metadata,
    }


@dataclass
class Run:
    """A folder to be written."""

    folder: Path
    rows: list[dict[str, Any]] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)

    def add(self, page_id: str, text: str = TEXT, program: str = PROGRAM, **metadata: Any) -> "Run":
        self.rows.append(refined(page_id, text, program, **metadata))
        return self

    def write(self, *, num_files: int = 1, keep_original: bool = True, manifests: bool = True) -> Path:
        kept = [row for row in self.rows if row["refine_status"] != "dropped"]
        dropped = [row for row in self.rows if row["refine_status"] == "dropped"]
        for part, rows in (("data", kept), ("dropped", dropped)):
            for rank in range(num_files):
                self._write_table(part, rank, rows[rank::num_files], keep_original)
        if self.quarantined:
            (self.folder / "quarantine").mkdir(exist_ok=True)
            lines = "".join(json.dumps({"reason": reason}) + "\n" for reason in self.quarantined)
            (self.folder / "quarantine" / "read-00000.jsonl").write_text(lines)
        if manifests:
            self._write_manifest(len(kept), len(dropped))
        return self.folder

    def _write_table(self, part: str, rank: int, rows: list[dict[str, Any]], keep_original: bool) -> None:
        names = dict.fromkeys(["id", "text", "url", *(name for row in rows for name in row)])
        fields = {name: CUSTODY.get(name, pa.string()) for name in [*names, *CUSTODY]}
        if not keep_original:
            del fields["original_text"]
        (self.folder / part).mkdir(parents=True, exist_ok=True)
        table = pa.Table.from_pylist(rows, schema=pa.schema(list(fields.items())))
        parquet.write_table(table, self.folder / part / f"{rank:05d}.parquet", row_group_size=7)

    def _write_manifest(self, num_kept: int, num_dropped: int) -> None:
        chars = sum(len(row["original_text"]) for row in self.rows)
        kept = sum(len(row["text"]) for row in self.rows if row["refine_status"] != "dropped")
        lost = Counter(self.quarantined)
        read = StageAccount(num_in=len(self.rows) + lost.total(), num_out=len(self.rows), quarantined=lost)
        chunk = StageAccount(num_in=len(self.rows), num_out=num_kept, dropped=Counter(drop_doc=num_dropped))
        chunk.totals.update(chars_in=chars, chars_out=kept, output_tokens=1234)
        Manifest(
            plan_sha256="a" * 64,
            step="refine",
            config={"input": "/secret/place", "num_tasks": 1},
            config_sha256="c0ffee" * 10,
            versions={"hf_curation": "0.1.0", "pyarrow": "26.0"},
            input_fingerprint="f1f1",
            rank=0,
            world_size=1,
            stages={"read": read, "chunk": chunk},
            refiners={"chunk": "/models/of/somebody/tagger-v1"},
        ).write(self.folder)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "out")


@pytest.fixture
def small_run(run):
    """Every outcome: 6 edited, 2 kept, 1 that fell back, 2 dropped, 3 quarantined."""
    for i in range(6):
        run.add(f"edited-{i}", f"{TEXT}\nParagraph {i}.", url=f"https://host-{i % 2}.example:8080/{i}")
    run.add("edited-calls", program=f"{PROGRAM}\nremove_lines(99, 100)\nI like this page.")
    run.rows.pop(5)
    run.add("kept-0", program="keep_chunk()").add("kept-1", program="keep_chunk()", url=None)
    run.add("fallback-0", program="remove_lines(0, 3)")
    run.add("dropped-0", program="drop_doc()").add("dropped-1", "Buy now\nBuy now", "drop_doc()")
    run.quarantined = ["bad_json", "bad_json", "lone_surrogate"]
    return run
