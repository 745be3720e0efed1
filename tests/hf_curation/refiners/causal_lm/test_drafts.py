"""Guesses: what mostly followed before, and nothing where that is open."""

from hf_curation.refiners.causal_lm import drafts as drafts_module
from hf_curation.refiners.causal_lm.drafts import Drafts

END = 0


def learnt(*programs):
    drafts = Drafts()
    for program in programs:
        for at, token in enumerate(program):
            drafts.learn(program[:at], token)
    return drafts


def test_a_program_is_guessed_from_its_first_token_on():
    drafts = learnt([1, 2, 3, 4, 5, END])
    assert drafts.propose([], 9, [END]) == [1, 2, 3, 4, 5], "the end needs no reading"
    assert drafts.propose([1, 2], 9, [END]) == [3, 4, 5]
    assert drafts.propose([1, 2], 2, [END]) == [3, 4]
    assert drafts.propose([9, 2, 3, 4], 9, [END]) == [5], "the last three tokens count"
    assert drafts.propose([7], 9, [END]) == []
    assert drafts.propose([], 0, [END]) == []


def test_nothing_is_guessed_where_programs_differ():
    drafts = learnt([1, 2, 3], [1, 2, 4], [1, 2, 3])
    assert drafts.propose([], 9, [END]) == [1, 2], "2 of 3 are too few"
    drafts = learnt([1, 2, 3], [1, 2, 4], [1, 2, 3], [1, 2, 3])
    assert drafts.propose([], 9, [END]) == [1, 2, 3]


def test_memory_has_an_end(monkeypatch):
    monkeypatch.setattr(drafts_module, "MAX_CONTEXTS", 4)
    drafts = learnt([1, 2, 3], [4, 5, 6, 7], [1, 2, 3])
    assert len(drafts._followers) == 4
    assert drafts.propose([], 9, [END]) == [], "1 of 2 began with 4 or 1"
    assert drafts.propose([1], 9, [END]) == [2, 3]


def test_a_loop_is_guessed_up_to_the_limit():
    assert learnt([1, 1, 1, 1, 1, 1]).propose([1, 1, 1], 8, [END]) == [1] * 8
