"""The grammar files: the slow twin of the parser, bounded line numbers, and what a decoder makes of them."""

import re

import lark
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs import (
    AddLine,
    Call,
    Dialect,
    DropDocument,
    KeepAll,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    Stage,
    grammar,
    parse_program,
)
from hf_curation.programs.grammar import definitions, number_range
from hf_curation.programs.literals import decode_escapes

GOOD = {
    Dialect.PROX: [
        "keep_chunk()",
        "remove_lines(line_start=7, line_end=9)",
        "remove_lines(line_start=7, line_end=10)\n",
        'normalize(source_str="a \\"b\\" c", target_str="")',
        'normalize(source_str=\'it\\\'s "quoted"\', target_str="a, (b) = c")',
        'remove_lines(all=True)\nnormalize(source_str="x")\nremove_lines(line_start=9, line_end=7)',
    ],
    Dialect.REFINEX: ["keep_all()", "remove_lines(8, 345)\n", "remove_lines(8, 10)\nremove_str(9, 'a, \"b\"')"],
    Dialect.ULTRAX: [
        "remove_all()",
        "remove_lines(8, 10)\nreplace_str(9, 'it\\'s', '')\nadd_line(7, 1, 'new')\nadd_line(10, 999, '')",
        "remove_lines(10, 11)\n",
    ],
}
BAD = {
    Dialect.PROX: [
        "",
        "keep_chunk()\n",
        "keep_doc()",
        "keep_chunk()\nremove_lines(line_start=7, line_end=9)",
        "remove_lines(line_start=6, line_end=9)",
        "remove_lines(line_start=10, line_end=10)",
        "remove_lines(line_start=7, line_end=6)",
        "remove_lines(line_start=7, line_end=9)\n\n",
        "remove_lines(line_start=07, line_end=9)",
        "remove_lines(line_start=7,line_end=9)",
        'normalize(source_str="a", b", target_str="")',
        'normalize(source_str="a", target_str=""',
    ],
    Dialect.REFINEX: ["remove_all()", "remove_lines(7, 9)", "remove_str(8, 'it's')"],
    Dialect.ULTRAX: ["add_line(6, 1, 'x')", "replace_str(8, 'a')", "remove_lines(11, 11)"],
}


def window_grammar(dialect: Dialect) -> str:
    """The grammar of a window of the lines 7 to 9 (8 to 10 where counting begins at 1)."""
    return grammar(dialect, Stage.CHUNK, first_line=7, last_line=9)


def is_derived(parser: lark.Lark, program: str) -> bool:
    try:
        parser.parse(program)
    except lark.exceptions.LarkError:
        return False
    return True


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("kind", ["lalr", "earley"])
def test_bounded_grammars_derive_what_they_should(dialect: Dialect, kind: str) -> None:
    parser = lark.Lark(window_grammar(dialect), parser=kind)
    assert [is_derived(parser, program) for program in GOOD[dialect]] == [True] * len(GOOD[dialect])
    assert [is_derived(parser, program) for program in BAD[dialect]] == [False] * len(BAD[dialect])


@pytest.mark.parametrize("dialect", Dialect)
def test_llguidance_agrees(dialect: Dialect) -> None:
    llguidance = pytest.importorskip("llguidance")
    tokenizer = llguidance.LLTokenizer("byte")

    def is_accepted(program: str) -> bool:
        matcher = llguidance.LLMatcher(tokenizer, llguidance.LLMatcher.grammar_from_lark(window_grammar(dialect)))
        tokens = tokenizer.tokenize_str(program)
        return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()

    assert [is_accepted(program) for program in GOOD[dialect]] == [True] * len(GOOD[dialect])
    assert [is_accepted(program) for program in BAD[dialect]] == [False] * len(BAD[dialect])


@pytest.mark.parametrize("dialect", Dialect)
def test_whatever_the_grammar_derives_is_read_without_a_rejection(dialect: Dialect) -> None:
    for program in GOOD[dialect]:
        parsed = parse_program(program, dialect)
        assert parsed.rejected == ()
        assert len(parsed.calls) == len(program.splitlines())


def test_the_document_stage_is_two_words() -> None:
    parser = lark.Lark(grammar("prox", "document", first_line=0, last_line=0), parser="lalr")
    assert [is_derived(parser, text) for text in ("keep_doc()", "drop_doc()", "drop_doc()\ndrop_doc()")] == [1, 1, 0]
    assert "LINE" not in grammar("prox", "document", first_line=0, last_line=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ultrax", "document", 0, 3), "ultrax dialect has no document stage"),
        (("prox", "chunk", 3, 2), "got 3 and 2"),
        (("prox", "chunk", -1, 2), "got -1 and 2"),
    ],
)
def test_impossible_windows_are_errors(arguments: tuple[str, str, int, int], message: str) -> None:
    dialect, stage, first, last = arguments
    with pytest.raises(ValueError, match=message):
        grammar(Dialect(dialect), stage, first_line=first, last_line=last)


