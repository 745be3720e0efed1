"""A tokenizer of bytes, and small token stores made with it."""

import pyarrow as pa
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hf_curation.packing import ShardWriter, TokenStore, token_dtype, vocabulary_hash, write_store_index

SPECIALS = ("<pad>", "<s>", "</s>")


def byte_letters() -> list[str]:
    """The letter that byte-level BPE writes for each byte: itself where it is printable, else one from U+0100 on."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = iter(range(0x100, 0x200))
    return [chr(b) if b in printable else chr(next(hidden)) for b in range(256)]


def build_tokenizer(*, bos: bool = True, eos: bool = True) -> PreTrainedTokenizerFast:
    """One token a byte: ids 0 to 2 are padding, BOS and EOS, and byte b is id b + 3."""
    vocabulary = {token: i for i, token in enumerate([*SPECIALS, *byte_letters()])}
    backend = Tokenizer(models.BPE(vocabulary, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",  # noqa: S106
        bos_token="<s>" if bos else None,
        eos_token="</s>" if eos else None,
    )


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return build_tokenizer()


@pytest.fixture(scope="session")
def make_tokenizer():
    return build_tokenizer


@pytest.fixture(scope="session")
def token_store(tmp_path_factory, tokenizer) -> TokenStore:
    """120 documents of three hosts, 5 to 64 bytes long, in two shards; every tenth has no URL."""
    folder = tmp_path_factory.mktemp("store")
    shards = []
    for rank in range(2):
        writer = ShardWriter(
            folder / "tokens" / f"{rank:05d}.arrow", token_dtype(len(tokenizer)), {"url": pa.string()}
        )
        for i in range(rank * 60, rank * 60 + 60):
            text = f"document {i} " * (1 + i % 5)
            url = None if i % 10 == 0 else f"https://{'abc'[i % 3]}.example/{i}"
            writer.add(f"d{i}", tokenizer.encode(text, add_special_tokens=False), {"url": url})
        shards.append(writer.close())
    write_store_index(folder, shards, tokenizer="bytes", vocabulary_sha256=vocabulary_hash(tokenizer))
    return TokenStore(folder)
