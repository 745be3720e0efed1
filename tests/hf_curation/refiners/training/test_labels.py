"""What is read from a teacher's answers: scores, programs, copies; and above all what is not."""

import pytest

from hf_curation.programs import DropDocument, KeepAll, Program, RemoveLines, ReplaceString, Scope, execute
from hf_curation.refiners.base import Draft, Window
from hf_curation.refiners.training.asked import TASKS, AskedRules, ask_programs, merge_answers, task_presets
from hf_curation.refiners.training.rewrite import RewriteRules, longest_insertion, read_rewrite
from hf_curation.refiners.training.scores import ScoreRule, judge_windows, read_score, score_presets

VALUE, FORM = score_presets(2000)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("It is fine.\nEducational value: 3", 3),
        ("Educational value: 0", 0),
        ("**Educational value:** 4", 4),
        ("**Educational value: 4**", 4),
        ("educational value : 2", 2),
        ("Educational value score: 5/5.", 5),
        ("Educational value: 3\n...\nEducational value: 3", 3),
        ("Educational value: n would be wrong.\nEducational value: 1", 1),
        ("Educational value: 3/10", "teacher_unreadable"),
        ("Educational value: 3.5", "teacher_unreadable"),
        ("Educational value: 7", "teacher_unreadable"),
        ("Educational value: 35", "teacher_unreadable"),
        ("Educational value: -1", "teacher_unreadable"),
        ("Educational value: 2\nEducational value: 4", "teacher_unreadable"),
        ("Format: 3", "teacher_unreadable"),
        ("I would say 3", "teacher_unreadable"),
        ("", "teacher_unreadable"),
        ('{"score": 3}', "teacher_unreadable"),
    ],
)
def test_scores_are_read_or_not_at_all(text, score):
    assert read_score(Draft(text), VALUE) == score


def test_cut_and_failed_answers():
    assert read_score(Draft("Educational value: 3", "length"), VALUE) == 3
    assert read_score(Draft("It is", "length"), VALUE) == "teacher_cut"
    assert read_score(Draft("", "error", "timeout"), VALUE) == "teacher_failed"


def test_the_rule_of_the_paper():
    rule = ScoreRule()
    kept = {(value, form) for value in range(6) for form in range(6) if rule.keeps(value, form)}
    assert kept == {(v, f) for v in (3, 4, 5) for f in range(6)} | {(2, 4), (2, 5)}
    assert not ScoreRule(min_educational=6, borderline=6).keeps(5, 5)
    with pytest.raises(ValueError, match="0 to 6"):
        ScoreRule(min_format=7)


def test_pages_are_judged_by_two_questions(server, answers, teacher, window_of):
    scores = {"good": (4, 1), "fair": (2, 4), "poor": (2, 3), "odd": (3, 9)}

    def script(seen):
        value, form = next(pair for name, pair in scores.items() if f"a {name} page" in seen.prompt)
        is_value = "Educational value: n" in seen.prompt
        return answers(f"Because.\nEducational value: {value}" if is_value else f"Format: {form}", chat=True)

    server.script = script
    found = judge_windows(teacher(), [window_of(f"a {name} page") for name in scores], (VALUE, FORM), ScoreRule())
    keep, drop = Program((KeepAll(document=True),)), Program((DropDocument(),))
    assert found == [keep, keep, drop, "teacher_unreadable"]
    assert len(server.seen) == 8


PAGE = "\n".join(["Home | Shop", "Whales sing at http://a.example/x?y=1 in the sea.", "They do.", "© 2020 Us", "end"])
WINDOW = Window(PAGE, 0, Scope(0, len(PAGE), 0))
NAVIGATION = "remove_lines(line_start=0, line_end=0)"
LINKS = 'normalize(source_str=" at http://a.example/x?y=1", target_str="")'
FOOTERS = "remove_lines(line_start=3, line_end=3)"


def merged(navigation="keep_chunk()", links="keep_chunk()", footers="keep_chunk()", **rules):
    answers = [one if isinstance(one, Draft) else Draft(one) for one in (navigation, links, footers)]
    return merge_answers(PAGE, WINDOW, dict(zip(TASKS, answers, strict=True)), AskedRules(**rules))


def test_three_answers_become_one_program():
    program = merged(NAVIGATION, LINKS, FOOTERS)
    assert program.calls == (RemoveLines(0, 0), RemoveLines(3, 3), ReplaceString(" at http://a.example/x?y=1"))
    assert execute(PAGE, program).text == "Whales sing in the sea.\nThey do.\nend"


def test_nothing_to_do_is_a_label():
    assert merged().calls == (KeepAll(),)