@given(st.integers(0, 3000), st.integers(0, 500))
def test_number_range_is_exact(first: int, length: int) -> None:
    pattern = re.compile(number_range(first, first + length))
    around = range(max(0, first - 120), first + length + 1200)
    assert [n for n in around if pattern.fullmatch(str(n))] == list(range(first, first + length + 1))
    assert not pattern.fullmatch(f"0{first}")


@given(st.integers(0, 10**8), st.integers(0, 10**8))
def test_number_range_stays_short(first: int, length: int) -> None:
    pattern = number_range(first, first + length)
    assert len(pattern) < 500
    assert re.fullmatch(pattern, str(first))
    assert re.fullmatch(pattern, str(first + length))
    assert not re.fullmatch(pattern, str(first + length + 1))


class Twin(lark.Transformer):  # type: ignore[type-arg]
    """Makes calls of a lark tree: written apart from the parser, from the dialects' descriptions."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__()
        self.base = 0 if dialect is Dialect.PROX else 1
        self.is_plain = dialect is Dialect.PROX

    def _string(self, token: str) -> str:
        return token[1:-1] if self.is_plain and token[0] == '"' else decode_escapes(token[1:-1])

    def keep_doc(self, _: list[str]) -> Call:
        return KeepAll(document=True)

    def drop_doc(self, _: list[str]) -> Call:
        return DropDocument()

    def keep_chunk(self, _: list[str]) -> Call:
        return KeepAll()

    keep_all = keep_chunk

    def remove_all(self, _: list[str]) -> Call:
        return RemoveAll()

    def remove_lines(self, tokens: list[str]) -> Call:
        return RemoveLines(*(int(token) - self.base for token in tokens))

    def normalize(self, tokens: list[str]) -> Call:
        return ReplaceString(*map(self._string, tokens))

    def remove_str(self, tokens: list[str]) -> Call:
        return ReplaceString(self._string(tokens[1]), "", int(tokens[0]) - 1)

    def replace_str(self, tokens: list[str]) -> Call:
        return ReplaceString(self._string(tokens[1]), self._string(tokens[2]), int(tokens[0]) - 1)

    def add_line(self, tokens: list[str]) -> Call:
        return AddLine(int(tokens[0]) - 1, int(tokens[1]), self._string(tokens[2]))


@pytest.fixture(scope="module", params=list(Dialect))
def twin(request: pytest.FixtureRequest) -> tuple[Dialect, lark.Lark, list[st.SearchStrategy[str]]]:
    """A dialect, a LALR parser made from its file, and strategies for one line of each of its calls."""
    dialect = request.param
    rules = definitions(dialect)
    calls = [name for name, body in rules.items() if name.islower() and body.startswith('"')]
    text = "\n".join(f"{name}: {body}" for name, body in rules.items() if name not in ("document", "chunk", "edit"))
    text = f'start: call (NEWLINE call)*\ncall: {" | ".join(calls)}\nNEWLINE: "\\n"\n{text}'
    return dialect, lark.Lark(text, parser="lalr"), [_sample(rules, name) for name in calls]


def _sample(rules: dict[str, str], name: str) -> st.SearchStrategy[str]:
    """Return a strategy for the lines of one call, straight from its rule."""
    parts = re.findall(r'"((?:[^"\\]|\\.)*)"|([A-Z]+)', rules[name])
    return st.tuples(*(st.just(literal) if literal else _terminal(rules, ref) for literal, ref in parts)).map("".join)


def _terminal(rules: dict[str, str], name: str) -> st.SearchStrategy[str]:
    if " | " in rules[name] and "/" not in rules[name]:
        return st.one_of(*(_terminal(rules, part) for part in rules[name].split(" | ")))
    return st.from_regex(rules[name].strip("/"), fullmatch=True)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_parser_agrees_with_a_lark_parser_of_the_same_file(
    twin: tuple[Dialect, lark.Lark, list[st.SearchStrategy[str]]], data: st.DataObject
) -> None:
    dialect, parser, lines = twin
    program = "\n".join(data.draw(st.lists(st.one_of(*lines), min_size=1, max_size=4)))
    tree = Twin(dialect).transform(parser.parse(program))
    parsed = parse_program(program, dialect)
    assert parsed.rejected == ()
    assert list(parsed.calls) == [child.children[0] for child in tree.children if isinstance(child, lark.Tree)]
