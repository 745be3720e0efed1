"""What holds for every test: no network, properties that a busy machine does not fail, one tokenizer of bytes."""

import os

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

# Time is measured by the benchmarks. A test that is slow because the machine is busy has found nothing.
settings.register_profile("hf-curation", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# What decides on a change should not turn on luck: CI draws the same examples every time, everyone else new ones.
settings.register_profile("ci", settings.get_profile("hf-curation"), derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "hf-curation"))


@pytest.fixture(scope="session")
def make_byte_tokenizer():
    """Build a tokenizer with one token a byte: ids 0 to 2 are padding, BOS and EOS, and byte b is id b + 3."""

    def build(*, bos=True, eos=True):
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers
        from transformers import PreTrainedTokenizerFast

        # The letter that byte-level BPE writes for a byte: itself where it is printable, else one from U+0100 on.
        printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
        hidden = iter(range(0x100, 0x200))
        letters = [chr(b) if b in printable else chr(next(hidden)) for b in range(256)]
        vocabulary = {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", *letters])}
        backend = Tokenizer(models.BPE(vocabulary, []))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        return PreTrainedTokenizerFast(
            tokenizer_object=backend,
            pad_token="<pad>",  # noqa: S106
            bos_token="<s>" if bos else None,
            eos_token="</s>" if eos else None,
        )

    return build
