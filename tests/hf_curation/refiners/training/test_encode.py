"""Training encodes what inference encodes, counts what does not fit, and draws the mix that was asked for."""

from collections import Counter
from dataclasses import replace

import pytest

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.programs.model import KeepAll, Program, RemoveLines, Scope
from hf_curation.refiners.base import Window
from hf_curation.refiners.causal_lm import CausalLMRefiner
from hf_curation.refiners.prompts import get_preset
from hf_curation.refiners.training.encode import encode_examples
from hf_curation.refiners.training.examples import make_example
from hf_curation.refiners.training.mixing import mix_examples

PAGE = "Home | Login\n</s> is a token, <s> another.\nWhales sing.\n\nShare this"


REMOVE = RemoveLines(0, 0)


def example(number=0, *, preset="prox-web-chunk:plain", calls=(REMOVE,), origin="pair", text=PAGE):
    window = Window(text, 0, Scope(0, len(text), 0))
    page = GoldPage(f"p{number}", text, "Whales sing.", "https://a.example/")
    program = Program(tuple(calls), scope=window.scope)
    return make_example(page, window, program, preset=get_preset(preset), origin=origin, split="train", number=number)


@pytest.mark.parametrize("preset", ["prox-web-chunk:plain", "prox-web-chunk", "prox-web-chunk:double_bos"])
def test_the_prompt_is_what_the_refiner_feeds_the_model(preset, make_byte_tokenizer, monkeypatch):
    tokenizer = make_byte_tokenizer()
    seen = []

    class Spy:
        def complete(self, prompts, windows):
            seen.extend(prompts)
            raise ValueError("seen enough")

    refiner = CausalLMRefiner("a/b", preset=preset, window_tokens=4096)
    for name, value in {"_tokenizer": tokenizer, "_decoder": Spy(), "_config": Positions()}.items():
        monkeypatch.setitem(refiner.__dict__, name, value)
    windows = refiner.windows(PAGE)
    refiner.write(windows)
    encoded = encode_examples([example(preset=preset)], tokenizer, max_tokens=10_000)
    assert [one.prompt for one in encoded.encoded] == seen
    assert tokenizer.eos_token_id not in seen[0], "a page that spells it writes letters"


class Positions:
    max_position_embeddings = 100_000

    def get_text_config(self):
        return self


def test_the_program_follows_without_its_end(make_byte_tokenizer):
    tokenizer = make_byte_tokenizer()
    one = encode_examples([example()], tokenizer, max_tokens=10_000).encoded[0]
    assert tokenizer.decode(one.program) == "remove_lines(line_start=0, line_end=0)"
    assert one.num_tokens == len(one.prompt) + len(one.program) + 1


def test_what_does_not_fit_is_counted(make_byte_tokenizer):
    tokenizer = make_byte_tokenizer()
    examples = [example(0), example(1, text=PAGE * 20), replace(example(2), system="Other.")]
    whole = encode_examples(examples, tokenizer, max_tokens=10_000)
    assert len(whole) == 3
    limit = whole.encoded[0].num_tokens
    fitting = encode_examples(examples, tokenizer, max_tokens=limit)
    assert [e.id for e in fitting.examples] == [examples[0].id, examples[2].id], "exactly at the limit it fits"
    assert fitting.too_long == {"chunk": 1}
    assert not encode_examples(examples, tokenizer, max_tokens=limit - 1).encoded


def test_a_tokenizer_without_an_end_is_refused(make_byte_tokenizer):
    with pytest.raises(ValueError, match="no end-of-text token"):
        encode_examples([example()], make_byte_tokenizer(eos=False), max_tokens=100)


def test_shares_of_origins_and_kinds():
    examples = [
        example(
            number,
            origin=("pair", "noise", "clean")[number % 3],
            calls=[KeepAll()] if number % 2 else [RemoveLines(0, 0)],
        )
        for number in range(120)
    ]
    chosen = mix_examples(examples, origins={"pair": 3, "noise": 1}, kinds={"keep": 0.5, "edit": 0.5})
    found = Counter((e.origin, e.kind) for e in chosen)
    assert found == {("pair", "keep"): 20, ("pair", "edit"): 20, ("noise", "keep"): 6, ("noise", "edit"): 6}
    assert [e.id for e in chosen] == [e.id for e in examples if e.id in {c.id for c in chosen}], "order stays"
    few = mix_examples(examples, kinds={"keep": 1}, max_examples=7)
    assert [e.kind for e in few] == ["keep"] * 7
    assert mix_examples(examples) == examples
    assert mix_examples(examples, max_examples=5) == examples[:5]


@pytest.mark.parametrize(
    ("shares", "message"),
    [({"keep": 0.5, "drop": 0.5}, "no example of drop"), ({"keep": 0}, "above 0")],
)
def test_a_mix_that_cannot_be(shares, message):
    with pytest.raises(ValueError, match=message):
        mix_examples([example(0, calls=[KeepAll()]), example(1)], kinds=shares)
