"""From edited tokens back to a `tokenizer.json` that loads everywhere, with dense ids and special ids rewritten.

Order of ids: the base's kept tokens as they were, new tokens, then the added tokens that stand outside the model
(Llama 3's 256 specials), in their old order: `tokenizers` gives such tokens the ids after the model's, whatever the
file says. Order of merges: kept base merges, merges inside words, merges across spaces, each in the order learned. So
those that cross a space are one block at the end, which `merge_tree.crosses_space` finds; encoders that apply them to
base ids rely on it.

What we write beside it, and why (read on transformers 5.23 and 4.57 with a token of two words as probe):

- `tokenizer_class` is `PreTrainedTokenizerFast`: 4.57 cannot load `TokenizersBackend`, which 5.x writes, and classes
of
  models (`GPT2Tokenizer`, `Qwen2Tokenizer`) rebuild the pre-tokenizer, so that tokens across spaces are lost without
  a word;
- `clean_up_tokenization_spaces` is false, or decoding is not exact;
- `split_special_tokens` is true: a page that says `<|end_of_text|>` gives the characters, not the token. For chat,
load
  with `split_special_tokens=False`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hf_curation.files.atomic import write_json, write_whole
from hf_curation.vocabulary.bpe import CONFIG_FILE, TEMPLATE_FILE, TOKENIZER_FILE, ByteLevelBPE
from hf_curation.vocabulary.merge_tree import MergeTree
from hf_curation.vocabulary.word_runs import word_run_pre_tokenizer

ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")
KEPT_CONFIG = (*ROLES, "model_max_length", "padding_side", "truncation_side", "model_input_names", "chat_template")
MAX_LENGTH = 2**53


def export_bpe(
    base: ByteLevelBPE, tree: MergeTree, kept: Sequence[bool], *, split_special_tokens: bool = True
) -> ByteLevelBPE:
    """Return the tokenizer that holds the kept tokens of a tree and all that is not the model from its base.

    Args:
        base: The tokenizer that the tree was made of.
        tree: Its tokens and what was added to them.
        kept: By index of the tree. Bytes and added tokens must be kept, and both parts of every kept token.
        split_special_tokens: Whether special tokens in a text are taken as plain characters.

    Raises:
        ValueError: The post-processor names ids in a form that we do not know.
    """
    tokens = [token for token, is_kept in zip(tree.strings, kept, strict=True) if is_kept]
    merges = [(tree.strings[tree.left[i]], tree.strings[tree.right[i]]) for i in tree.order if kept[i]]
    vocab = {token: i for i, token in enumerate(tokens)}
    ids = vocab | _ids_outside(base, len(tokens), vocab)
    body = {
        **base.body,
        "added_tokens": sorted(({**t, "id": ids[t["content"]]} for t in base.added_tokens), key=lambda t: t["id"]),
        "pre_tokenizer": word_run_pre_tokenizer(base.body.get("pre_tokenizer"), base.name),
        "post_processor": _rewrite_ids(base.body.get("post_processor"), ids),
        # No unknown token: all bytes are there, so nothing is unknown.
        "model": {**base.body["model"], "ignore_merges": False, "unk_token": None},
    }
    exported = ByteLevelBPE(
        vocab=vocab,
        merges=merges,
        body=body,
        config=_config(base, split_special_tokens=split_special_tokens),
        chat_template=base.chat_template,
        name=f"{base.name}, adapted",
    )
    exported.check_closed()
    return exported


def save_bpe(bpe: ByteLevelBPE, folder: Path) -> None:
    """Write `tokenizer.json`, `tokenizer_config.json` and the chat template, if any: the same bytes each time."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / TOKENIZER_FILE, bpe.to_dict(), keep_order=True)
    write_json(folder / CONFIG_FILE, bpe.config)
    if bpe.chat_template is not None:
        write_whole(folder / TEMPLATE_FILE, bpe.chat_template.encode())


def _ids_outside(base: ByteLevelBPE, first: int, vocab: Mapping[str, int]) -> dict[str, int]:
    outside = [t["content"] for t in sorted(base.added_tokens, key=lambda t: t["id"]) if t["content"] not in vocab]
    return {content: first + i for i, content in enumerate(outside)}


def _rewrite_ids(processor: dict[str, Any] | None, ids: Mapping[str, int]) -> dict[str, Any] | None:
    """Return a post-processor with the new ids of the tokens that it names."""
    if processor is None or processor["type"] == "ByteLevel":
        return processor
    if processor["type"] == "Sequence":
        return {**processor, "processors": [_rewrite_ids(step, ids) for step in processor["processors"]]}
    if processor["type"] == "TemplateProcessing":
        special = processor["special_tokens"]
        return {
            **processor,
            "special_tokens": {k: {**v, "ids": [ids[t] for t in v["tokens"]]} for k, v in special.items()},
        }
    if processor["type"] in {"BertProcessing", "RobertaProcessing"}:
        return {**processor, **{k: [processor[k][0], ids[processor[k][0]]] for k in ("sep", "cls")}}
    raise ValueError(f"the base has a post-processor {processor['type']} whose ids we do not know how to rewrite")


def _config(base: ByteLevelBPE, *, split_special_tokens: bool) -> dict[str, Any]:
    """Return the `tokenizer_config.json`, without what makes a library rebuild what the file says."""
    kept = {key: base.config[key] for key in KEPT_CONFIG if base.config.get(key) is not None}
    if kept.get("model_max_length", 0) > MAX_LENGTH:
        del kept["model_max_length"]  # transformers writes 1e30 for "none", which is no number in JSON
    for role in ROLES:
        if isinstance(kept.get(role), Mapping):  # transformers 4 writes the token with its flags
            kept[role] = kept[role]["content"]
    others = base.config.get("additional_special_tokens") or base.config.get("extra_special_tokens")
    if isinstance(others, list) and others:
        # 4.57 fails on a list of `extra_special_tokens`, and 5.x reads the older name too.
        kept["additional_special_tokens"] = [t["content"] if isinstance(t, Mapping) else t for t in others]
    return {
        "model_input_names": ["input_ids", "attention_mask"],
        **kept,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": split_special_tokens,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
