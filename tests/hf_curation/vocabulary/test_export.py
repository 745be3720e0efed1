"""The saved files load with the same ids, special tokens where they belong."""

import json
import re
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.export import export_bpe, save_bpe
from hf_curation.vocabulary.merge_tree import MergeTree
from hf_curation.vocabulary.probes import PROBES


def exported(base: ByteLevelBPE, num_removed: int = 30) -> ByteLevelBPE:
    """Return a base with a token of two words and without its last merges."""
    tree = MergeTree.of(base)
    kept = [True] * len(tree.strings)
    parts = {tree.index["Ġof"], tree.index["Ġthe"]}
    for i in tree.order[-num_removed:]:
        kept[i] = i in parts
    tree.add(tree.index["Ġof"], tree.index["Ġthe"])
    return export_bpe(base, tree, [*kept, True])


def test_ids_are_dense_and_old_tokens_keep_their_order(base: ByteLevelBPE) -> None:
    bpe = exported(base)
    ids = {**bpe.vocab, **{t["content"]: t["id"] for t in bpe.added_tokens}}
    assert sorted(ids.values()) == list(range(bpe.size))
    old = [token for token in sorted(base.vocab, key=base.vocab.__getitem__) if token in bpe.vocab]
    assert sorted(bpe.vocab, key=bpe.vocab.__getitem__) == [*old, "ĠofĠthe"]
    assert bpe.merges[-1] == ("Ġof", "Ġthe")


def test_special_ids_are_rewritten_everywhere(llama_like: ByteLevelBPE) -> None:
    bpe = exported(llama_like)
    ids = {t["content"]: t["id"] for t in bpe.added_tokens}
    assert ids["<|begin_of_text|>"] == len(bpe.vocab) != llama_like.added_tokens[0]["id"]
    assert bpe.body["post_processor"]["special_tokens"]["<|begin_of_text|>"]["ids"] == [ids["<|begin_of_text|>"]]
    assert bpe.to_tokenizer().encode("of the").ids[0] == ids["<|begin_of_text|>"]


@pytest.mark.parametrize("kind", ["BertProcessing", "RobertaProcessing", "Sequence"])
def test_other_post_processors(gpt2_like: ByteLevelBPE, kind: str) -> None:
    pair = {"sep": ["<|endoftext|>", 99], "cls": ["<|im_start|>", 98]}
    processor = {"type": "RobertaProcessing", "trim_offsets": True, "add_prefix_space": False, **pair}
    if kind == "BertProcessing":
        processor = {"type": kind, **pair}
    wrapped = (
        {"type": "Sequence", "processors": [processor, {"type": "ByteLevel"}]} if kind == "Sequence" else processor
    )
    base = ByteLevelBPE(
        vocab=gpt2_like.vocab, merges=gpt2_like.merges, body={**gpt2_like.body, "post_processor": wrapped}
    )
    found = exported(base).body["post_processor"]
    found = found["processors"][0] if kind == "Sequence" else found
    assert (found["sep"], found["cls"]) == (["<|endoftext|>", 0], ["<|im_start|>", 1])


def test_unknown_post_processor_is_refused(gpt2_like: ByteLevelBPE) -> None:
    body = {**gpt2_like.body, "post_processor": {"type": "Novel"}}
    with pytest.raises(ValueError, match="Novel"):
        exported(ByteLevelBPE(vocab=gpt2_like.vocab, merges=gpt2_like.merges, body=body))


def test_loads_with_auto_tokenizer(base: ByteLevelBPE, tmp_path: Path) -> None:
    """The same ids as `tokenizers` gives, on every probe.

    With transformers 4.57.6, in an environment of its own, the same was checked once by hand for tokenizers adapted
    from Llama 3's and SmolLM2's: class, size, special ids, ids of all probes, special tokens in a text taken as text.
    """
    bpe = exported(base)
    save_bpe(bpe, tmp_path)
    loaded, plain = AutoTokenizer.from_pretrained(tmp_path), bpe.to_tokenizer()
    assert len(loaded) == bpe.size
    for text in PROBES:
        assert loaded(text)["input_ids"] == plain.encode(text).ids
        assert loaded.decode(loaded(text, add_special_tokens=False)["input_ids"]) == text
    assert "ĠofĠthe" in loaded.tokenize("end of the day")
    assert loaded.eos_token_id == {t["content"]: t["id"] for t in bpe.added_tokens}[loaded.eos_token]
    special = [t["content"] for t in bpe.added_tokens]
    assert not set(loaded.convert_tokens_to_ids(special)) & set(
        loaded(" ".join(special), add_special_tokens=False)["input_ids"]
    )
    chat = AutoTokenizer.from_pretrained(tmp_path, split_special_tokens=False)
    assert chat(special[1], add_special_tokens=False)["input_ids"] == [chat.convert_tokens_to_ids(special[1])]


def test_the_class_that_is_written_matters(base: ByteLevelBPE, tmp_path: Path) -> None:
    """With the class of a model, transformers rebuilds the pre-tokenizer, and the token across words is lost."""
    save_bpe(exported(base), tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"tokenizer_class": "GPT2Tokenizer"}))
    assert "ĠofĠthe" not in AutoTokenizer.from_pretrained(tmp_path).tokenize("end of the day")


def test_config_is_that_of_the_base_without_what_rebuilds(llama_like: ByteLevelBPE) -> None:
    others = {"add_bos_token": True, "auto_map": {}, "extra_special_tokens": [{"content": "<|a|>"}], "pad_token": None}
    base = ByteLevelBPE(
        vocab=llama_like.vocab, merges=llama_like.merges, body=llama_like.body, config=llama_like.config | others
    )
    assert exported(base).config == {
        "additional_special_tokens": ["<|a|>"],
        "bos_token": "<|begin_of_text|>",
        "eos_token": "<|end_of_text|>",
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
        "split_special_tokens": True,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }


def test_same_bytes_and_chat_template(base: ByteLevelBPE, tmp_path: Path) -> None:
    other = ByteLevelBPE(
        vocab=base.vocab, merges=base.merges, body=base.body, config=base.config, chat_template="{{ messages }}\n"
    )
    for name in ("a", "b"):
        save_bpe(exported(other), tmp_path / name)
    files = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert files["chat_template.jinja"] == b"{{ messages }}\n"
    assert ByteLevelBPE.load(tmp_path / "a").to_dict() == exported(other).to_dict()


def test_parts_of_kept_tokens_must_be_kept(base: ByteLevelBPE) -> None:
    tree = MergeTree.of(base)
    kept = [True] * len(tree.strings)
    kept[tree.index["he"]] = False
    with pytest.raises(ValueError, match=re.escape("no token 'he'")):
        export_bpe(base, tree, kept)
