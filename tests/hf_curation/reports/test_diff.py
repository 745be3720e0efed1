import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs.execute import execute
from hf_curation.programs.model import AddLine, Edit, Program, RemoveLines, ReplaceString
from hf_curation.reports.diff import MAX_FOLDED_LINES, MAX_SEGMENT, annotate, diff, fold


def spell(lines):
    """Lines as `sign number text`, with [-removed-] and {+put in+}."""
    signs = {"kept": " ", "removed": "-", "changed": "~", "added": "+"}
    marks = {"keep": "{}", "del": "[-{}-]", "ins": "{{+{}+}}", "gap": "<{}>"}
    return [
        f"{signs[line.kind]}{'' if line.number is None else line.number} "
        + "".join(marks[segment.kind].format(segment.text) for segment in line.segments)
        for line in lines
    ]


def annotated(text, *calls):
    return spell(annotate(text, execute(text, Program(calls)).edits))


def test_removed_lines_and_replaced_strings_stand_out():
    text = "Menu\nWhales sing.\nShare\nCall 555 now."
    calls = RemoveLines(0, 0), RemoveLines(2, 2), ReplaceString("555", "us")
    assert annotated(text, *calls) == ["-0 [-Menu-]", " 1 Whales sing.", "-2 [-Share-]", "~3 Call [-555-]{+us+} now."]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_end_where_the_executor_ends_them(newline):
    text = newline.join(["a", "", "b\x0c\x85\u2028c", "d", ""])
    assert annotated(text, RemoveLines(1, 1), RemoveLines(3, 3)) == [
        " 0 a",
        "-1 ",
        " 2 b\x0c\x85\u2028c",
        "-3 [-d-]",
        " 4 ",
    ]


def test_the_last_line_goes_with_the_break_before_it():
    assert annotated("a\nb", RemoveLines(1, 1)) == [" 0 a", "-1 [-b-]"]
    assert annotated("a\n", RemoveLines(1, 1)) == [" 0 a", "-1 "]
    assert annotated("a\n\nb", RemoveLines(2, 2)) == [" 0 a", " 1 ", "-2 [-b-]"]
    assert spell(annotate("\na\n", [Edit(0, 3)])) == ["-0 ", "-1 [-a-]", "-2 "]
    assert annotated("a\n\n", RemoveLines(1, 2)) == [" 0 a", "-1 ", "-2 "]
    assert annotated("", RemoveLines(0, 0)) == [" 0 "]


def test_added_lines_have_no_number():
    text = "first\nsecond"
    calls = AddLine(-1, 1, "zeroth"), AddLine(0, 1, "between"), AddLine(1, 1, "last")
    assert annotated(text, *calls) == ["+ {+zeroth+}", " 0 first", "+ {+between+}", " 1 second", "+ {+last+}"]


@st.composite
def texts_with_edits(draw):
    text = draw(st.text(alphabet="ab \n\r", max_size=40))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    edits = [
        Edit(low, high, draw(st.sampled_from(["", "x", "yy"])))
        for low, high in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    return text, [e for i, e in enumerate(edits) if (e.end > e.start or e.replacement) and _is_after(e, edits[:i])]


def _is_after(edit, earlier):
    return all(other.end < edit.start for other in earlier)


@given(texts_with_edits())
@settings(max_examples=150, deadline=None)
def test_every_character_is_shown_once_and_marked_as_the_edits_say(case):
    """Slow twin: mark character by character."""
    text, edits = case
    gone = {i for edit in edits for i in range(edit.start, edit.end)}
    starts = [0, *(m.end() for m in re.finditer(r"\r\n|\r|\n", text))]
    lines = [line for line in annotate(text, edits) if line.number is not None]
    assert [line.number for line in lines] == list(range(len(starts)))
    for line, start, following in zip(lines, starts, [*starts[1:], len(text) + 1], strict=True):
        content = re.match(r"[^\r\n]*", text[start:])[0]
        shown = [(char, s.kind == "del") for s in line.segments if s.kind != "ins" for char in s.text]
        assert shown == [(char, start + i in gone) for i, char in enumerate(content)]
        if content:
            inserted = any(e.replacement for e in edits if start <= e.start < following)
            all_gone = all(flag for _, flag in shown)
            assert (line.kind == "removed") == (all_gone and not inserted)
    shown = "".join(s.text for line in annotate(text, edits) for s in line.segments if s.kind == "ins")
    assert shown == "".join(edit.replacement for edit in edits)


def test_long_runs_keep_their_ends():
    text = "\n".join(f"line {i}" for i in range(200))
    blocks = list(fold(annotate(text, execute(text, Program((RemoveLines(0, 149),))).edits)))
    removed = blocks[:3]
    assert [block.folded for block in removed] == [False, True, False]
    assert removed[1].num_lines == 150 - len(removed[0].lines) - len(removed[2].lines)
    assert removed[1].num_chars == sum(len(f"line {i}") for i in range(4, 146))
    assert len(removed[1].lines) == MAX_FOLDED_LINES
    assert removed[1].num_hidden == removed[1].num_lines - MAX_FOLDED_LINES
    assert removed[2].lines[-1].number == 149
    short = "\n".join("abcdefgh")
    assert [len(block.lines) for block in fold(annotate(short, ()))] == [8]


@pytest.mark.parametrize("max_bytes", [0, 500, 5_000, 10**9])
def test_nothing_is_hidden_without_being_counted(max_bytes):
    text = "\n".join(f"line {i} of this page" for i in range(300))
    edits = execute(text, Program((RemoveLines(20, 40), ReplaceString("line 7 ", "row 7 ")))).edits
    shown = diff(text, edits, max_bytes=max_bytes)
    counted = shown.hidden_lines + sum(block.num_hidden + len(block.lines) for block in shown.blocks)
    assert counted == 300
    assert shown.num_bytes <= max(max_bytes, 200)
    if max_bytes == 0:
        assert shown.blocks == ()
        assert shown.hidden_chars == len(text) - 299


def test_a_line_of_megabytes_is_cut_in_the_middle_and_keeps_its_edits():
    text = "a" * 3_000_000 + "REMOVE ME" + "b" * 3_000_000
    start = text.index("R")
    (line,) = annotate(text, [Edit(start, start + 9, "new")])
    kinds = [segment.kind for segment in line.segments]
    assert kinds == ["keep", "gap", "keep", "del", "ins", "keep", "gap", "keep"]
    assert line.segments[1].text == f"… {3_000_000 - MAX_SEGMENT:,} characters not shown …"
    assert diff(text, [Edit(start, start + 9, "new")], max_bytes=10_000).num_bytes < 5_000


def test_edits_on_one_line_take_linear_time():
    text = "ab" * 20_000
    edits = [Edit(2 * i, 2 * i + 1) for i in range(20_000)]
    (line,) = annotate(text, edits)
    assert len(line.segments) == 40_000
    assert diff(text, edits, max_bytes=20_000).hidden_lines == 1
