"""Small byte-level BPE tokenizers, trained in process, and text for them."""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from importlib import import_module

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.byte_level import byte_chars, token_of
from hf_curation.vocabulary.word_runs import LLAMA3

SUBJECTS = (
    "The keeper of the lighthouse",
    "Nobody in the village",
    "A friend of mine",
    "The last train",
    "Each of the boats",
)
VERBS = (
    "came back at the end of the day",
    "was one of the first to see it",
    "went out of the harbour",
    "kept the light burning",
)
ENDS = (
    "in the middle of the night.",
    "as if nothing had happened!",
    "(so they say).",
    "for 1234 days, at 5 o'clock.",
    "",
)
OTHERS = (
    "Größe und Maß",
    "naïve café",
    "日本語の文",
    "Это не то",
    "việc của tôi",
    "x = y2 + 3;\n\treturn x\n",
    "don't, won't, it's",
)


def sentences(number: int, seed: int = 0, more: tuple[str, ...] = ()) -> list[str]:
    rng = random.Random(seed)  # noqa: S311
    parts = ((*SUBJECTS, *more), VERBS, ENDS)
    made = [" ".join(rng.choice(part) for part in parts).strip() for _ in range(number)]
    return [f"{line}\n{rng.choice(OTHERS)}" if rng.random() < 0.2 else line for line in made]


def train(pattern: str | None, size: int, specials: list[str]) -> Tokenizer:
    """Train a byte-level BPE; without a pattern with GPT-2's, which is in ByteLevel."""
    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    split = [] if pattern is None else [pre_tokenizers.Split(Regex(pattern), "isolated")]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*split, byte_level]) if split else byte_level
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=specials, initial_alphabet=alphabet, show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(sentences(300), trainer)
    return tokenizer


@pytest.fixture(scope="session", autouse=True)
def short_self_test() -> Iterator[None]:
    """A million spaces take two seconds; one test has them."""
    module = import_module("hf_curation.vocabulary.self_test")  # the package has its function by this name
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MANY_SPACES", 2_000)
        patch.setattr(module, "NUM_FUZZED", 60)
        yield


@pytest.fixture(scope="session")
def llama_like() -> ByteLevelBPE:
    """As Llama 3 is made: special tokens after the model's ids, and a template with BOS."""
    body = json.loads(train(LLAMA3, 420, []).to_str())
    tokenizer = Tokenizer.from_str(json.dumps(body))
    tokenizer.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>"])
    bos = tokenizer.token_to_id("<|begin_of_text|>")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<|begin_of_text|> $A", special_tokens=[("<|begin_of_text|>", bos)]
    )
    config = {
        "bos_token": "<|begin_of_text|>",
        "eos_token": {"content": "<|end_of_text|>"},
        "model_max_length": int(1e30),
    }
    return ByteLevelBPE.from_json(tokenizer.to_str(), config=config, name="llama-like")


@pytest.fixture(scope="session")
def gpt2_like() -> ByteLevelBPE:
    """As SmolLM2 is made: GPT-2's pattern, special tokens first and inside the model."""
    tokenizer = train(None, 420, ["<|endoftext|>", "<|im_start|>"])
    return ByteLevelBPE.from_json(tokenizer.to_str(), config={"eos_token": "<|endoftext|>"}, name="gpt2-like")


@pytest.fixture(scope="session", params=["llama_like", "gpt2_like"])
def base(request: pytest.FixtureRequest) -> ByteLevelBPE:
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def all_splits(llama_like: ByteLevelBPE) -> ByteLevelBPE:
    """As tiktoken vocabularies are converted: every split of every token is a merge, in the order of the products.

    One token has no merges that make it, like 588 of Llama 3's: it is only looked up, when it is a whole pre-token.
    """
    words = Counter(re.findall(r" ?[a-zé]+", "\n".join(sentences(100))))
    parts = Counter()
    for word, count in words.items():
        token = token_of(word)
        parts.update({token[i:j]: count for i in range(len(token)) for j in range(i + 2, min(len(token), i + 6) + 1)})
    names = [token for token, _ in sorted(parts.items(), key=lambda item: (-item[1], item[0]))[:400]]
    vocab = {token: i for i, token in enumerate([*byte_chars(), *names])}
    merges = [(t[:i], t[i:]) for t in names for i in range(1, len(t)) if t[:i] in vocab and t[i:] in vocab]
    vocab["Ġquxb"] = len(vocab)
    added = [{**t, "id": len(vocab) + i} for i, t in enumerate(llama_like.added_tokens)]
    model = {**llama_like.body["model"], "ignore_merges": True}
    body = {**llama_like.body, "added_tokens": added, "model": model, "post_processor": None}
    return ByteLevelBPE(vocab=vocab, merges=merges, body=body, name="all splits")


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """The target: with words that the bases were not trained on."""
    return sentences(400, seed=1, more=("The cartographer of Ljubljana", "Some xylophones"))
