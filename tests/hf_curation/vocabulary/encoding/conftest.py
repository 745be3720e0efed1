"""Small byte-level vocabularies, made here: one with the pattern of Llama 3, and one with superwords on top of it."""

import json
import re
from collections import Counter
from itertools import pairwise

import pytest

from hf_curation.vocabulary.probes import SENTENCES
from hf_curation.vocabulary.word_runs import LLAMA3, PATTERNS

ENGLISH = (
    "It was the best of times, it was the worst of times; it was the age of wisdom and it was the age of reason. "
    "At the end of the day the end of the world is not the end of the day. The house of the king of the hill is one "
    "of the oldest of the houses on the hill, and some of them say that the age of the house is the age of the hill. "
)


def with_pattern(data, pattern):
    steps = [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
    ]
    return {**data, "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps}}


@pytest.fixture(scope="session")
def base():
    """The content of a `tokenizer.json`: 700 tokens, two special tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[AddedToken("<|endoftext|>", special=True), AddedToken("<|pad|>", special=True)],
    )
    tokenizer.train_from_iterator([*SENTENCES, *[ENGLISH] * 3], trainer)
    return json.loads(tokenizer.to_str())


@pytest.fixture(scope="session")
def adapted(base):
    """The same with the 40 most frequent merges across spaces, learned by counting again after each."""
    from tokenizers import Tokenizer

    data = with_pattern(base, PATTERNS[LLAMA3])
    tokenizer = Tokenizer.from_str(json.dumps(data))
    split, model = tokenizer.pre_tokenizer.pre_tokenize_str, tokenizer.model
    pieces = [piece for text in (*SENTENCES, ENGLISH) for piece, _ in split(text)]
    runs = [[token.value for token in model.tokenize(piece)] for piece in pieces]
    merges = []
    for _ in range(40):
        counts = Counter(pair for run in runs for pair in pairwise(run) if is_whole(pair))
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        merges.append(best)
        runs = [merge_pair(run, best) for run in runs]
    vocabulary = dict(data["model"]["vocab"])
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    all_merges = [*data["model"]["merges"], *([left, right] for left, right in merges)]
    return {**data, "model": data["model"] | {"vocab": vocabulary, "merges": all_merges}}


def is_whole(pair):
    left, right = pair
    return re.fullmatch("Ġ?[A-Za-z]+(Ġ[A-Za-z]+)*", left) and re.fullmatch("(Ġ[A-Za-z]+)+", right)


def merge_pair(run, pair):
    merged = []
    for token in run:
        if merged and (merged[-1], token) == pair:
            merged[-1] += token
        else:
            merged.append(token)
    return merged
