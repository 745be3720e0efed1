"""Noise goes in at known places, and its program takes exactly it out again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs import NO_LIMITS, KeepAll, execute, normalize_newlines
from hf_curation.refiners.training.noise import (
    NoiseBank,
    NoiseBlock,
    NoiseRules,
    inject_noise,
    noise_blocks,
    script_of,
)

RULES = NoiseRules(untouched=0.0, head=1.0, tail=1.0, middle=1.0)


def bank_of(pages, rules=RULES, split="train", seed=0):
    bank = NoiseBank(rules, seed=seed)
    for page in pages:
        bank.add_page(page.id, page.raw, page.clean, domain=page.domain, split=split)
    bank.close()
    return bank


@pytest.fixture
def bank(gold_pages):
    return bank_of(gold_pages)


def test_blocks_are_what_the_clean_text_does_not_hold(gold_pages):
    head, tail = noise_blocks(gold_pages[0].raw, gold_pages[0].clean, RULES, domain="site0.example")
    assert (head.place, head.lines[0], len(head.lines)) == ("head", "Home | Shop | Contact of site 0", 3)
    assert (tail.place, tail.lines[-1], tail.script) == ("tail", "Privacy policy by site 0", "LATIN")
    assert not set(head.lines + tail.lines) & set(gold_pages[0].clean.split("\n"))


def test_noise_between_content_and_long_blocks():
    clean = ["The whale sang a long song in the cold water.", "The others were asleep on the beach of the island."]
    menu = [f"Menu entry {i}" for i in range(100)]
    raw = "\n".join([*menu, clean[0], "Advertisement here", clean[1], "x" * 300])
    head, middle = noise_blocks(raw, "\n".join(clean), RULES)
    assert head.lines == tuple(menu[-RULES.max_block_lines :]), "the part nearest to the content"
    assert middle.lines == ("Advertisement here",)
    assert middle.place == "middle"


def test_a_page_without_content_gives_no_noise():
    assert list(noise_blocks("Menu\nLog in", "something else entirely", RULES)) == []
    assert list(noise_blocks("Menu\nLog in", "", RULES)) == []


documents = st.lists(st.text(st.characters(codec="utf-8"), max_size=30), max_size=12).map("\n".join)


@settings(max_examples=300, deadline=None)
@given(clean=documents.filter(str.strip), name=st.text(max_size=5), seed=st.integers(0, 3))
def test_the_program_takes_exactly_the_noise_out(clean, name, seed):
    noisy = inject_noise(clean, BANK, document_id=name, seed=seed)
    assert execute(noisy.text, noisy.program, limits=NO_LIMITS).text == normalize_newlines(clean)
    added = sum(len(line) + 1 for block in noisy.blocks for line in block.lines)
    assert len(noisy.text) == len(normalize_newlines(clean)) + added


def _hostile_bank():
    bank = NoiseBank(NoiseRules(untouched=0.1, middle=0.9, max_middle=4))
    blocks = [("", "x", ""), ("\x0cpage", "two\u2028lines"), ("one",), ("العربية", "日本語"), ("remove_lines(0, 0)",)]
    for index, lines in enumerate(blocks):
        for place in ("head", "middle", "tail"):
            block = NoiseBlock(lines, place, f"d{index}.example", "LATIN")
            bank._blocks["train", place, "LATIN"].append((index / 10, f"{index}", block))
    bank.close()
    return bank


BANK = _hostile_bank()


def test_equal_seeds_give_equal_noise_whatever_the_order(gold_pages):
    one, two = bank_of(gold_pages), bank_of(gold_pages[::-1])
    texts = [inject_noise(p.clean, one, document_id=p.id, domain=p.domain, seed=3).text for p in gold_pages]
    again = [inject_noise(p.clean, two, document_id=p.id, domain=p.domain, seed=3).text for p in gold_pages[::-1]]
    other = [inject_noise(p.clean, one, document_id=p.id, domain=p.domain, seed=4).text for p in gold_pages]
    assert texts == again[::-1]
    assert texts != other


def test_noise_never_comes_from_the_own_domain(gold_pages, bank):
    for page in gold_pages:
        noisy = inject_noise(page.clean, bank, document_id=page.id, domain=page.domain)
        assert noisy.blocks
        assert page.domain not in {block.domain for block in noisy.blocks}


def test_noise_never_crosses_splits(gold_pages):
    bank = bank_of(gold_pages, split="test")
    noisy = inject_noise("A whale sang.", bank, document_id="a", split="train")
    assert (noisy.text, noisy.blocks, noisy.program.calls) == ("A whale sang.", (), (KeepAll(),))
    assert inject_noise("A whale sang.", bank, document_id="a", split="test").blocks


def test_blocks_of_the_documents_script_come_first(gold_pages):
    pages = [*gold_pages]
    greek = ["Η φάλαινα τραγούδησε για ώρες στη βαθιά θάλασσα του βορρά.", "Κανείς δεν άκουσε το τέλος της."]
    bank = NoiseBank(RULES)
    for page in pages:
        bank.add_page(page.id, page.raw, page.clean, domain=page.domain, split="train")
    raw = "\n".join(["Αρχική σελίδα", *greek, "Όλα τα δικαιώματα"])
    bank.add_page("greek", raw, "\n".join(greek), domain="greek.example", split="train")
    bank.close()
    noisy = inject_noise(greek[0], bank, document_id="another", domain="other.example")
    assert {block.script for block in noisy.blocks if block.place != "middle"} == {"GREEK"}
    thai = inject_noise("วาฬร้องเพลง", bank, document_id="thai")
    assert thai.blocks, "noise of another script is better than none"


def test_some_documents_are_left_alone(gold_pages):
    bank = bank_of(gold_pages, NoiseRules(untouched=0.5))
    untouched = [not inject_noise(p.clean, bank, document_id=p.id).blocks for p in gold_pages]
    assert 8 <= sum(untouched) <= 32
    always = bank_of(gold_pages, NoiseRules(untouched=1.0))
    assert not any(inject_noise(p.clean, always, document_id=p.id).blocks for p in gold_pages)


def test_a_full_bank_holds_the_same_blocks_in_any_order(gold_pages):
    rules = NoiseRules(max_blocks=5, untouched=0.0)
    one, two = bank_of(gold_pages, rules), bank_of(gold_pages[::-1], rules)
    assert len(one) == 10, "five heads, five tails"
    assert one._blocks == two._blocks


def test_a_blank_document_is_refused(bank):
    with pytest.raises(ValueError, match="blank"):
        inject_noise(" \n", bank, document_id="a")


@pytest.mark.parametrize(
    ("text", "script"), [("abc", "LATIN"), ("123 !", "OTHER"), ("баба abc", "CYRILLIC"), ("鯨が歌う", "CJK")]
)
def test_scripts(text, script):
    assert script_of(text) == script
