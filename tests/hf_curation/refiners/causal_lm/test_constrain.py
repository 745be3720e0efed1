"""Whatever the model wants, what comes out is a program of the window's lines."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs import (
    AddLine,
    Dialect,
    KeepAll,
    Program,
    RemoveAll,
    RemoveLines,
    ReplaceString,
    Scope,
    parse_program,
    print_program,
)
from hf_curation.refiners.base import Stage, Window
from hf_curation.refiners.causal_lm.constrain import GrammarMask, Grammars


def window(first: int, num_lines: int, shown_from: int | None = None) -> Window:
    shown = first if shown_from is None else shown_from
    text = "\n".join(["line"] * (first + num_lines - shown))
    return Window(text, shown, Scope(0, 0, first))


def grammars_of(tokenizer, dialect, stage=Stage.CHUNK):
    return Grammars(tokenizer, dialect, stage, vocab_size=len(tokenizer), eos_ids=[tokenizer.eos_token_id])


def sample(grammars, tokenizer, windows, seed, max_tokens=120):
    """Decode by random logits under the mask, as `generate` would; returns ids per row, and whether each ended."""
    torch.manual_seed(seed)
    mask, eos = GrammarMask(grammars, windows), tokenizer.eos_token_id
    ids = torch.zeros((len(windows), 1), dtype=torch.long)
    ended = [False] * len(windows)
    for _ in range(max_tokens):
        scores = mask(ids, torch.randn(len(windows), len(tokenizer)))
        assert torch.isfinite(scores).any(dim=1).all(), "some token is always allowed"
        tokens = scores.argmax(dim=1)
        tokens = torch.where(torch.tensor(ended), torch.tensor(eos), tokens)
        ids = torch.cat([ids, tokens[:, None]], dim=1)
        ended = [is_over or token == eos for is_over, token in zip(ended, tokens.tolist(), strict=True)]
    rows = []
    for row in ids[:, 1:].tolist():
        rows.append(row[: row.index(eos)] if eos in row else row)
    return rows, ended


@pytest.mark.parametrize("kind", ["llama2", "chatml"])
@pytest.mark.parametrize("dialect", list(Dialect))
def test_every_random_walk_parses_and_stays_in_its_window(request, kind, dialect):
    tokenizer = request.getfixturevalue(kind)
    grammars = grammars_of(tokenizer, dialect)
    windows = [window(0, 1), window(3, 9), window(95, 30, shown_from=90), window(1200, 3)]
    num_ended = num_calls = 0
    for seed in range(6):
        rows, ended = sample(grammars, tokenizer, windows, seed)
        for ids, has_ended, shown in zip(rows, ended, windows, strict=True):
            whole = grammars.num_whole(shown, ids)
            assert whole == len(ids) or not has_ended
            text = tokenizer.decode(ids[:whole], skip_special_tokens=True) if whole else grammars.keep_program
            program = parse_program(text if has_ended else f"{text}\n", dialect, complete=has_ended)
            assert program.calls
            assert not program.rejected, (text, program)
            first, last = shown.scope.first_line, shown.first_line + shown.text.count("\n")
            for call in program.calls:
                if isinstance(call, RemoveLines):
                    assert first <= call.start <= last, text
                    assert call.end >= first, "one behind the window is clamped"
                if isinstance(call, ReplaceString) and call.line is not None:
                    assert first <= call.line <= last, text
            num_ended += has_ended
            num_calls += len(program.calls)
    assert num_ended >= 4, "some walks reach the end of a program"


@pytest.mark.parametrize("kind", ["llama2", "chatml"])
def test_document_programs_are_one_of_two(request, kind):
    tokenizer = request.getfixturevalue(kind)
    grammars = grammars_of(tokenizer, Dialect.PROX, Stage.DOCUMENT)
    texts = set()
    for seed in range(8):
        rows, ended = sample(grammars, tokenizer, [window(0, 2)], seed, max_tokens=20)
        assert ended == [True]
        texts.add(tokenizer.decode(rows[0]).strip())
    assert texts == {"drop_doc()", "keep_doc()"}


def test_llama_models_may_start_with_their_space(llama2, chatml):
    spaced = llama2("remove_lines(line_start=0, line_end=0)", add_special_tokens=False)["input_ids"]
    assert llama2.convert_ids_to_tokens(spaced)[0].startswith("▁")
    assert grammars_of(llama2, Dialect.PROX).num_whole(window(0, 2), spaced) == len(spaced)
    spaced = chatml(" keep_chunk()", add_special_tokens=False)["input_ids"]
    assert grammars_of(chatml, Dialect.PROX).num_whole(window(0, 2), spaced) == 0


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("remove_lines(line_start=0, line_end=1)\nremove_lines(line_st", "remove_lines(line_start=0, line_end=1)\n"),
        ("remove_lines(line_start=0, line_end=1)\n", "remove_lines(line_start=0, line_end=1)\n"),
        ("remove_lines(line_start=0, line_end=1", ""),
        ("remove_lines(line_start=2, line_end=7)", ""),
        ("", ""),
    ],
)
def test_a_cut_program_goes_back_to_its_last_whole_call(chatml, text, whole):
    ids = chatml(text, add_special_tokens=False)["input_ids"]
    assert chatml.decode(ids[: grammars_of(chatml, Dialect.PROX).num_whole(window(0, 2), ids)]) == whole


STRINGS = st.text(st.sampled_from("aé \"'\\\\(),=•\t"), min_size=1, max_size=8)
FIRST, LAST = 95, 124
LINES = st.integers(FIRST, LAST)
RANGES = st.builds(RemoveLines, LINES, st.integers(FIRST, 2 * LAST))
CALLS = {
    Dialect.PROX: st.one_of(RANGES, st.just(RemoveAll()), st.builds(ReplaceString, STRINGS, STRINGS)),
    Dialect.REFINEX: st.one_of(RANGES, st.builds(ReplaceString, STRINGS, st.just(""), LINES)),
    Dialect.ULTRAX: st.one_of(
        RANGES, st.builds(ReplaceString, STRINGS, STRINGS, LINES), st.builds(AddLine, LINES, st.just(1), STRINGS)
    ),
}


@pytest.mark.parametrize("kind", ["llama2", "chatml"])
@pytest.mark.parametrize("dialect", list(Dialect))
def test_a_program_that_is_written_freely_is_written_under_the_grammar_too(request, kind, dialect):
    """The likeliest token of all is the likeliest allowed one: so where every token of a program is allowed when its
    turn comes, and forced ones are those of the program, decoding with and without the grammar are the same.
    """
    tokenizer = request.getfixturevalue(kind)
    grammars, shown = grammars_of(tokenizer, dialect), window(FIRST, LAST - FIRST + 1)

    @settings(max_examples=25)
    @given(st.one_of(st.just([KeepAll()]), st.lists(CALLS[dialect], min_size=1, max_size=3)), st.booleans())
    def check(calls, has_line_break):
        text = print_program(Program(tuple(calls)), dialect)
        assert not parse_program(text, dialect).rejected
        text += "\n" * (has_line_break and calls != [KeepAll()])
        ids = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        matcher, forced = grammars.matcher(shown), []
        for at, token in enumerate(ids):
            if matcher.is_stopped():
                assert ids[at:] == [tokenizer.eos_token_id]
                return
            assert matcher.consume_token(token), (text, tokenizer.decode(ids[: at + 1]))
            forced = forced[1:] or matcher.compute_ff_tokens()
            assert forced == ids[at + 1 :][: len(forced)], (text, tokenizer.decode(forced))
        assert matcher.is_stopped()

    check()


def test_mask_allows_exactly_what_continues_a_program(chatml):
    """The slow twin: ask about every token of the vocabulary by itself.

    Where the next bytes are forced, llguidance allows only the tokenizer's own way of writing them.
    """
    grammars = grammars_of(chatml, Dialect.PROX)
    shown = window(0, 3)
    written = chatml("remove_lines(line_start=", add_special_tokens=False)["input_ids"]
    mask = GrammarMask(grammars, [shown])
    scores = torch.zeros(1, len(chatml))
    for i in range(len(written) + 1):
        allowed = torch.isfinite(mask(torch.tensor([[0, *written[:i]]]), scores))[0]
        matcher = grammars.matcher(shown)
        matcher.consume_tokens(written[:i])
        slow = [matcher.validate_tokens([token]) == 1 for token in range(len(chatml))]
        assert all(valid for is_allowed, valid in zip(allowed.tolist(), slow, strict=True) if is_allowed)
        is_choice = i in (0, len(written))
        assert allowed.tolist() == slow if is_choice else sum(allowed) >= 1
    digits = {chatml.decode([t]) for t in allowed.nonzero().flatten().tolist()}
    assert {"0", "1", "2"} <= digits
    assert not any(text.startswith(tuple("3456789")) for text in digits)


def test_tokenizers_without_a_backend_are_refused():
    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="needs a fast tokenizer, got Slow"):
        Grammars(Slow(), Dialect.PROX, Stage.CHUNK, vocab_size=9, eos_ids=[0])
