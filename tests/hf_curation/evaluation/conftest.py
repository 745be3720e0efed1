"""A tokenizer of bytes and a tiny model with random weights."""

import pytest


@pytest.fixture(scope="session")
def make_tokenizer(make_byte_tokenizer):
    return make_byte_tokenizer


@pytest.fixture(scope="session")
def tokenizer(make_byte_tokenizer):
    return make_byte_tokenizer()


@pytest.fixture(scope="session")
def model(tokenizer):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.4,  # far from uniform, so that every difference shows
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config).train()
