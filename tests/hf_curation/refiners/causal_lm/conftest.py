"""Tiny causal LMs, saved to disk and loaded as real ones are."""

import functools

import pytest

from hf_curation.refiners.base import Stage
from hf_curation.refiners.causal_lm import CausalLMRefiner
from hf_curation.refiners.prompts import Preset, PromptEncoder, Template


def save_model(folder, tokenizer, **config):
    """Save a Llama of about 100,000 parameters (Llama-2 kind: two million, nearly all embeddings) with random weights
    so large that it writes garbage of some variety.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    options = {"max_position_embeddings": 4096, "initializer_range": 0.6} | config
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            eos_token_id=tokenizer.eos_token_id,
            **options,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model


@pytest.fixture(scope="session")
def chatml_dir(tmp_path_factory, chatml):
    folder = tmp_path_factory.mktemp("chatml")
    save_model(folder, chatml)
    return str(folder)


@pytest.fixture(scope="session")
def llama2_dir(tmp_path_factory, llama2):
    folder = tmp_path_factory.mktemp("llama2")
    save_model(folder, llama2)
    return str(folder)


@pytest.fixture(scope="session")
def grouped_model():
    """Four query heads on two key heads, in float32; random weights that tell prompts apart."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=405, num_key_value_heads=2, initializer_range=0.6, **sizes)
    return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def sliding_model():
    """One layer of two sees 16 tokens."""
    import torch
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    kinds = {"sliding_window": 16, "layer_types": ["sliding_attention", "full_attention"], "head_dim": 8}
    config = Gemma3TextConfig(vocab_size=405, num_key_value_heads=2, initializer_range=0.3, **sizes, **kinds)
    return Gemma3ForCausalLM(config).eval()


PARROT = Preset(
    name="parrot",
    stage=Stage.CHUNK,
    template=Template.PLAIN,
    user="{page}\nProgram:\n",
    num_bos=0,
    window_tokens=60,
    max_new_tokens=250,
)


@pytest.fixture(scope="session")
def parrot(tmp_path_factory, chatml):
    """A refiner that was taught one thing: shown one page, to write the same call for ever."""
    lessons = {"Home\nWhales sing.": "remove_lines(line_start=0, line_end=1)\n" * 12}
    return taught(tmp_path_factory.mktemp("parrot"), chatml, lessons, steps=120)


PAGES_AND_PROGRAMS = {
    "Whales sing.\nThey dive.": "keep_chunk()<|im_end|>",
    "Home\nShop\nWhales sing.": "remove_lines(line_start=0, line_end=1)<|im_end|>",
    "Whales sing.\nHome\nShop": "remove_lines(line_start=1, line_end=7)<|im_end|>",
    "Home\nWhales sing.\nHome": (
        "remove_lines(line_start=0, line_end=0)\nremove_lines(line_start=2, line_end=2)\n<|im_end|>"
    ),
    "Whales sing. Share\nHome": (
        'normalize(source_str=" Share", target_str="")\nremove_lines(line_start=1, line_end=12)<|im_end|>'
    ),
}
"""Ends of ranges behind the page, and line breaks at the end, as models write them."""


@pytest.fixture(scope="session")
def pupil(tmp_path_factory, chatml):
    """A refiner that was taught the programs of a few pages, and these."""
    return taught(tmp_path_factory.mktemp("pupil"), chatml, PAGES_AND_PROGRAMS, steps=160), PAGES_AND_PROGRAMS


def taught(folder, tokenizer, lessons, *, steps):
    """Save a model that was trained to write some programs, page by page, and return how its refiner is made."""
    import torch

    model = save_model(folder, tokenizer, initializer_range=0.05)
    encoder = PromptEncoder(tokenizer, PARROT)
    rows = [
        (encoder.encode(encoder.windows(page))[0], tokenizer(program)["input_ids"])
        for page, program in lessons.items()
    ]
    longest = max(len(prompt) + len(program) for prompt, program in rows)
    room = [longest - len(prompt) - len(program) for prompt, program in rows]
    ids = torch.tensor([p + q + [0] * n for (p, q), n in zip(rows, room, strict=True)])
    labels = torch.tensor([[-100] * len(p) + q + [-100] * n for (p, q), n in zip(rows, room, strict=True)])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(steps):
        model(ids, labels=labels).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.save_pretrained(folder)
    return functools.partial(CausalLMRefiner, str(folder), preset=PARROT, device="cpu")
