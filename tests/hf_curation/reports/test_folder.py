import json

import pyarrow as pa
import pytest
from pyarrow import parquet

from hf_curation.reports import folder
from hf_curation.reports.folder import RunFolder


def write(path, rows, schema=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def test_pages_are_read_with_their_custody(small_run):
    pages = {page.id: page for page in RunFolder(small_run.write(num_files=3)).pages()}
    assert len(pages) == 11
    edited = pages["edited-calls"]
    assert (edited.status, edited.rejected) == ("edited", ("prose", "line_out_of_range"))
    assert edited.text == "Whales sing to one another.\nTheir songs travel far."
    assert edited.original.startswith("Home | Login")
    assert pages["fallback-0"].fallbacks == ("removed_too_much",)
    assert pages["dropped-0"].drop_reason == "drop_doc"
    assert pages["dropped-0"].result == ""
    assert pages["dropped-0"].text.startswith("Home | Login")


def test_without_keep_original_only_edited_pages_lack_theirs(small_run):
    pages = RunFolder(small_run.write(keep_original=False)).pages()
    assert {page.status for page in pages if page.original is None} == {"edited"}


def test_a_dropped_text_that_was_edited_before_is_not_taken_for_the_original(run):
    run.add("a", program="drop_doc()").add("b", program="drop_doc()", text="another")
    run.rows[1]["text"] = "edited before it was dropped"
    pages = {page.id: page for page in RunFolder(run.write(keep_original=False)).pages()}
    assert pages["a"].original == pages["a"].text
    assert pages["b"].original is None


def test_metadata_may_lie_in_a_struct_or_in_the_extras(tmp_path):
    schema = pa.schema(
        [
            ("text", pa.string()),
            ("id", pa.string()),
            ("metadata", pa.struct([("url", pa.string()), ("lang", pa.string())])),
            ("page_type", pa.int64()),
            ("extra_metadata", pa.string()),
        ]
    )
    extra = json.dumps({"gold_text": "gold", "page_type": "forum", "earlier_programs": ["keep_chunk()"]})
    row = {"text": "t", "id": "1", "metadata": {"url": "https://a.org", "lang": "fr"}, "extra_metadata": extra}
    write(tmp_path / "data" / "0.parquet", [row, {"text": "u", "id": "2"}, {"text": "v", "page_type": 7}], schema)
    first, second, third = RunFolder(tmp_path).pages()
    assert (first.url, first.language, first.gold_text, first.kind) == ("https://a.org", "fr", "gold", "forum")
    assert first.earlier_programs == ("keep_chunk()",)
    assert (second.url, second.gold_text, second.kind, second.status) == (None, None, None, "kept")
    assert (third.kind, len(third.id)) == ("7", 64)


def test_batches_follow_the_size_of_pages(tmp_path, monkeypatch):
    write(tmp_path / "data" / "0.parquet", [{"text": f"{i}" * 10_000} for i in range(64)])
    sizes = []
    original = parquet.ParquetFile.iter_batches

    def spy(self, batch_size, **options):
        sizes.append(batch_size)
        return original(self, batch_size, **options)

    monkeypatch.setattr(parquet.ParquetFile, "iter_batches", spy)
    monkeypatch.setattr(folder, "BATCH_BYTES", 40_000)
    assert [page.text[0] for page in RunFolder(tmp_path).pages()] == [f"{i}"[0] for i in range(64)]
    assert 1 <= sizes[0] <= 40


def test_quarantine_is_counted_by_reason(small_run):
    small_run.write()
    (small_run.folder / "quarantine" / "chunk-00000.jsonl").write_text('{"id": 1}\nnot json\n[1]\n\n')
    reasons = RunFolder(small_run.folder).quarantined()
    assert reasons == {"bad_json": 2, "lone_surrogate": 1, "no_reason_given": 2, "unreadable_entry": 1}


def test_files_that_are_not_finished_are_not_read(small_run):
    path = small_run.write()
    (path / "data" / ".00001.parquet").write_bytes(b"half")
    (path / "data" / "00001.parquet.part").write_bytes(b"half")
    assert len(list(RunFolder(path).pages())) == 11


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "is no folder; give the OUTPUT folder of `hf-curation refine` or `select`"),
        (lambda path: path.mkdir(), r"holds no data/\*.parquet"),
        (
            lambda path: write(path / "data" / "0.parquet", [{"body": "x"}]),
            "no column 'text'; its columns are body",
        ),
        (lambda path: write(path / "data" / "0.parquet", [{"text": "x", "refine_status": "fine"}]), "'fine'"),
    ],
)
def test_what_is_no_run_is_said_so(tmp_path, prepare, message):
    prepare(tmp_path / "out")
    with pytest.raises(ValueError, match=message):
        list(RunFolder(tmp_path / "out").pages())


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "0.parquet").write_bytes(b"PAR1 but not really PAR1")
    with pytest.raises(ValueError, match=r"0\.parquet is damaged"):
        list(RunFolder(tmp_path).pages())
