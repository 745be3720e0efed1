"""A corpus of four topics, a target of one of them, and runs of a selection in this process."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

TOPICS = {
    "sea": [
        "ship",
        "sail",
        "harbour",
        "tide",
        "gull",
        "anchor",
        "mast",
        "captain",
        "wave",
        "rope",
        "storm",
        "deck",
        "crew",
        "island",
        "whale",
    ],
    "law": [
        "court",
        "judge",
        "claim",
        "statute",
        "appeal",
        "clause",
        "party",
        "contract",
        "evidence",
        "ruling",
        "plaintiff",
        "duty",
    ],
    "food": [
        "onion",
        "butter",
        "oven",
        "flour",
        "simmer",
        "garlic",
        "stir",
        "salt",
        "pepper",
        "dough",
        "roast",
        "sauce",
        "lemon",
        "broth",
    ],
    "code": [
        "loop",
        "array",
        "thread",
        "compile",
        "pointer",
        "stack",
        "branch",
        "merge",
        "parse",
        "token",
        "heap",
        "buffer",
        "kernel",
    ],
}
COMMON = [
    "the",
    "a",
    "of",
    "and",
    "to",
    "in",
    "is",
    "was",
    "for",
    "on",
    "with",
    "as",
    "it",
    "at",
    "by",
    "from",
    "that",
    "this",
    "be",
    "are",
    "or",
    "not",
    "which",
]
BAD_LINES = {17: "not json", 40: "[1, 2]", 41: '{"id": "x", "text": 3}', 90: '{"id": "y", "text": "  "}', 91: ""}


@pytest.fixture(autouse=True)
def still_code(monkeypatch):
    """Plans hold a digest of the code; it must not change under a test while somebody edits a file."""
    import datatrove_steps.importance.plan as plan

    monkeypatch.setattr(plan, "versions_of", lambda code, packages: {"hf_curation": "0", "code_sha256": "0"})


def write_text(rng, topic, low=15, high=90):
    return " ".join(rng.choice(TOPICS[topic] if rng.random() < 0.4 else COMMON) for _ in range(rng.randint(low, high)))


def make_records(num_documents, seed=0):
    rng, names = random.Random(seed), list(TOPICS)  # noqa: S311
    return [
        {
            "id": f"d{i}",
            "text": write_text(rng, names[i % 4]),
            "source": names[i % 4],
            "url": f"https://example.org/{i}",
            "score": i / 7,
        }
        for i in range(num_documents)
    ]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The folder of `raw.jsonl` (with bad lines), `raw.parquet`, `target.jsonl` and `held_out.jsonl`."""
    folder = tmp_path_factory.mktemp("corpus")
    records = make_records(400)
    held_out = "twelve sober pilots counted seventeen lanterns before the last ferry left for the northern lighthouse"
    records[2]["text"] += " " + held_out
    records[6]["text"] = held_out + " " + records[6]["text"]
    lines = [json.dumps(record) for record in records]
    for at, line in sorted(BAD_LINES.items()):
        lines.insert(at, line)
    (folder / "raw.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    parquet.write_table(pa.Table.from_pylist(records), folder / "raw.parquet", row_group_size=70)
    rng = random.Random(1)  # noqa: S311
    target = "".join(json.dumps({"text": write_text(rng, "sea")}) + "\n" for _ in range(40))
    (folder / "target.jsonl").write_text(target, encoding="utf-8")
    law = "".join(json.dumps({"text": write_text(rng, "law")}) + "\n" for _ in range(40))
    (folder / "law.jsonl").write_text(law, encoding="utf-8")
    (folder / "held_out.jsonl").write_text(json.dumps({"text": held_out}) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def select(corpus, tmp_path):
    """Run a selection in this process; returns its folder."""
    from datatrove_steps.importance import SelectConfig, importance_sampling

    def run(output="out", *, raw="raw.jsonl", targets=None, **options):
        options.setdefault("budget", "10%")
        config = SelectConfig(
            raw=str(corpus / raw),
            output=str(tmp_path / output),
            targets=targets or str(corpus / "target.jsonl"),
            workers=1,
            **options,
        )
        importance_sampling(config).run()
        return tmp_path / output

    return run


def read_rows(folder, part="data"):
    """All rows of a run's Parquet files, in the order of the tasks."""
    return [row for path in sorted((folder / part).glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]


@pytest.fixture
def rows():
    return read_rows


@pytest.fixture
def contents():
    """Name -> bytes of every file of a run, logs aside."""

    def read(folder: Path) -> dict[str, bytes]:
        files = (path for path in folder.rglob("*") if path.is_file())
        names = {path.relative_to(folder): path for path in files}
        return {name.as_posix(): path.read_bytes() for name, path in names.items() if name.parts[0] != "logs"}

    return read
