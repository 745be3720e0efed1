import json
import os
import pickle

import pytest
from datatrove.data import Document
from datatrove.pipeline.writers import JsonlWriter

from datatrove_steps import refine
from datatrove_steps.ledger import Ledger
from datatrove_steps.readers import ReadDocuments
from datatrove_steps.refine import RefineChunks, RefineDocuments
from datatrove_steps.writers import WriteParquet
from hf_curation.files.accounts import ConservationError
from hf_curation.programs import execute, parse_program
from hf_curation.programs.limits import Limits
from hf_curation.programs.model import Dialect, Stage
from hf_curation.refiners.base import Draft


def documents(make_page, count=40):
    pages = [make_page(i) for i in range(count)]
    return [Document(text=page.pop("text"), id=page.pop("id"), metadata=page) for page in pages]


def run(step, docs, rank=0):
    return list(step.run(iter(docs), rank, 1))


def stats(step):
    return {name: stat.total for name, stat in step.stats.stats.items()}


def quarantined(folder):
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_chunks_are_edited_and_explained(fake_refiner, make_page):
    docs = documents(make_page)
    before = {doc.id: doc.text for doc in docs}
    step = RefineChunks(fake_refiner())
    out = run(step, docs)
    assert [doc.id for doc in out] == [f"page-{i}" for i in range(40)], "in the order in which they came"
    for i, doc in enumerate(out):
        lines = before[doc.id].split("\n")
        if i % 5 == 1 or "silent" in before[doc.id]:
            assert doc.text == before[doc.id]
            assert doc.metadata["refine_status"] in {"kept", "fallback"}
        else:
            assert doc.text == "\n".join(lines[1:])
            assert doc.metadata["refine_status"] == "edited"
        again = execute(before[doc.id], parse_program(doc.metadata["chunk_program"], Dialect.PROX))
        assert again.text == doc.text
        assert doc.metadata["url"] == f"https://example.org/{i}"


def test_documents_are_kept_or_dropped(fake_refiner, make_page, tmp_path):
    docs = documents(make_page)
    before = {doc.id: doc.text for doc in docs}
    step = RefineDocuments(fake_refiner(Stage.DOCUMENT), exclusion_writer=WriteParquet(tmp_path, is_dropped=True))
    out = run(step, docs, rank=2)
    spam = [id for id, text in before.items() if "spam" in text]
    assert [doc.id for doc in out] == [id for id in before if id not in spam]
    assert all(doc.text == before[doc.id] and doc.metadata["doc_program"] for doc in out if "silent" not in doc.text)
    dropped = list(ReadDocuments(tmp_path / "00002.parquet").run())
    assert [(doc.id, doc.text) for doc in dropped] == [(id, before[id]) for id in spam]
    assert {doc.metadata["filter_reason"] for doc in dropped} == {"drop_doc"}
    assert {doc.metadata["refine_status"] for doc in dropped} == {"dropped"}
    assert {doc.metadata["doc_program"] for doc in dropped} == {"drop_doc()"}


def test_statistics_by_reason_add_up(fake_refiner, make_page):
    step = RefineChunks(fake_refiner())
    docs = documents(make_page)
    chars_in = sum(len(doc.text) for doc in docs)
    out = run(step, docs)
    found = stats(step)
    assert found["total"] == found["forwarded"] == 40
    assert found["kept"] + found["edited"] + found["fallback"] == 40
    assert found["fallback_refiner_failed"] == found["fallback"] == sum("silent" in doc.text for doc in out)
    assert found["rejected_line_out_of_range"] == sum("broken" in doc.text for doc in out)
    assert found["total_chars_removed"] == chars_in - sum(len(doc.text) for doc in out) == 10 * found["edited"]
    assert found["total_lines_removed"] == found["edited"]
    assert found["total_prompt_tokens"] > 0
    assert found["total_output_tokens"] > 0
    assert step.stats.time_stats.unit == "batch"


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_the_size_of_batches_changes_nothing_but_speed(fake_refiner, make_page, batch_size):
    refiner = fake_refiner()
    out = run(RefineChunks(refiner, batch_size=batch_size), documents(make_page))
    assert out == run(RefineChunks(fake_refiner()), documents(make_page))
    assert max(refiner.batches) == min(batch_size, 40)


def test_batches_of_large_documents_are_small(fake_refiner, monkeypatch):
    monkeypatch.setattr("datatrove_steps.documents._BATCH_CHARS", 100)
    refiner = fake_refiner()
    run(RefineChunks(refiner), [Document(text="x" * size, id="") for size in (10, 20, 90, 5, 200, 300, 1)])
    assert refiner.batches == [3, 2, 1, 1]


