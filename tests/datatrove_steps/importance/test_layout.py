"""The columns of the output, for inputs of every kind."""

import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from datatrove_steps.tables import rows_of


def whale(i):
    return f"the whale number {i} swims in the sea of ships"


def read_table(folder):
    return pa.concat_tables([parquet.read_table(path) for path in sorted((folder / "data").glob("*.parquet"))])


@pytest.fixture
def write(tmp_path):
    def write(name, table):
        (tmp_path / "in").mkdir(exist_ok=True)
        parquet.write_table(table, tmp_path / "in" / name)
        return tmp_path / "in"

    return write


def test_types_of_all_kinds_stay(write, select):
    columns = {
        "id": pa.array(range(5), pa.int32()),
        "text": pa.array(map(whale, range(5)), pa.large_string()),
        "when": pa.array([1, 2, None, 4, 5], pa.timestamp("ms")),
        "tags": pa.array([["a"], [], None, ["b", "c"], []], pa.list_(pa.string())),
        "nested": pa.array([{"x": i, "y": {"z": [i]}} for i in range(5)]),
        "raw": pa.array([b"\xff"] * 5, pa.binary()),
        "small": pa.array(range(5), pa.uint8()),
        "refine_status": pa.array(["kept"] * 5),
    }
    table = pa.table(columns)
    folder = select(raw=write("a.parquet", table), budget="5 documents", tasks=2)
    assert read_table(folder).select(list(columns)).equals(table)
    assert read_table(folder).column_names == [*columns, "log_weight", "num_ngrams", "importance_lane"]


def test_files_with_fewer_columns_get_nulls(write, select, rows):
    write("a.parquet", pa.table({"id": ["a"], "text": [whale(0)], "n": pa.array([1], pa.int32())}))
    folder = select(raw=write("b.parquet", pa.table({"id": ["b"], "text": [whale(1)]})), budget="2 documents")
    assert [(row["id"], row["n"]) for row in rows(folder)] == [("a", 1), ("b", None)]
    assert read_table(folder).schema.field("n").type == pa.int32()


def test_schemas_that_clash_become_the_house_s_table(write, select, rows):
    write("a.parquet", pa.table({"id": ["a"], "text": [whale(0)], "n": pa.array([1])}))
    folder = select(
        raw=write("b.parquet", pa.table({"id": ["b"], "text": [whale(1)], "n": [["x"]]})), budget="2 documents"
    )
    table = read_table(folder)
    assert "extra_metadata" in table.column_names
    found = [row for batch in table.to_batches() for row in rows_of(batch)]
    assert [(row["id"], row.get("n")) for row in found] == [("a", 1), ("b", ["x"])]


def test_ids_are_added_where_there_are_none(write, select, rows):
    folder = select(raw=write("a.parquet", pa.table({"text": [whale(0), whale(1)]})), budget="2 documents")
    assert [row["id"] for row in rows(folder)] == ["a.parquet/0", "a.parquet/1"]


def test_columns_of_an_earlier_selection_are_replaced(write, select, rows):
    table = pa.table({"id": ["a"], "text": [whale(0)], "log_weight": ["old"], "num_ngrams": [1]})
    folder = select(raw=write("a.parquet", table), budget="1 documents")
    [row] = rows(folder)
    assert isinstance(row["log_weight"], float)
    assert row["num_ngrams"] > 1


def test_records_keep_everything(select, tmp_path):
    records = [
        {"id": "a", "text": whale(0), "metadata": {"url": "u", "deep": {"x": 1}}, "refine_status": "edited"},
        {"id": "b", "text": whale(1), "metadata": {"url": "v"}, "odd": [1, "two"], "doc_program": "keep_doc()"},
    ]
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    folder = select(raw=path, budget="2 documents")
    first, second = [row for batch in read_table(folder).to_batches() for row in rows_of(batch)]
    assert (first["url"], first["deep"], first["refine_status"]) == ("u", {"x": 1}, "edited")
    assert (second["url"], second["odd"], second["doc_program"]) == ("v", [1, "two"], "keep_doc()")
    assert "chunk_program" not in read_table(folder).column_names, "no empty columns that the input had not"


def test_another_key_of_the_text(write, select, rows):
    table = pa.table({"name": ["a"], "body": [whale(0)]})
    folder = select(
        raw=write("a.parquet", table),
        targets=str(write_target(write)),
        text_key="body",
        id_key="name",
        budget="1 documents",
    )
    assert (rows(folder)[0]["name"], rows(folder)[0]["body"]) == ("a", whale(0))


def write_target(write):
    folder = write("../target.parquet", pa.table({"body": [whale(7)]}))
    return folder.parent / "target.parquet"
