"""Pages and their clean text come from any layout; what cannot be read is counted."""

import gzip
import json
from collections import Counter

import pytest

from hf_curation.evaluation.gold_pages import GoldPage, PageKeys, read_gold_pages

ROWS = [
    {"id": "a", "text": "raw a", "metadata": {"gold_text": "a", "url": "https://blog.site.co.uk/x"}},
    {"id": "b", "text": "raw b", "metadata": {"gold_text": None}},
    {"text": "raw c", "gold_text": "", "url": "https://10.0.0.1/"},
]
PAGES = [
    GoldPage("a", "raw a", "a", "https://blog.site.co.uk/x"),
    GoldPage("b", "raw b", None, None),
    GoldPage("pages.jsonl/2", "raw c", "", "https://10.0.0.1/"),
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_datatroves_layout_and_flat_columns(tmp_path):
    assert list(read_gold_pages(write(tmp_path / "pages.jsonl", ROWS))) == PAGES


def test_compressed_and_parquet_are_the_same(tmp_path):
    import pyarrow as pa
    from pyarrow import parquet

    zipped = tmp_path / "pages.jsonl.gz"
    zipped.write_bytes(gzip.compress(write(tmp_path / "pages.jsonl", ROWS).read_bytes()))
    assert [(p.raw, p.clean) for p in read_gold_pages(zipped)] == [(p.raw, p.clean) for p in PAGES]
    flat = [{"id": p.id, "text": p.raw, "gold_text": p.clean, "url": p.url} for p in PAGES]
    parquet.write_table(pa.Table.from_pylist(flat), tmp_path / "pages.parquet")
    assert list(read_gold_pages(tmp_path / "pages.parquet")) == PAGES
    assert list(read_gold_pages(tmp_path / "pages.parquet", limit=2)) == PAGES[:2]


def test_other_names_dots_and_a_limit(tmp_path):
    rows = [{"doc": {"raw": f"page {i}", "best": f"{i}"}, "key": i} for i in range(5)]
    keys = PageKeys(text="doc.raw", clean="doc.best", id="key")
    found = list(read_gold_pages(write(tmp_path / "p.jsonl", rows), keys=keys, limit=3))
    assert found == [GoldPage(str(i), f"page {i}", str(i)) for i in range(3)]


def test_what_cannot_be_read_is_counted(tmp_path):
    path = tmp_path / "p.jsonl"
    path.write_text('{"text": "a", "gold_text": "a"}\nnot json\n[1]\n\n{"text": 5}\n')
    skipped = Counter()
    assert len(list(read_gold_pages(path, skipped=skipped))) == 1
    assert skipped == {"bad_json": 1, "bad_record": 1, "no_text": 1}


def test_a_wrong_column_is_an_error_with_its_name(tmp_path):
    path = write(tmp_path / "p.jsonl", ROWS)
    with pytest.raises(ValueError, match="none of 3 pages has a clean text under 'clean'"):
        list(read_gold_pages(path, keys=PageKeys(clean="clean")))
    assert len(list(read_gold_pages(path, keys=PageKeys(clean="clean"), needs_clean=False))) == 3
    with pytest.raises(ValueError, match="no page was read"):
        list(read_gold_pages(path, keys=PageKeys(text="body")))


def test_domains_and_junk():
    assert [page.domain for page in PAGES] == ["site.co.uk", "", ""]
    assert [page.is_junk for page in PAGES] == [False, False, True]
    assert GoldPage("x", "x", "x", "https://me.blogspot.com/").domain == "blogspot.com"
