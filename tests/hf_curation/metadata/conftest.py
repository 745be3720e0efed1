import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SENTENCES = [
    "URL: en.wikipedia.org\n\nWhales sing.\n\nThey sing in the sea.",
    "URL: www.example.com\n\n\nThe sea is deep.\n\nWhales are not fish.",
    "URL: unknown\n\nHello there, hello world.\n\nA second paragraph.",
] * 10


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    """Byte-level BPE with GPT-2's pre-tokenizer, automatic BOS, and one reserved special token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.add_special_tokens([AddedToken("<|reserved_0|>", special=True)])
    from tokenizers.processors import TemplateProcessing

    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tokenizer
