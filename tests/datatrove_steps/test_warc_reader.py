import gzip
import json
import os
import re

import orjson
import pytest
from datatrove.pipeline.extractors.base import BaseExtractor

from datatrove_steps.columns import describe_columns, infer_columns
from datatrove_steps.extraction import VisibleText
from datatrove_steps.importance.texts import Keys, Rejects, read_texts
from datatrove_steps.readers import ReadDocuments
from hf_curation.cli.main import main
from hf_curation.files.reading import ShardError
from hf_curation.files.sources import find_source, limit_records
from hf_curation.files.spans import Span

URL = "https://whales.example/{}"
PAGE = "<html><body><p>Whale number {} sings at night.</p></body></html>"


class Tags(BaseExtractor):
    """Leaves tags out, and misbehaves where a page asks for it."""

    def __init__(self):
        super().__init__(timeout=4)

    def extract(self, text):
        if "CRASH" in text:
            os._exit(1)
        if "RAISE" in text:
            raise ValueError("no HTML of mine")
        while "HANG" in text:
            pass
        return re.sub("<[^>]*>", "", text)


def capture(number, body, kind="text/html"):
    content = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + body.encode()
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number}>\r\nWARC-Date: 2026-01-01T00:00:00Z"
    head += f"\r\nWARC-Target-URI: {URL.format(number)}\r\nContent-Length: {len(content)}\r\n\r\n"
    return gzip.compress(head.encode() + content + b"\r\n\r\n", mtime=0)


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "crawl.warc.gz"
    info = gzip.compress(b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 3\r\n\r\nabc\r\n\r\n", mtime=0)
    path.write_bytes(info + b"".join(capture(i, PAGE.format(i)) for i in range(20)))
    return path


def read(path, rank=0, world_size=1, **options):
    return list(ReadDocuments(path, extractor=Tags(), **options).run(None, rank, world_size))


def test_pages_become_documents(archive):
    docs = read(archive)
    assert [doc.text for doc in docs] == [f"Whale number {i} sings at night." for i in range(20)]
    assert docs[3].id == "<urn:uuid:3>"
    assert docs[3].metadata == {"url": URL.format(3), "date": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("world_size", [2, 3])
def test_the_union_over_tasks_is_everything_once(archive, world_size):
    ids = [doc.id for rank in range(world_size) for doc in read(archive, rank, world_size)]
    assert sorted(ids) == sorted(doc.id for doc in read(archive))


def test_the_limit_counts_captures(archive):
    assert [doc.id for doc in read(archive, limit=5)] == [f"<urn:uuid:{i}>" for i in range(5)]
    assert limit_records(find_source(archive), 5).files[0].stop == 5
    assert limit_records(find_source(archive), 50).files[0].stop is None


@pytest.mark.slow
def test_bad_pages_cost_themselves_alone_and_are_counted(tmp_path):
    bodies = ["<p>RAISE</p>", "<p>good</p>", "<p>CRASH</p>", "<p>HANG</p>", "<p> </p>", "<p>good</p>"]
    data = b"".join(capture(i, body) for i, body in enumerate(bodies)) + capture(6, "GIF89a", "image/gif")
    (tmp_path / "a.warc.gz").write_bytes(data)
    docs = read(tmp_path / "a.warc.gz", quarantine=tmp_path / "quarantine")
    rows = [json.loads(line) for line in (tmp_path / "quarantine" / "read-00000.jsonl").read_text().splitlines()]
    assert [doc.text for doc in docs] == ["good", "good"]
    assert [(row["index"], row["reason"]) for row in rows] == [
        (0, "extraction_failed"), (2, "extraction_failed"), (3, "extraction_timeout"),
        (4, "nothing_extracted"), (6, "not_html"),
    ]  # fmt: skip
    assert rows[-1]["record"]["url"] == URL.format(6)


def test_a_cut_archive_fails_its_rank(archive):
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(ShardError, match=r"crawl\.warc\.gz"):
        read(archive)


def test_who_reads_lines_says_what_a_warc_is(archive):
    with pytest.raises(ShardError, match="hf-curation refine"):
        list(read_texts(find_source(archive), [Span(0, 0, None)], Keys(), Rejects()))


def test_without_an_extractor_the_error_names_the_extra(archive, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "resiliparse.extract.html2text", None)
    with pytest.raises(ImportError, match=r"hf-curation\[warc\]"):
        infer_columns(find_source(archive))


def test_columns_are_known_without_reading(archive):
    assert describe_columns(infer_columns(find_source(archive))) == {"date": "string", "url": "string"}


def test_visible_text_keeps_everything_a_line_each():
    page = "<nav><ul><li>Home</li><li>About</li></ul></nav><p>Whales sing.</p><script>x()</script><footer>End</footer>"
    assert VisibleText().extract(page).split("\n") == ["  • Home", "  • About", "", "Whales sing.", "", "End"]


@pytest.mark.slow
def test_refine_takes_a_warc(archive, tmp_path, capsys):
    assert main(["refine", str(archive), str(tmp_path / "out"), "--tasks", "2", "--workers", "1", "--json"]) == 0
    summary = orjson.loads((tmp_path / "out" / "summary.json").read_bytes())
    assert summary["documents"]["in"] == 20
    assert "resiliparse" in summary["versions"]


def test_select_sends_a_warc_to_refine_before_anything_runs(archive, tmp_path, capsys):
    target = tmp_path / "target.jsonl"
    target.write_text('{"text": "whales"}\n')
    for raw, towards in ((archive, target), (target, archive)):
        assert main(["select", str(raw), str(tmp_path / "out"), "--target", str(towards)]) == 1
        assert "hf-curation refine" in capsys.readouterr().err
    assert not (tmp_path / "out" / "logs").exists()