def test_one_bad_document_does_not_take_its_batch_with_it(fake_refiner, make_page, tmp_path):
    docs = documents(make_page)
    bad = {5: "poison", 6: "poison too", 20: "no windows, please"}
    for i, text in bad.items():
        docs[i].text = text
    docs[30].text = 12345
    docs[31].text = "half \ud83d of a pair"
    docs[32].text = None
    step = RefineChunks(fake_refiner(), quarantine=tmp_path)
    out = run(step, docs)
    gone = {*bad, 30, 31, 32}
    assert [doc.id for doc in out] == [f"page-{i}" for i in range(40) if i not in gone]
    rows = quarantined(tmp_path)
    assert {row["id"]: row["reason"] for row in rows} == {
        "page-5": "refiner_error", "page-6": "refiner_error", "page-20": "refiner_error",
        "page-30": "text_not_string", "page-31": "lone_surrogate", "page-32": "text_not_string",
    }  # fmt: skip
    details = {row["id"]: row["detail"] for row in rows}
    assert details["page-5"] == "RuntimeError: bad page"
    kept = {row["id"]: row["text"] for row in rows}
    assert kept["page-31"] == "half \ud83d of a pair"
    assert kept["page-30"] == 12345
    assert stats(step)["quarantined_refiner_error"] == 3


