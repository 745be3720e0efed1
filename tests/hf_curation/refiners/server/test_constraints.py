"""Grammars in the words of each server: what GBNF admits is what the Lark grammar admits."""

import pytest

from hf_curation.programs.grammar import grammar
from hf_curation.programs.model import Dialect, Scope
from hf_curation.refiners.base import Stage, Window
from hf_curation.refiners.server.constraints import constraint_body, to_gbnf

CASES = [
    (Dialect.PROX, Stage.CHUNK),
    (Dialect.PROX, Stage.DOCUMENT),
    (Dialect.REFINEX, Stage.CHUNK),
    (Dialect.ULTRAX, Stage.CHUNK),
]


@pytest.mark.parametrize(("dialect", "stage"), CASES)
def test_every_rule_that_gbnf_names_is_there(dialect: Dialect, stage: Stage) -> None:
    gbnf = to_gbnf(grammar(dialect, stage, first_line=3, last_line=120))
    names = [line.split(" ::= ")[0] for line in gbnf.splitlines()]
    assert names[0] == "root"
    assert len(set(names)) == len(names)
    for line in gbnf.splitlines():
        bare = _without_literals(line.split(" ::= ")[1])
        assert set(bare.replace("(", " ").replace(")", " ").replace("*", "").replace("?", "").split()) - {"|"} <= set(
            names
        )


PROGRAMS = [
    "keep_chunk()",
    "remove_lines(line_start=3, line_end=12)",
    "remove_lines(line_start=2, line_end=12)",
    "remove_lines(line_start=3, line_end=13)",
    "remove_lines(line_start=03, line_end=12)",
    "remove_lines(all=True)\nremove_lines(line_start=5, line_end=5)",
    "keep_chunk()\nremove_lines(line_start=5, line_end=5)",
    'normalize(source_str="a \\"b\\", (c)=d", target_str="")',
    "normalize(source_str='it\\'s', target_str='x\\\\y')",
    "normalize(source_str='torn",
    "drop_doc()",
    "please remove line 3",
    "",
]


def test_gbnf_admits_what_lark_admits() -> None:
    llguidance = pytest.importorskip("llguidance")
    from llguidance.gbnf_to_lark import any_to_lark

    lark = grammar(Dialect.PROX, "chunk", first_line=3, last_line=12)
    back = any_to_lark(to_gbnf(lark))
    assert "root" in to_gbnf(lark)
    verdicts = [_admits(llguidance, lark, program) for program in PROGRAMS]
    assert [_admits(llguidance, back, program) for program in PROGRAMS] == verdicts
    assert any(verdicts)
    assert not all(verdicts)
    assert verdicts[:4] == [True, True, False, True]


def test_the_numbers_are_those_of_the_window() -> None:
    window = Window("context\nowned\nowned", 6, Scope(8, 19, 7))
    body = constraint_body("vllm", Dialect.PROX, Stage.CHUNK, window)
    assert body["structured_outputs"]["grammar"] == grammar(Dialect.PROX, "chunk", first_line=7, last_line=8)
    assert constraint_body("none", Dialect.PROX, Stage.CHUNK, window) == {}


def _without_literals(body: str) -> str:
    import re

    body = re.sub(r'"(?:[^"\\]|\\.)*"', "", body)
    return re.sub(r"\[(?:[^\]\\]|\\.)*\](?:\{\d+(?:,\d*)?\})?", "", body)


def _admits(llguidance: object, lark: str, program: str) -> bool:
    """Whether the grammar admits exactly `program`, byte by byte."""
    from llguidance import LLMatcher, LLTokenizer

    tokenizer = LLTokenizer("byte")
    matcher = LLMatcher(tokenizer, LLMatcher.grammar_from_lark(lark))
    assert not matcher.is_error(), matcher.get_error()
    tokens = tokenizer.tokenize_str(program)
    return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()
