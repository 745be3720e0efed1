"""What may not become an example, whoever labelled it; and that every window is accounted for."""

import pytest

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.files.accounts import ConservationError
from hf_curation.programs import (
    DropDocument,
    KeepAll,
    Limits,
    Program,
    RemoveLines,
    ReplaceString,
    Scope,
    Stage,
)
from hf_curation.refiners.base import Window
from hf_curation.refiners.prompts import PRESETS
from hf_curation.refiners.training.gates import EXCLUSIONS, GatedSet, SetAccount, why_wrong
from hf_curation.refiners.training.labels import Labelled
from hf_curation.refiners.training.splits import SplitRule

TEXT = "Menu\nWhales sing for hours.\nNobody hears them.\nThe end"
PRESET = PRESETS["generic-chunk"]


def page(number=0, domain="train.example"):
    return GoldPage(f"p/{number}", TEXT, "x", f"https://{domain}/{number}")


def labelled(*calls, text=TEXT, expected=None, number=0, domain="train.example"):
    window = Window(text, 0, Scope(0, len(text), 0))
    return Labelled(page(number, domain), "pair", text, [window], [Program(calls, scope=window.scope)], expected)


@pytest.fixture
def gated():
    return GatedSet(split=SplitRule(), limits=Limits(), count=lambda texts: [len(t) for t in texts])


def add(gated, outcome, *, longest=200):
    gated.add("pair", outcome, PRESET, max_program_tokens=longest)


def test_a_good_label_passes(gated):
    add(gated, labelled(RemoveLines(0, 0), expected=TEXT[5:]))
    (example,) = gated.finish(max_keep_share=0.5)
    assert example.program == "remove_lines(line_start=0, line_end=0)"
    assert gated.account.windows == gated.account.examples == 1


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [
        (labelled(RemoveLines(0, 0), expected="something else"), "not_replayed"),
        (labelled(RemoveLines(7, 9)), "not_executed"),
        (labelled(ReplaceString("absent text")), "not_executed"),
        (labelled(ReplaceString("e")), "not_executed"),
        (labelled(DropDocument()), "not_executed"),
        (labelled(RemoveLines(0, 0), KeepAll()), "not_executed"),
        (labelled(RemoveLines(0, 3)), "removed_too_much"),
        (labelled(ReplaceString("Whales\nsing")), "not_executed"),
        (labelled(KeepAll(), text=" \n "), "not_executed"),
        (labelled(*[RemoveLines(i, i) for i in (0, 2)] * 3), "program_too_long"),
    ],
)
def test_a_bad_label_does_not(gated, outcome, reason):
    add(gated, outcome)
    assert gated.finish(max_keep_share=0.5) == []
    assert dict(gated.account.windows_excluded) == {reason: 1}


def test_a_program_that_does_not_print_and_parse(gated):
    from hf_curation.programs import AddLine

    add(gated, labelled(AddLine(0, 1, "new")))  # ProX has no such call
    assert gated.finish(max_keep_share=0.5) == []
    assert set(gated.account.windows_excluded) == {"not_parsed"}


def test_equal_windows_of_other_pages_are_one_example(gated):
    add(gated, labelled(RemoveLines(0, 0)))
    add(gated, labelled(RemoveLines(0, 0), number=1, domain="mirror.example"))
    assert len(gated.finish(max_keep_share=0.5)) == 1
    assert gated.account.windows_excluded["duplicate"] == 1


def test_one_bad_window_leaves_the_others(gated):
    first, second = Window("Menu", 0, Scope(0, 4, 0)), Window(TEXT[5:], 1, Scope(5, len(TEXT), 1))
    programs = [Program((RemoveLines(0, 0),), scope=first.scope), "teacher_cut"]
    add(gated, Labelled(page(), "teacher_programs", TEXT, [first, second], programs))
    (example,) = gated.finish(max_keep_share=0.5)
    assert example.window_text == "Menu"
    assert example.kind == "drop"
    assert dict(gated.account.windows_excluded) == {"teacher_cut": 1}


def test_training_is_balanced_and_the_rest_is_not(gated):
    rule = SplitRule()
    domains = {split: next(d for i in range(99) if rule.split_of(d := f"s{i}.example") == split) for split in
               ("train", "validation", "test")}  # fmt: skip
    number = 0
    for domain in domains.values():
        for kind in [KeepAll()] * 12 + [RemoveLines(0, 0)] * 3:
            number += 1
            add(gated, labelled(kind, text=f"{TEXT} {number}", number=number, domain=domain))
    examples = gated.finish(max_keep_share=0.5)
    kinds = {split: [e.kind for e in examples if e.split == split] for split in domains}
    assert (kinds["train"].count("keep"), kinds["train"].count("edit")) == (3, 3)
    for split in ("validation", "test"):
        assert (kinds[split].count("keep"), kinds[split].count("edit")) == (12, 3)
    assert gated.account.windows_excluded["surplus_keep"] == 9
    assert [e.split for e in examples] == sorted([e.split for e in examples], key=list(domains).index)


def test_the_result_does_not_depend_on_the_order():
    def run(numbers):
        gated = GatedSet(split=SplitRule(), limits=Limits(), count=lambda texts: [1 for _ in texts], seed=5)
        for n in numbers:
            call = RemoveLines(0, 0) if n % 3 else KeepAll()
            add(gated, labelled(call, text=f"{TEXT} {n}", number=n, domain=f"s{n}.example"))
        return gated.finish(max_keep_share=0.2)

    assert run(range(30)) == run(reversed(range(30)))


def test_pages_that_vanish_are_noticed():
    account = SetAccount(windows=3, examples=1)
    account.exclude_window("duplicate")
    with pytest.raises(ConservationError, match="3 windows, 1 examples"):
        account.check()
    account.exclude_window("duplicate")
    account.check()
    account.labellings["pair"] = 2
    account.labelled["pair"] = 1
    with pytest.raises(ConservationError, match="pair: 2 pages tried"):
        account.check()
    account.exclude_page("pair", "empty_page")
    account.check()
    with pytest.raises(AssertionError):
        account.exclude_page("pair", "no_such_reason")


def test_document_labels_pass_too():
    assert why_wrong(labelled(DropDocument()), [Program((DropDocument(),))], Stage.DOCUMENT, Limits()) is None
    assert why_wrong(labelled(), [Program((RemoveLines(0, 0),))], Stage.DOCUMENT, Limits()) == "not_executed"


def test_reasons_are_words():
    assert all(reason.replace("_", "").isalpha() and meaning for reason, meaning in EXCLUSIONS.items())