def test_a_full_disk_in_the_quarantine_fails_the_rank(fake_refiner, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        run(RefineChunks(fake_refiner(), quarantine=tmp_path), [Document(text="poison", id="1")])
    assert list(tmp_path.iterdir()) == []


def test_a_refiner_that_always_fails_fails_the_rank(fake_refiner, tmp_path):
    docs = [Document(text=f"poison {i}", id=str(i)) for i in range(50)]
    with pytest.raises(RuntimeError, match="the refiner failed 20 times in a row: bad page"):
        run(RefineChunks(fake_refiner(), quarantine=tmp_path), docs)
    assert list(tmp_path.iterdir()) == [], "a failed rank publishes no quarantine"
    out = run(RefineChunks(fake_refiner(), quarantine=tmp_path), docs[:19])
    assert out == []
    assert len(quarantined(tmp_path)) == 19


def test_a_missing_extra_is_no_documents_fault(fake_refiner, tmp_path):
    class Unfinished(fake_refiner):
        def write(self, windows):
            raise ImportError("pip install 'hf-curation[refine]'")

    with pytest.raises(ImportError, match="hf-curation"):
        run(RefineChunks(Unfinished(), quarantine=tmp_path), [Document(text="a", id="1")])


def test_a_page_of_which_nothing_is_left_is_dropped_with_its_text(fake_refiner, tmp_path):
    docs = [Document(text="menu\nmenu\n \n", id="all menu"), Document(text="a page", id="page")]
    step = RefineChunks(
        fake_refiner(),
        limits=Limits(max_removed_fraction=1.0),
        exclusion_writer=WriteParquet(tmp_path, is_dropped=True),
    )
    assert [doc.id for doc in run(step, docs)] == ["page"]
    (dropped,) = ReadDocuments(tmp_path).run()
    assert (dropped.text, dropped.metadata["filter_reason"]) == ("menu\nmenu\n \n", "refined_to_nothing")
    assert stats(step)["dropped_refined_to_nothing"] == 1
    guarded = RefineChunks(fake_refiner())
    assert [doc.metadata["refine_status"] for doc in run(guarded, [Document(text="menu\nmenu", id="")])] == [
        "fallback"
    ]
    assert stats(guarded)["fallback_removed_too_much"] == 1


def test_blank_pages_pass_under_a_fallback(fake_refiner):
    out = run(RefineChunks(fake_refiner()), [Document(text=text, id="") for text in ("", "  \n\t ")])
    assert [doc.text for doc in out] == ["", "  \n\t "]
    assert [doc.metadata["refine_fallbacks"] for doc in out] == [["empty"], ["empty"]]


def test_untouched_text_comes_back_byte_for_byte(fake_refiner):
    text = "A page\r\nwith\rall kinds\u2028of\x0cbreaks\x85and\0bytes\r\n"
    (doc,) = run(RefineChunks(fake_refiner()), [Document(text=text, id="")])
    assert doc.text == text


def test_lines_removed_are_counted_as_lines_are(fake_refiner):
    step = RefineChunks(fake_refiner())
    (doc,) = run(step, [Document(text="menu\r\nbody\rmenu\rmore of the body\n", id="")])
    assert doc.text == "body\rmore of the body\n"
    assert stats(step)["total_lines_removed"] == 2


def test_both_stages_in_one_pipeline(fake_refiner, make_page):
    docs = documents(make_page)
    stream = RefineDocuments(fake_refiner(Stage.DOCUMENT)).run(iter(docs))
    for doc in RefineChunks(fake_refiner(), keep_original=True).run(stream):
        assert doc.metadata["doc_program"] or doc.metadata["refine_fallbacks"]
        assert doc.metadata["original_text"].endswith(doc.text.split("\n")[-1])


def test_a_caller_who_stops_early_gets_no_error(fake_refiner, make_page, tmp_path):
    step = RefineChunks(fake_refiner(), quarantine=tmp_path, exclusion_writer=WriteParquet(tmp_path / "x"))
    stream = step.run(iter(documents(make_page)))
    next(stream)
    stream.close()
    assert "kept" not in stats(step), "what was in flight is in nobody's account"
    assert list(tmp_path.iterdir()) == []


def test_the_law_is_checked(fake_refiner, make_page, monkeypatch):
    monkeypatch.setattr(refine, "count_refined", lambda *_: None)
    with pytest.raises(ConservationError, match="chunk: 40 documents in"):
        run(RefineChunks(fake_refiner()), documents(make_page))


def test_one_object_serves_several_ranks_in_turn(fake_refiner, make_page, tmp_path):
    step = RefineChunks(fake_refiner(), quarantine=tmp_path)
    docs = documents(make_page)
    docs[0].text = "poison"
    first = run(step, docs, rank=0)
    second = run(step, documents(make_page), rank=1)
    assert len(first) == 39
    assert second == run(RefineChunks(fake_refiner()), documents(make_page))
    assert [path.name for path in tmp_path.iterdir()] == ["chunk-00000.jsonl"]


def test_a_name_is_loaded_where_the_step_runs(fake_refiner, make_page, monkeypatch):
    loaded = []

    def load(name, *, stage, **options):
        loaded.append((name, stage, options))
        return fake_refiner(stage)

    import hf_curation.refiners.load as module

    monkeypatch.setattr(module, "load_refiner", load)
    step = RefineChunks("some-model", refiner_options={"preset": "prox-web-chunk"})
    again = pickle.loads(pickle.dumps(step))  # noqa: S301
    assert loaded == []
    run(again, documents(make_page))
    run(again, documents(make_page))
    assert loaded == [("some-model", Stage.CHUNK, {"preset": "prox-web-chunk"})] * 2
    assert len(pickle.dumps(again)) < 20_000, "nothing that was loaded sticks to the step"


def test_a_refiner_of_the_other_stage_is_refused(fake_refiner):
    with pytest.raises(ValueError, match="'fake@1' writes document programs; RefineChunks needs chunk programs"):
        RefineChunks(fake_refiner(Stage.DOCUMENT))
    with pytest.raises(ValueError, match="refiner_options go with a refiner's name"):
        RefineChunks(fake_refiner(), refiner_options={"preset": "x"})
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        RefineChunks(fake_refiner(), batch_size=0)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("org/model@1 (prox-web-chunk)", "org/model@1 (prox-web-chunk)"),
        ("/home/me/models/x (generic-chunk)", "x (generic-chunk)"),
        ("org/base + /home/me/adapter (generic-chunk)", "org/base + adapter (generic-chunk)"),
        ("./x", "x"),
    ],
)
def test_accounts_do_not_say_where_a_model_lies(fake_refiner, name, written):
    ledger = Ledger()
    page = ledger.open(0)
    run(RefineChunks(fake_refiner(name=name), ledger=ledger), [])
    assert page.refiners == {"chunk": written}


def test_an_exclusion_writer_of_datatroves(fake_refiner, make_page, tmp_path):
    writer = JsonlWriter(str(tmp_path), compression=None)
    out = run(RefineDocuments(fake_refiner(Stage.DOCUMENT), exclusion_writer=writer), documents(make_page))
    dropped = [json.loads(line) for line in (tmp_path / "00000.jsonl").read_text().splitlines()]
    assert len(dropped) + len(out) == 40
    assert {row["metadata"]["filter_reason"] for row in dropped} == {"drop_doc"}


def test_no_documents(fake_refiner, tmp_path):
    step = RefineChunks(fake_refiner(), quarantine=tmp_path, exclusion_writer=WriteParquet(tmp_path))
    assert run(step, []) == []
    assert list(step.run(None)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_down_keeps_every_page_and_says_so(fake_refiner):
    class Down(fake_refiner):
        def write(self, windows):
            return [Draft("", "error", "connection refused") for _ in windows]

    step = RefineChunks(Down())
    out = run(step, [Document(text=f"page {i}", id=str(i)) for i in range(30)])
    assert [doc.text for doc in out] == [f"page {i}" for i in range(30)]
    assert stats(step)["fallback_refiner_failed"] == stats(step)["fallback"] == 30
