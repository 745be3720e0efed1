"""Word runs: every piece is a run of the base's pieces, so nothing is segmented otherwise."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, pre_tokenizers

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.counts import working_tokenizer
from hf_curation.vocabulary.merge_tree import MergeTree
from hf_curation.vocabulary.probes import PROBES
from hf_curation.vocabulary.word_runs import (
    CL100K,
    GPT2,
    LLAMA3,
    O200K,
    PATTERNS,
    QWEN2,
    run_splitter,
    word_run_pre_tokenizer,
    word_splitter,
)

BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
WEB_TEXT = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from(
            ["of", "the", "Day", "'s", "'T", " ", "  ", "\n", "\r", "12", ".", "é", "e\u0301", "文", "\u00a0", "\t"]
        )
    ).map("".join),
    st.sampled_from(PROBES),
)
OLD_LETTERS = st.one_of(
    st.text(st.characters(max_codepoint=0x7FF, exclude_categories=["Cs", "Cn"]), max_size=60), st.sampled_from(PROBES)
)
"""Text without letters that only the newer Unicode tables of `regex` have: it calls U+058B one, Python's have none."""


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def pieces(pattern: str, text: str) -> list[str]:
    return [piece for piece, _ in pre_tokenizers.Split(Regex(pattern), "isolated").pre_tokenize_str(text)]


@pytest.mark.parametrize(
    "pattern", [GPT2, LLAMA3, QWEN2, CL100K, O200K], ids=["gpt2", "llama3", "qwen2", "cl100k", "o200k"]
)
@given(text=WEB_TEXT)
def test_words_of_runs_are_the_pieces_of_the_base(pattern: str, text: str) -> None:
    words = word_splitter()
    runs = pieces(PATTERNS[pattern], text)
    assert "".join(runs) == text
    assert [word for run in runs for word in words(run)] == pieces(pattern, text)


@pytest.mark.parametrize("pattern", [GPT2, LLAMA3, O200K])
@given(text=OLD_LETTERS)
def test_splitter_agrees_with_the_library(pattern: str, text: str) -> None:
    made = word_run_pre_tokenizer({"type": "Sequence", "pretokenizers": [split(pattern), BYTE_LEVEL]})
    assert list(run_splitter(made)(text)) == pieces(PATTERNS[pattern], text)


def test_runs_by_hand() -> None:
    made = word_run_pre_tokenizer({**BYTE_LEVEL, "use_regex": True})
    text = "At the end of the day, it's 12 of  the\nworld"
    expected = ["At the end of the day", ",", " it", "'s", " 12", " of", " ", " the", "\n", "world"]
    assert list(run_splitter(made)(text)) == expected


def test_digits_split_before_the_pattern() -> None:
    steps = [{"type": "Digits", "individual_digits": True}, {**BYTE_LEVEL, "use_regex": True}]
    made = word_run_pre_tokenizer({"type": "Sequence", "pretokenizers": steps})
    body = {"pre_tokenizer": made, "model": {"type": "BPE", "vocab": {}, "merges": []}, "version": "1.0"}
    tokenizer = Tokenizer.from_str(json.dumps(body | {"added_tokens": []}))
    for text in ("of the 123 days of 4", "٣٤ of the Ⅻ ½x"):
        theirs = [text[a:b] for _, (a, b) in tokenizer.pre_tokenizer.pre_tokenize_str(text)]
        assert list(run_splitter(made)(text)) == theirs


def test_twice_is_once() -> None:
    made = word_run_pre_tokenizer({**BYTE_LEVEL, "use_regex": True})
    assert word_run_pre_tokenizer(made) == made


@pytest.mark.parametrize("text", PROBES)
def test_no_segmentation_changes(base: ByteLevelBPE, text: str) -> None:
    tree = MergeTree.of(base)
    runs = working_tokenizer(tree, [True] * len(tree.strings))
    made = word_run_pre_tokenizer(base.body["pre_tokenizer"])
    new = [token for run in run_splitter(made)(text) for token in runs.encode(run).tokens]
    assert new == base.to_tokenizer().encode(text, add_special_tokens=False).tokens


def test_a_merge_across_a_space_fires_only_in_runs(llama_like: ByteLevelBPE) -> None:
    """`end of the day`: the appended merge fires; at the start of a text, without a space, it does not."""
    vocab = {**llama_like.vocab, "ĠofĠthe": llama_like.size}
    merges = [*llama_like.merges, ("Ġof", "Ġthe")]
    others = {"body": {**llama_like.body, "added_tokens": [], "post_processor": None}}
    with_merge = ByteLevelBPE(vocab=vocab, merges=merges, **others)
    assert "ĠofĠthe" not in with_merge.to_tokenizer().encode("end of the day").tokens
    others["body"]["pre_tokenizer"] = word_run_pre_tokenizer(llama_like.body["pre_tokenizer"])
    runs = ByteLevelBPE(vocab=vocab, merges=merges, **others).to_tokenizer()
    assert runs.encode("end of the day").tokens[-2:] == ["ĠofĠthe", "Ġday"]
    assert "ĠofĠthe" not in runs.encode("of the").tokens
    for apart in ("of  the", "end of, the", "end of\nthe", "end of 1 the", "end of\u00a0the"):
        assert "ĠofĠthe" not in runs.encode(apart).tokens


@pytest.mark.parametrize(
    ("pre_tokenizer", "message"),
    [
        (None, "ByteLevel"),
        ({"type": "Whitespace"}, "ByteLevel"),
        ({**BYTE_LEVEL, "use_regex": True, "add_prefix_space": True}, "add_prefix_space"),
        ({"type": "Sequence", "pretokenizers": [split(r"\s+"), BYTE_LEVEL]}, "a pattern that we have not read"),
        (
            {"type": "Sequence", "pretokenizers": [{"type": "Punctuation", "behavior": "Isolated"}, BYTE_LEVEL]},
            "Punctuation",
        ),
        ({"type": "Sequence", "pretokenizers": [split(GPT2), split(GPT2), BYTE_LEVEL]}, "2 times"),
        (BYTE_LEVEL, "0 times"),
    ],
)
def test_unknown_pre_tokenizers_are_refused(pre_tokenizer: dict[str, Any] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        word_run_pre_tokenizer(pre_tokenizer)
