"""The embedded tagger through the command line, and our steps inside a pipeline of datatrove's own."""

import json
from hashlib import sha256

import pytest
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.filters import LambdaFilter
from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.writers import JsonlWriter, ParquetWriter

from datatrove_steps import ReadDocuments, RefineChunks, RefineDocuments
from hf_curation.cli.main import main
from hf_curation.programs import NO_LIMITS, execute, parse_programs

PAGES = {
    "article": (
        "Home\nNews\nLogin\nShare on Facebook\n\n"
        "The ferry across the sound will not run this week, because the pier was damaged in the storm on Sunday.\n"
        "Passengers can take the bus over the bridge, which leaves every hour from the market square until late.\n\n"
        "Cookie settings\nPrivacy policy\n© 2026 The Harbour Post"
    ),
    "crlf": "Menu\r\nSearch\r\nA paragraph of text that says something about the weather.\r\nContact us\r\n",
    "no spaces": "首页\n登录\n这座老桥在去年夏天得到了修复,现在行人和自行车都可以再次通过。\n版权所有",
    "blank": "   \n",
}


@pytest.fixture
def pages(tmp_path):
    """40 pages in four kinds, as JSON lines."""
    path = tmp_path / "pages.jsonl"
    with path.open("w") as file:
        for i in range(40):
            kind = list(PAGES)[i % 4]
            file.write(
                json.dumps({"id": f"{kind} {i}", "text": PAGES[kind], "url": f"https://example.org/{i}"}) + "\n"
            )
    return path


def test_the_command_line_refines_and_every_page_replays(pages, tmp_path, capsys):
    assert main(["refine", str(pages), str(tmp_path / "out"), "--tasks", "3", "--workers", "2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["documents"]["in"] == 40 == sum(facts["documents"].values()) - 40
    assert facts["quarantined"] == {"empty_text": 10}
    docs = list(ReadDocuments(tmp_path / "out").run())
    assert len(docs) + facts["documents"]["dropped"] == 30
    for doc in docs:
        original = PAGES[doc.id.rpartition(" ")[0]]
        assert doc.metadata["original_sha256"] == sha256(original.encode()).hexdigest()
        again = execute(original, parse_programs(doc.metadata["chunk_program"]), limits=NO_LIMITS)
        assert again.text == doc.text
        assert doc.metadata["url"].startswith("https://example.org/")
    article = next(doc for doc in docs if doc.id == "article 0")
    assert "The ferry across the sound" in article.text
    assert "Share on Facebook" not in article.text


def test_our_steps_in_the_middle_of_datatroves_pipeline(pages, tmp_path):
    executor = LocalPipelineExecutor(
        [
            JsonlReader(str(pages.parent), glob_pattern="pages.jsonl", add_file_path=False),
            LambdaFilter(lambda doc: not doc.id.endswith("7")),
            RefineDocuments("tagger", exclusion_writer=JsonlWriter(str(tmp_path / "dropped"), compression=None)),
            RefineChunks("tagger", batch_size=3, quarantine=tmp_path / "quarantine"),
            LambdaFilter(lambda doc: len(doc.text) > 10),
            ParquetWriter(str(tmp_path / "out"), expand_metadata=True),
        ],
        tasks=2,
        workers=2,
        logging_dir=str(tmp_path / "logs"),
    )
    stats = executor.run()
    chunks = next(stat for stat in stats.stats if "Refine chunks" in stat.name).stats
    assert (
        chunks["total"].total
        == chunks["forwarded"].total
        == chunks["kept"].total + chunks["edited"].total + chunks["fallback"].total
    )
    docs = list(ReadDocuments(tmp_path / "out").run())
    assert 0 < len(docs) <= 36
    for doc in docs:
        original = PAGES[doc.id.rpartition(" ")[0]]
        assert execute(original, parse_programs(doc.metadata["chunk_program"]), limits=NO_LIMITS).text == doc.text
