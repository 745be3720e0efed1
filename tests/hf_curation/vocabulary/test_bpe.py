"""Loading: what is a byte-level BPE and what is not."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.byte_level import byte_chars, bytes_of, is_byte_level, text_of, token_of


def test_alphabet_is_that_of_the_library() -> None:
    from tokenizers import pre_tokenizers

    assert set(byte_chars()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert len(set(byte_chars())) == 256
    assert token_of(" é\n") == "ĠÃ©Ċ"
    assert bytes_of("ĠÃ©Ċ") == " é\n".encode()
    assert text_of("Ã") is None
    assert not is_byte_level("日")


def test_same_from_file_folder_object_and_fast_tokenizer(base: ByteLevelBPE, tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(base.to_json(), "utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"eos_token": "x"}))
    tokenizer = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    loaded = [ByteLevelBPE.load(s) for s in (tmp_path, tmp_path / "tokenizer.json", str(tmp_path), tokenizer)]
    assert {one.sha256 for one in loaded} == {loaded[0].sha256}
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{"eos_token": "<|endoftext|>"})
    for one in (loaded[0], ByteLevelBPE.load(fast)):
        assert (one.vocab, one.merges) == (base.vocab, base.merges)
    assert ByteLevelBPE.load(fast).config == {"eos_token": "<|endoftext|>"}
    assert loaded[0].config == {"eos_token": "x"}
    assert loaded[0].name == tmp_path.name


def test_both_forms_of_merges(base: ByteLevelBPE) -> None:
    old = base.to_dict()
    old["model"]["merges"] = [f"{a} {b}" for a, b in base.merges]
    assert ByteLevelBPE.from_json(json.dumps(old)).merges == base.merges


def test_size_counts_added_tokens_once(llama_like: ByteLevelBPE, gpt2_like: ByteLevelBPE) -> None:
    assert llama_like.size == len(llama_like.vocab) + 2
    assert gpt2_like.size == len(gpt2_like.vocab)


def test_truncation_and_padding_are_dropped(base: ByteLevelBPE) -> None:
    tokenizer = base.to_tokenizer()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    loaded = ByteLevelBPE.load(tokenizer)
    assert len(loaded.to_tokenizer().encode("of the day " * 20).ids) > 20


def test_special_tokens_are_text(base: ByteLevelBPE) -> None:
    special = base.added_tokens[0]
    ids = base.to_tokenizer().encode(f"a{special['content']}", add_special_tokens=False).ids
    assert special["id"] not in ids
    assert special["id"] in base.to_tokenizer(parse_special=True).encode(f"a{special['content']}").ids


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "WordPiece"}, "WordPiece"),
        ({"byte_fallback": True}, "SentencePiece"),
        ({"end_of_word_suffix": "</w>"}, "end_of_word_suffix"),
        ({"dropout": 0.1}, "dropout"),
    ],
)
def test_other_models_are_refused(base: ByteLevelBPE, change: dict, message: str) -> None:
    body = base.to_dict()
    body["model"] |= change
    with pytest.raises(ValueError, match=message):
        ByteLevelBPE.from_json(json.dumps(body))


@pytest.mark.parametrize("content", [b'{"a": 1}\n{"a": 2}\n', b"\xff\x00PAR1", b"", b"[1, 2]"])
def test_another_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "raw.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=r"raw\.jsonl is no tokenizer\.json|needs a byte-level BPE"):
        ByteLevelBPE.load(tmp_path / "raw.jsonl")


def test_merge_without_its_product_is_refused(base: ByteLevelBPE) -> None:
    body = base.to_dict()
    product = "".join(base.merges[-1])
    body["model"]["vocab"] = {token: i for token, i in base.vocab.items() if token != product}
    with pytest.raises(ValueError, match="no token"):
        ByteLevelBPE.from_json(json.dumps(body))


def test_missing_bytes_are_named(base: ByteLevelBPE) -> None:
    assert base.missing_bytes == []
    without = {token: i for token, i in base.vocab.items() if token != byte_chars()[4]}
    assert ByteLevelBPE(vocab=without, merges=[], body=base.body).missing_bytes == [4]


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no tokenizer\.json"):
        ByteLevelBPE.load(tmp_path)
    with pytest.raises(ValueError, match="cannot read a tokenizer from int"):
        ByteLevelBPE.load(3)


def test_model_without_a_name_for_itself() -> None:
    tokenizer = Tokenizer(models.WordLevel({"a": 0}))
    with pytest.raises(ValueError, match="byte-level BPE"):
        ByteLevelBPE.load(tokenizer)
