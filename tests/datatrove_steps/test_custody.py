from hashlib import sha256

import pytest

from datatrove_steps.custody import CUSTODY_TYPES, combine_status, drop_reason, record_custody
from hf_curation.programs import execute, parse_programs
from hf_curation.programs.model import Stage
from hf_curation.refiners.refine import refine_texts

TEXT = "menu home\r\nBody of the page.\r\nAnd more of it."


def record(fake_refiner, metadata, text, stage, **kwargs):
    refined = refine_texts([text], fake_refiner(stage))[0]
    record_custody(metadata, text, refined, stage, **kwargs)
    return refined


def test_both_stages_leave_their_columns(fake_refiner):
    metadata = {"url": "https://example.org"}
    record(fake_refiner, metadata, TEXT, Stage.DOCUMENT)
    refined = record(fake_refiner, metadata, TEXT, Stage.CHUNK)
    assert metadata == {
        "url": "https://example.org",
        "original_sha256": sha256(TEXT.encode()).hexdigest(),
        "doc_program": "keep_doc()",
        "chunk_program": "remove_lines(line_start=0, line_end=0)",
        "refine_status": "edited",
        "refine_rejected": [],
        "refine_fallbacks": [],
    }
    assert metadata.keys() - {"url"} == CUSTODY_TYPES.keys()
    again = execute(TEXT, parse_programs(metadata["chunk_program"]))
    assert again.text == refined.result.text


def test_the_digest_is_of_the_text_as_it_came_first(fake_refiner):
    metadata = {}
    refined = record(fake_refiner, metadata, TEXT, Stage.CHUNK)
    record(fake_refiner, metadata, refined.result.text, Stage.CHUNK)
    assert metadata["original_sha256"] == sha256(TEXT.encode()).hexdigest()
    assert metadata["earlier_programs"] == ["remove_lines(line_start=0, line_end=0)"]
    assert metadata["chunk_program"] == "keep_chunk()"
    assert metadata["refine_status"] == "edited"


def test_reasons_of_both_stages_are_kept(fake_refiner):
    metadata = {"refine_rejected": "no list"}
    record(fake_refiner, metadata, "silent page\nbroken", Stage.DOCUMENT)
    record(fake_refiner, metadata, "menu\nbroken", Stage.CHUNK)
    assert metadata["refine_fallbacks"] == ["refiner_failed"]
    assert metadata["refine_rejected"] == ["line_out_of_range"]
    assert metadata["refine_status"] == "edited"


@pytest.mark.parametrize(
    ("before", "now", "then"),
    [
        (None, "kept", "kept"),
        ("kept", "edited", "edited"),
        ("fallback", "kept", "fallback"),
        ("fallback", "edited", "edited"),
        ("edited", "fallback", "edited"),
        ("edited", "dropped", "dropped"),
        ("dropped", "kept", "kept"),
        ("nonsense", "kept", "kept"),
    ],
)
def test_what_happened_outranks_what_was_tried(before, now, then):
    assert combine_status(before, now) == then


def test_why_a_document_is_dropped(fake_refiner):
    def reason(text, stage):
        return drop_reason(text, refine_texts([text], fake_refiner(stage))[0])

    assert reason("buy spam", Stage.DOCUMENT) == "drop_doc"
    assert reason("a page", Stage.DOCUMENT) is None
    assert reason("  \n", Stage.CHUNK) is None, "a blank page came blank"


def test_the_original_text_is_kept_when_asked_for_and_known(fake_refiner):
    metadata = {}
    refined = record(fake_refiner, metadata, TEXT, Stage.CHUNK, keep_original=True)
    record(fake_refiner, metadata, refined.result.text, Stage.CHUNK, keep_original=True)
    assert metadata["original_text"] == TEXT
    metadata = {}
    refined = record(fake_refiner, metadata, TEXT, Stage.CHUNK)
    record(fake_refiner, metadata, refined.result.text, Stage.CHUNK, keep_original=True)
    assert "original_text" not in metadata, "an edited text is not the original"
