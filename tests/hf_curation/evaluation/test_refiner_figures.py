"""The table of a refiner: bounds that must hold exactly, figures computed by hand, and a slow twin."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.evaluation.refiner_figures import Agreement, EvaluationSet, removed_lines
from hf_curation.evaluation.refiner_table import format_table
from hf_curation.programs import NO_LIMITS, Dialect, Edit, Program, RemoveLines, execute, split_lines
from hf_curation.refiners.base import Draft, Stage
from hf_curation.refiners.baselines import KeepEverything, LineOracle

PAGES = [
    GoldPage(
        f"p{i}",
        f"Menu {i}\r\nWhale {i} sings for hours in the deep.\r\n\r\nNobody hears the end of song {i}.\nImprint {i}",
        f"Whale {i} sings for hours in the deep.\n\nNobody hears the end of song {i}.",
    )
    for i in range(6)
]
JUNK = [GoldPage("cookies", "Accept all cookies\nLog in", ""), GoldPage("blank", " ", ""), GoldPage("open", "?", None)]


@pytest.fixture(scope="module")
def data():
    return EvaluationSet([*PAGES, *JUNK])


class Scripted(KeepEverything):
    """Writes what it is told for each page in turn."""

    name = "scripted"

    def __init__(self, drafts, stage=Stage.CHUNK):
        super().__init__(stage)
        self.drafts = drafts

    def write(self, windows):
        return [self.drafts[i % len(self.drafts)] for i in range(len(windows))]


def test_what_counts(data):
    assert (len(data.pages), len(data.junk), data.num_unjudged) == (6, 1, 1)
    with pytest.raises(ValueError, match="none of 3 pages"):
        EvaluationSet(JUNK)


def test_keep_all_is_the_zero(data):
    figures = data.evaluate(KeepEverything(), doc_refiner=KeepEverything(Stage.DOCUMENT))
    assert figures.valid_programs == 1
    assert figures.lines == Agreement(0, 0, 12)
    assert (figures.lines.precision, figures.lines.recall, figures.lines.f1) == (None, 0, 0)
    assert (figures.gain.mean, figures.gain.low, figures.gain.high) == (0, 0, 0)
    assert figures.over_deletion == figures.clean_dropped == 0
    assert figures.documents == Agreement(0, 0, 1)
    assert figures.documents.f1 == 0


def test_the_oracle_is_the_bound(data):
    figures = data.evaluate(LineOracle(data.pairs), doc_refiner=LineOracle(data.pairs, Stage.DOCUMENT))
    assert figures.lines == Agreement(12, 0, 0)
    assert figures.word_f1.mean == 1
    assert figures.gain.low > 0
    assert figures.over_deletion == figures.clean_dropped == 0
    assert (figures.documents.precision, figures.documents.recall, figures.documents.f1) == (1, 1, 1)


def test_figures_by_hand(data):
    drafts = [
        Draft("remove_lines(line_start=0, line_end=1)", prompt_tokens=10, output_tokens=4),  # one right, one wrong
        Draft("Sorry, I cannot do that."),
        Draft("remove_lines(line_start=4, line_end=4", "length"),
        Draft("", "error", "timeout"),
        Draft('normalize(source_str="Menu 4", target_str="")'),  # no line is removed whole by name, but it is gone
        Draft("remove_lines(line_start=4, line_end=4)\nremove_lines(line_start=99, line_end=99)"),
    ]
    figures = data.evaluate(Scripted(drafts), doc_refiner=Scripted([Draft("drop_doc()")], Stage.DOCUMENT))
    assert figures.valid_programs == pytest.approx(3 / 6)
    assert figures.lines == Agreement(right=3, wrong=1, missed=9)
    assert figures.rejected_calls == {"prose": 1, "torn_call": 1, "line_out_of_range": 1}
    assert figures.fallbacks == {"unparsed": 2, "refiner_failed": 1}
    assert (figures.prompt_tokens, figures.output_tokens) == (10, 4)
    assert figures.documents == Agreement(1, 6, 0)
    assert figures.clean_dropped == 1
    plain = figures.as_dict()
    assert plain["lines"]["precision"] == 0.75
    assert plain["documents"]["f1"] == pytest.approx(2 / 8)
    assert plain["pages_per_s"] > 0


def test_over_deletion_is_measured_on_clean_text(data):
    figures = data.evaluate(Scripted([Draft("remove_lines(line_start=0, line_end=0)")]))
    clean = "".join(page.clean for page in PAGES)
    lost = "".join(page.clean.split("\n")[0] for page in PAGES)
    share = len("".join(lost.split())) / len("".join(clean.split()))
    assert figures.over_deletion == pytest.approx(share)
    assert figures.documents is None


def test_a_data_set_without_junk_scores_no_drops():
    figures = EvaluationSet(PAGES).evaluate(KeepEverything(), doc_refiner=KeepEverything(Stage.DOCUMENT))
    assert figures.documents.f1 is None
    assert "dropped pages: F1" in "\n".join(format_table([figures]))


def test_the_table_has_a_column_a_refiner(data):
    figures = [data.evaluate(KeepEverything()), data.evaluate(LineOracle(data.pairs))]
    head, *rows = format_table(figures)
    assert head.split() == ["keep-all", "oracle"]
    assert len({len(line) for line in (head, *rows)}) == 1, "columns are aligned"
    (f1,) = [row for row in rows if row.startswith("word F1")]
    assert "1.000 (1.000, 1.000)" in f1


def test_the_oracle_knows_only_what_it_was_told():
    with pytest.raises(ValueError, match="was not told"):
        LineOracle([]).write(KeepEverything().windows("a page"))


def slow_removed_lines(text, edits):
    """Mark every character that an edit takes, then look at each line's."""
    gone = {i for edit in edits for i in range(edit.start, edit.end)}
    result, at = [], 0
    for line in split_lines(text):
        visible = [i for i, char in enumerate(line, at) if not char.isspace()]
        result.append(bool(visible) and all(i in gone for i in visible))
        at += len(line)
        at += 2 if text[at : at + 2] == "\r\n" else 1
    return result


@settings(max_examples=200, deadline=None)
@given(
    lines=st.lists(st.sampled_from(["a b", "", " ", "word", "x\x0cy"]), min_size=1, max_size=9), seed=st.integers(0, 9)
)
def test_removed_lines_match_the_slow_twin(lines, seed):
    rng = random.Random(seed)  # noqa: S311
    text = "".join(line + rng.choice(["\n", "\r\n", "\r"]) for line in lines)
    cuts = sorted(rng.sample(range(len(text) + 1), min(4, len(text) + 1) // 2 * 2))
    edits = [Edit(start, end) for start, end in zip(cuts[::2], cuts[1::2], strict=True)]
    assert removed_lines(text, edits) == slow_removed_lines(text, edits)


def test_an_edit_inside_a_line_removes_none():
    text = "Menu here\nWhales"
    assert removed_lines(text, [Edit(0, 4)]) == [False, False]
    assert removed_lines(text, [Edit(0, 9)]) == [True, False]
    removed = execute(text, Program((RemoveLines(1, 1),)), limits=NO_LIMITS)
    assert removed_lines(text, removed.edits) == [False, True]
    assert KeepEverything.dialect == Dialect.PROX
