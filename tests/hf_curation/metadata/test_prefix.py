import pickle

import pytest
from tokenizers import Tokenizer

from hf_curation.metadata import PrefixEncoder, encode_prefix, parse_template


class Joint:
    """What ids would be if prefix and document were encoded as one text."""

    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def __call__(self, prefix, document):
        return self.tokenizer.encode(prefix + document, add_special_tokens=False).ids


@pytest.fixture(scope="module")
def fast_tokenizer(tokenizer):
    from transformers import PreTrainedTokenizerFast

    specials = {"bos_token": "<s>", "eos_token": "<|endoftext|>"}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tokenizer.to_str()), **specials)


def test_prefix_is_encoded_apart_from_the_document(tokenizer):
    encoder = PrefixEncoder(tokenizer, parse_template())
    prefix, document = "URL: en.wikipedia.org\n\n", "Whales sing."
    ids = encoder({"url": "https://en.wikipedia.org/wiki/Whale"}).ids
    document_ids = tokenizer.encode(document, add_special_tokens=False).ids
    assert [*ids, *document_ids] != Joint(tokenizer)(prefix, document)  # GPT-2's pre-tokenizer splits "\n\n" there
    assert list(ids) == tokenizer.encode(prefix, add_special_tokens=False).ids
    assert tokenizer.decode(ids) == prefix


def test_ids_do_not_depend_on_what_follows(tokenizer):
    encoder = PrefixEncoder(tokenizer, parse_template())
    page = {"url": "en.wikipedia.org"}
    assert encoder({**page, "text": "\nStarts with a newline"}).ids == encoder({**page, "text": "Does not"}).ids


def test_no_special_tokens(tokenizer, fast_tokenizer):
    text = "URL: www.example.com\n\n"
    assert tokenizer.encode(text).ids[0] == 0  # BOS is automatic
    ids = encode_prefix(tokenizer, text)
    assert 0 not in ids
    assert encode_prefix(fast_tokenizer, text) == ids
    assert encode_prefix(tokenizer, "") == []


def test_training_and_inference_are_one_path(tokenizer, fast_tokenizer):
    template = parse_template()
    trained = PrefixEncoder(tokenizer, template)({"url": "https://www.example.com/page?id=1"})
    prompted = PrefixEncoder(fast_tokenizer, template)({"url": "www.example.com"})
    assert trained == prompted


def test_documents_without_metadata_have_no_ids(tokenizer):
    encoded = PrefixEncoder(tokenizer, parse_template())({})
    assert encoded.ids == ()
    assert encoded.prefix.missing == (("host", "absent"),)


@pytest.mark.parametrize("kind", ["tokenizers", "transformers"])
@pytest.mark.parametrize("value", ["a <|endoftext|> b", "<s>", "x<|reserved_0|>"])
def test_special_tokens_in_values_are_refused(tokenizer, fast_tokenizer, kind, value):
    used = tokenizer if kind == "tokenizers" else fast_tokenizer
    page = {"topic": value, "source": "fine"}
    template = "{topic} of {source}\n\n"
    dropped = PrefixEncoder(used, parse_template(template))(page)
    assert dropped.ids == ()
    assert dropped.prefix.missing == (("topic", "special_token"),)
    unknown = PrefixEncoder(used, parse_template(template, on_missing="unknown"))(page)
    assert unknown.prefix.text == "unknown of fine\n\n"
    assert list(unknown.ids) == encode_prefix(used, "unknown of fine\n\n")
    with pytest.raises(ValueError, match="special_token"):
        PrefixEncoder(used, parse_template(template, on_missing="error"))(page)


def test_special_tokens_across_the_edge_of_a_value_are_refused(tokenizer):
    encoder = PrefixEncoder(tokenizer, parse_template("<|{topic}|>"))
    assert encoder({"topic": "science"}).ids
    assert encoder({"topic": "endoftext"}).prefix.missing == (("topic", "special_token"),)
    two = PrefixEncoder(tokenizer, parse_template("{source} <|{topic}|>", on_missing="unknown"))
    assert two({"topic": "endoftext"}).prefix.missing == (("source", "absent"), ("topic", "special_token"))


def test_the_template_may_write_special_tokens(tokenizer):
    encoder = PrefixEncoder(tokenizer, parse_template("<|reserved_0|>{topic}<|endoftext|>"))
    ids = encoder({"topic": "science"}).ids
    assert (ids[0], ids[-1]) == (tokenizer.token_to_id("<|reserved_0|>"), tokenizer.token_to_id("<|endoftext|>"))
    assert encoder({"topic": "a<s>b"}).prefix.missing == (("topic", "special_token"),)


def test_tokenizers_that_pad_or_truncate_are_refused(tokenizer):
    for setting in ("padding", "truncation"):
        changed = Tokenizer.from_str(tokenizer.to_str())
        changed.enable_padding(length=50) if setting == "padding" else changed.enable_truncation(3)
        with pytest.raises(ValueError, match=f"call no_{setting}"):
            PrefixEncoder(changed, parse_template())


def test_the_cache_is_used_and_bounded_and_gives_what_no_cache_gives(tokenizer):
    class Counting:
        calls = 0

        def encode(self, text, *, add_special_tokens=True):
            self.calls += 1
            return tokenizer.encode(text, add_special_tokens=add_special_tokens)

    counting = Counting()
    encoder = PrefixEncoder(counting, parse_template(), cache_size=4)
    before = counting.calls
    pages = [{"url": f"www.site{number % 2}.com"} for number in range(100)]
    ids = [encoder(page).ids for page in pages]
    assert counting.calls == before + 2
    assert ids == [tuple(encode_prefix(tokenizer, f"URL: www.site{number % 2}.com\n\n")) for number in range(100)]
    for number in range(10):
        encoder.encode(f"text {number}")
    before = counting.calls
    encoder.encode("text 0")
    assert counting.calls == before + 1
    encoder.encode("text 9").clear()  # a caller's list is its own
    assert encoder.encode("text 9") == encode_prefix(tokenizer, "text 9")


def test_encoders_pickle_to_workers_without_their_cache(tokenizer):
    encoder = PrefixEncoder(tokenizer, parse_template(on_missing="unknown"))
    size = len(pickle.dumps(encoder))
    for number in range(1000):
        encoder({"url": f"www.site{number}.com"})
    copy = pickle.dumps(encoder)
    assert len(copy) == size
    page = {"url": "www.example.com"}
    assert pickle.loads(copy)(page) == encoder(page)  # noqa: S301 (our own bytes)
