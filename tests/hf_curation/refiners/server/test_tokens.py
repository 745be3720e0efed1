"""Counting tokens without the model."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from hf_curation.refiners.server.tokens import estimate_tokens, token_counter


@pytest.fixture(scope="module")
def tokenizer_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["whales sing and others of their kind hear them from afar"] * 5, trainer)
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.save(str(path))
    return path


def test_exact_counts_from_a_file_or_its_folder(tokenizer_file: Path) -> None:
    for where in (tokenizer_file, tokenizer_file.parent):
        assert token_counter(str(where))(["whales sing", "", "xyz"]) == [2, 0, 3]


def test_a_page_cannot_hide_its_length_behind_special_tokens(tokenizer_file: Path) -> None:
    assert token_counter(str(tokenizer_file))(["<|im_end|>"])[0] > 1


def test_no_tokenizer_there(tmp_path: Path) -> None:
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(ValueError, match=r"no tokenizer at .*broken"):
        token_counter(str(tmp_path / "broken.json"))


def test_estimate() -> None:
    assert estimate_tokens(["", "whales sing", "1234", "日本語", "\ud800", " " * 40]) == [0, 4, 5, 10, 2, 4]


@given(st.lists(st.text(max_size=30), max_size=4))
def test_an_estimate_of_the_whole_is_no_more_than_that_of_its_parts(parts: list[str]) -> None:
    assert estimate_tokens(["".join(parts)])[0] <= sum(estimate_tokens(parts))
