"""Every fast path writes what one prompt at a time, read whole for every token, would write."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.programs import Dialect, Scope
from hf_curation.refiners.base import Stage, Window
from hf_curation.refiners.causal_lm.constrain import GrammarMask, Grammars
from hf_curation.refiners.causal_lm.decoding import Decoder
from hf_curation.refiners.causal_lm.drafts import Drafts
from hf_curation.refiners.causal_lm.generating import generate
from hf_curation.refiners.causal_lm.writing import write


def slow_twin(decoder, prompt, window):
    """Greedy decoding as it is defined: no cache, no batch, no padding, a mask for every token."""
    mask = GrammarMask(decoder.grammars, [window]) if decoder.grammars else lambda _, scores: scores
    ids = []
    while len(ids) < decoder.max_new_tokens:
        so_far = torch.tensor([prompt + ids])
        with torch.inference_mode():
            token = int(mask(so_far, decoder.model(so_far).logits[:, -1]).argmax())
        if token in decoder.eos_ids:
            return ids, False
        ids.append(token)
        if decoder.has_ended(ids):
            return ids, False
    return ids, True


@pytest.fixture(scope="module")
def free(grouped_model, chatml):
    return Decoder(
        model=grouped_model,
        tokenizer=chatml,
        stage=Stage.CHUNK,
        eos_ids=(chatml.eos_token_id,),
        max_new_tokens=12,
        max_draft=4,
    )


@pytest.fixture(scope="module")
def held(free, chatml):
    """Under the grammars of all dialects."""
    return {
        dialect: replace(
            free,
            max_new_tokens=24,
            grammars=Grammars(chatml, dialect, Stage.CHUNK, vocab_size=len(chatml), eos_ids=free.eos_ids),
        )
        for dialect in Dialect
    }


def window_of(num_lines):
    return Window("\n".join(["line"] * num_lines), 0, Scope(0, 0, 0))


PROMPTS = st.lists(st.lists(st.integers(0, 390), min_size=1, max_size=30), min_size=1, max_size=6)


@settings(max_examples=20, deadline=None)
@given(
    prompts=PROMPTS,
    head=st.lists(st.integers(0, 390), max_size=12),
    ends=st.sets(st.integers(0, 390), min_size=1, max_size=60),
    max_draft=st.integers(0, 6),
    max_new_tokens=st.integers(1, 16),
    told=st.sampled_from(["nothing", "the truth", "lies"]),
)
def test_free_decoding(free, prompts, head, ends, max_draft, max_new_tokens, told):
    """With many tokens that end a program, rows end at all places; guesses are right, wrong, or made on the way."""
    prompts, windows = [head + prompt for prompt in prompts], [window_of(1)] * len(prompts)
    decoder = replace(free, eos_ids=tuple(ends), max_new_tokens=max_new_tokens, max_draft=max_draft)
    expected = [slow_twin(decoder, prompt, window) for prompt, window in zip(prompts, windows, strict=True)]
    decoder = replace(decoder, head=tuple(head), head_rows=None, drafts=Drafts())
    if told != "nothing":
        for ids, _ in expected:
            for at, token in enumerate(ids):
                decoder.drafts.learn(ids[:at], token if told == "the truth" else (token + at) % 391)
    with torch.inference_mode():
        assert write(decoder, prompts, windows) == expected
        assert generate(decoder, prompts, windows) == expected


@settings(max_examples=15, deadline=None)
@given(
    prompts=PROMPTS,
    head=st.lists(st.integers(0, 390), max_size=8),
    num_lines=st.integers(1, 130),
    dialect=st.sampled_from(list(Dialect)),
    max_new_tokens=st.integers(1, 24),
)
def test_constrained_decoding(held, prompts, head, num_lines, dialect, max_new_tokens):
    decoder = replace(held[dialect], max_new_tokens=max_new_tokens, head=tuple(head), head_rows=None)
    prompts = [head + prompt for prompt in prompts]
    windows = [window_of(num_lines + i) for i in range(len(prompts))]
    expected = [slow_twin(decoder, prompt, window) for prompt, window in zip(prompts, windows, strict=True)]
    with torch.inference_mode():
        assert write(decoder, prompts, windows) == expected
        assert generate(decoder, prompts, windows) == expected


def count_passes(decoder, prompts, windows):
    calls = []
    handle = decoder.model.register_forward_pre_hook(lambda *_: calls.append(1))
    try:
        with torch.inference_mode():
            return write(decoder, prompts, windows), len(calls)
    finally:
        handle.remove()


def test_forced_tokens_take_no_pass_of_their_own(held):
    decoder = replace(held[Dialect.PROX], max_new_tokens=60)
    shown = window_of(40)
    num_tokens = total_passes = 0
    for prompt in ([at, 2, 3] for at in range(6)):
        ((ids, _),), num_passes = count_passes(decoder, [prompt], [shown])
        matcher, num_chosen, at = decoder.grammars.matcher(shown), 0, 0
        while at < len(ids):
            run = [ids[at], *(matcher.consume_token(ids[at]) and matcher.compute_ff_tokens())]
            matcher.consume_tokens(run[1:])
            num_chosen, at = num_chosen + 1, at + len(run)
        assert num_chosen <= num_passes <= num_chosen + 1, "one more to choose the end, where it is not forced"
        num_tokens, total_passes = num_tokens + len(ids), total_passes + num_passes
    assert total_passes < num_tokens * 0.9


def test_right_guesses_save_passes_and_the_second_time_all_are_right(free):
    decoder = replace(free, drafts=Drafts(), max_draft=5)
    prompt = [5, 6, 7]
    first, num_passes = count_passes(decoder, [prompt], [window_of(1)])
    again, num_fewer = count_passes(decoder, [prompt], [window_of(1)])
    assert first == again == [slow_twin(decoder, prompt, window_of(1))]
    assert (num_passes, num_fewer) == (12, 2), "12 tokens: 5 guesses and one more choice a pass"
    decoder.max_draft = 0
    assert count_passes(decoder, [prompt], [window_of(1)]) == (first, 12)


def test_the_head_is_read_once_and_only_where_all_prompts_begin_with_it(free):
    head = tuple(range(20))
    decoder = replace(free, head=head, head_rows=None, max_new_tokens=1)
    lengths = []
    handle = decoder.model.register_forward_pre_hook(
        lambda _, __, given: lengths.append(given["position_ids"].shape[1]), with_kwargs=True
    )
    try:
        with torch.inference_mode():
            write(decoder, [[*head, 30, 31]], [window_of(1)])
            write(decoder, [[*head, 40], [*head, 50]], [window_of(1)] * 2)
            write(decoder, [[*head, 40], [9, 50]], [window_of(1)] * 2)
            write(decoder, [[*head]], [window_of(1)])
    finally:
        handle.remove()
    assert lengths == [20, 2, 1 + 1, 21 + 2, 20], "no padding"


def test_a_model_with_a_sliding_window_decodes_the_slow_way(free, sliding_model):
    decoder = replace(free, model=sliding_model, head=tuple(range(30)), head_rows=None)
    prompts = [[*range(30), *more] for more in ([41, 42], [60, 61, 62, 63], [9])]
    windows = [window_of(1)] * 3
    done = decoder.complete(prompts, windows)
    assert decoder.head_rows is None
    for prompt, window, completion in zip(prompts, windows, done, strict=True):
        assert completion == decoder.finish(*slow_twin(decoder, prompt, window), window)