def test_overlapping_answers_are_merged():
    assert merged("remove_lines(0, 1)", LINKS, "remove_lines(1, 1)", max_task_fraction=1.0).calls == (
        RemoveLines(0, 1),
    )


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({"navigation": Draft("", "error", "timeout")}, "teacher_failed"),
        ({"links": Draft(LINKS, "length")}, "teacher_cut"),
        ({"footers": ""}, "teacher_unreadable"),
        ({"footers": "There is no footer here."}, "teacher_unreadable"),
        ({"footers": f"Sure! Here it is:\n{FOOTERS}"}, "teacher_unreadable"),
        ({"navigation": LINKS}, "teacher_off_task"),
        ({"links": NAVIGATION}, "teacher_off_task"),
        ({"links": 'normalize(source_str="They do.", target_str="They did.")'}, "teacher_off_task"),
        ({"navigation": "drop_doc()"}, "teacher_off_task"),
        ({"navigation": "remove_lines(line_start=7, line_end=9)"}, "teacher_not_executed"),
        ({"links": 'normalize(source_str="invented", target_str="")'}, "teacher_not_executed"),
        ({"links": 'normalize(source_str="in", target_str="")'}, "teacher_not_executed"),
        ({"navigation": f"{NAVIGATION}\nkeep_chunk()"}, "teacher_not_executed"),
        ({"navigation": "remove_lines(line_start=0, line_end=3)"}, "teacher_removed_too_much"),
    ],
)
def test_an_answer_that_is_not_taken(answers, reason):
    assert merged(**answers) == reason


def test_windows_of_a_later_part_of_the_page(server, answers, teacher):
    start = PAGE.index("They do.")
    window = Window(PAGE[start:], 2, Scope(start, len(PAGE), 2))
    server.script = lambda seen: answers(
        "remove_lines(line_start=3, line_end=3)" if "copyright and contact" in seen.prompt else "keep_chunk()",
        chat=True,
    )
    (program,) = ask_programs(teacher(), [PAGE], [window], task_presets(500), AskedRules())
    assert program == Program((RemoveLines(3, 3),), scope=window.scope)
    assert all("[002]They do.\n[003]" in seen.prompt for seen in server.seen)


def read(copy, window=WINDOW, finish_reason="stop", **rules):
    return read_rewrite(window, Draft(copy, finish_reason), RewriteRules(**rules))


CLEAN = "Whales sing in the sea.\nThey do.\nend"


@pytest.mark.parametrize("wrap", ["{}", "\n{}\n", "```\n{}\n```", "```text\n{}\n```", "[doc]\n{}\n[/doc]"])
def test_a_copy_becomes_a_program(wrap):
    program = read(wrap.format(CLEAN))
    assert execute(PAGE, program).text == CLEAN
    assert RemoveLines(0, 0) in program.calls


def test_copies_that_say_everything_or_nothing():
    assert read(f"{PAGE}\n").calls == (KeepAll(),)
    assert read("[nothing]").calls == (RemoveLines(0, 4),)


@pytest.mark.parametrize(
    ("copy", "finish_reason", "reason"),
    [
        ("", "stop", "teacher_unreadable"),
        ("```\n```", "stop", "teacher_unreadable"),
        ("Whales sing", "length", "teacher_cut"),
        ("", "error", "teacher_failed"),
        (f"Here is the cleaned text of the page:\n{CLEAN}", "stop", "inserted_too_much"),
        (f"{CLEAN}\nThe humpback is the best known singer.", "stop", "inserted_too_much"),
        ("Les baleines chantent dans la mer.", "stop", "inserted_too_much"),
        ("sea the They do sing in Whales end", "stop", "low_agreement"),
    ],
)
def test_a_copy_that_is_no_label(copy, finish_reason, reason):
    assert read(copy, finish_reason=finish_reason) == reason


def test_small_deletions_stay_out_of_the_program():
    page = "The whale, oh, sang for hours in the deep sea.\nIt was heard far away by ships. (opens in a new tab)"
    window = Window(page, 0, Scope(0, len(page), 0))
    copy = "The whale sang for hours in the deep sea.\nIt was heard far away by ships."
    (call,) = read(copy, window).calls
    assert "(opens in a new tab)" in call.source
    assert len(read(copy, window, min_deleted_chars=0).calls) == 2


def test_a_copy_of_a_later_window_counts_lines_of_the_page():
    start = PAGE.index("They do.")
    window = Window(PAGE[start:], 2, Scope(start, len(PAGE), 2))
    program = read("They do.\nend", window)
    assert program == Program((RemoveLines(3, 3),), scope=window.scope)
    assert execute(PAGE, program).text == PAGE.replace("© 2020 Us\n", "")


def test_context_lines_are_not_part_of_the_label():
    start = PAGE.index("© 2020")
    window = Window(PAGE, 0, Scope(start, len(PAGE), 3))
    assert read("Whales sing in the sea.\nThey do.\nend", window).calls == (RemoveLines(3, 3),)


@pytest.mark.parametrize(
    ("raw", "copy", "longest"),
    [("a b c", "a b c", 0), ("a b c d e f", "a b NEW words c d e f", 9), ("", "abc", 3), ("abc", "", 0)],
)
def test_insertions_are_measured_in_characters(raw, copy, longest):
    assert longest_insertion(raw, copy) == longest
