from hashlib import sha256

import pytest

from hf_curation.programs.model import Dialect, Edit, Program, RemoveLines, ReplaceString, Scope
from hf_curation.programs.printing import print_programs
from hf_curation.reports.custody import PROBLEMS, replay_page
from hf_curation.reports.folder import Page

ORIGINAL = "menu\nWhales sing.\nfooter"


def page(**fields):
    defaults = {
        "id": "1",
        "text": "Whales sing.\nfooter",
        "status": "edited",
        "doc_program": "keep_doc()",
        "chunk_program": "remove_lines(line_start=0, line_end=0)",
        "original": ORIGINAL,
        "original_sha256": sha256(ORIGINAL.encode()).hexdigest(),
    }
    return Page(**{**defaults, **fields})


def test_a_page_that_follows_from_its_program():
    replay = replay_page(page())
    assert (replay.checked, replay.problem, replay.edits) == (True, None, (Edit(0, 5),))
    assert replay.operations == {"keep": 1, "remove lines": 1}


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"text": "Whales sing!\nfooter"}, "text_differs"),
        ({"chunk_program": ""}, "text_differs"),
        ({"chunk_program": "remove_lines(line_start=0, line_end=1)"}, "text_differs"),
        ({"original": ORIGINAL + " "}, "hash_differs"),
        ({"doc_program": "drop_doc()"}, "kept_against_program"),
        ({"status": "dropped", "text": ORIGINAL}, "dropped_without_program"),
        ({"status": "dropped", "doc_program": "drop_doc()", "text": ORIGINAL}, None),
        ({"status": "dropped", "chunk_program": "remove_lines(line_start=0, line_end=2)"}, None),
        (
            {"chunk_program": "# prox chunk 0:99 line 0\nremove_lines(line_start=0, line_end=0)"},
            "program_does_not_fit",
        ),
        ({"chunk_program": "not a program at all <script>"}, "text_differs"),
        ({"chunk_program": "", "doc_program": "", "text": ORIGINAL, "status": "kept"}, None),
        ({"original_sha256": None}, None),
    ],
)
def test_what_does_not_follow_is_found(fields, problem):
    replay = replay_page(page(**fields))
    assert replay.checked
    assert replay.problem == problem
    assert problem is None or problem in PROBLEMS


def test_guards_of_the_run_do_not_bind_a_replay():
    text = "\n".join("noise" for _ in range(99)) + "\nkept"
    programs = [Program((RemoveLines(0, 98), ReplaceString("kept", "k" * 5000)))]
    program = print_programs(programs, Dialect.PROX)
    result = replay_page(page(original=text, original_sha256=None, chunk_program=program, text="k" * 5000))
    assert result.problem is None


def test_without_the_original_there_is_nothing_to_check():
    replay = replay_page(page(original=None))
    assert (replay.checked, replay.problem, replay.edits) == (False, None, ())
    assert replay.operations["remove lines"] == 1


def test_scopes_and_dialects_are_read_from_the_program():
    programs = [
        Program((RemoveLines(0, 0),), scope=Scope(0, 5, 0)),
        Program((ReplaceString("foot", "", 2),), scope=Scope(5, len(ORIGINAL), 1)),
    ]
    custody = print_programs(programs, Dialect.REFINEX)
    replay = replay_page(page(chunk_program=custody, text="Whales sing.\ner"))
    assert (replay.problem, replay.first_number) == (None, 1)
    assert replay_page(page()).first_number == 0


def test_a_page_that_went_through_a_stage_twice_is_replayed_in_order():
    earlier = ("keep_doc()", "remove_lines(line_start=0, line_end=0)")
    second = page(
        earlier_programs=earlier, chunk_program="remove_lines(line_start=1, line_end=1)", text="Whales sing."
    )
    replay = replay_page(second)
    assert (replay.problem, replay.is_chained, replay.edits) == (None, True, ())
