"""Scores and continuations against a slow twin: one document, one forward pass, no batching."""

import math

import numpy as np
import pytest
import torch

from hf_curation.evaluation import Conditioner, bits_per_byte, generate, score_documents
from hf_curation.evaluation.log_probs import Stretch, score_tokens

SITE = {"url": "https://a.de/page"}
PREFIX = list(b"URL: a.de\n\n")


def ids_of(text):
    return [byte + 3 for byte in text.encode()]


def slow_log_probs(model, context, target):
    """Natural log-probability of each target token, in float64, one forward pass."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        logits = model(torch.tensor([[*context, *target]])).logits[0].double()
    model.train(was_training)
    rows = logits[len(context) - 1 : -1].log_softmax(-1)
    return [float(rows[i, token]) for i, token in enumerate(target)]


def test_a_prompt_is_bos_the_metadata_and_the_text(tokenizer, make_tokenizer):
    prefix = [byte + 3 for byte in PREFIX]
    assert Conditioner(tokenizer).prompt("hi", SITE) == [1, *prefix, *ids_of("hi")]
    assert Conditioner(tokenizer).prompt("hi") == [1, *ids_of("hi")]
    assert Conditioner(make_tokenizer(bos=False)).prompt("hi", SITE) == [*prefix, *ids_of("hi")]
    assert Conditioner(tokenizer).prompt("</s>") == [1, *ids_of("</s>")], "a text cannot write the token"


def test_a_host_that_cannot_be_read_is_an_error(tokenizer):
    with pytest.raises(ValueError, match="no host"):
        Conditioner(tokenizer).prefix({"url": "mailto:a@b.c"})


@pytest.mark.parametrize("metadata", [None, SITE])
def test_documents_score_as_one_by_one_without_their_prefix(model, tokenizer, metadata):
    texts = ["short", "höher", "", "a longer text"]
    conditioner = Conditioner(tokenizer)
    scores = score_documents(model, conditioner, texts, [metadata] * 4, batch_size=3)
    for text, score in zip(texts, scores, strict=True):
        slow = slow_log_probs(model, conditioner.head(metadata), ids_of(text)) if text else []
        assert score.log_likelihood == pytest.approx(sum(slow), rel=1e-5)
        assert (score.num_tokens, score.num_bytes) == (len(ids_of(text)), len(text.encode()))
        assert score.num_prefix_tokens == (len(PREFIX) if metadata else 0)
    assert model.training, "the model's mode stays"


def test_metadata_change_the_score_and_not_what_is_scored(model, tokenizer):
    conditioner = Conditioner(tokenizer)
    (plain,) = score_documents(model, conditioner, ["text"])
    (right,) = score_documents(model, conditioner, ["text"], [SITE])
    assert plain.log_likelihood != right.log_likelihood
    assert (plain.num_tokens, plain.num_bytes) == (right.num_tokens, right.num_bytes)


@pytest.mark.parametrize("length", [51, 52, 53, 103, 104, 150])
def test_long_texts_are_scored_in_windows_each_with_the_whole_head(model, tokenizer, length):
    text = "".join(chr(97 + i % 26) for i in range(length))
    conditioner, ids = Conditioner(tokenizer), ids_of(text)
    head = conditioner.head(SITE)
    (score,) = score_documents(model, conditioner, [text], [SITE])  # windows of 64 tokens
    room = 64 - len(head)
    slow = slow_log_probs(model, head, ids[:room])
    for at in range(room, len(ids), room - 1):
        slow += slow_log_probs(model, [*head, ids[at - 1]], ids[at : at + room - 1])
    assert len(slow) == score.num_tokens == length
    assert score.log_likelihood == pytest.approx(sum(slow), rel=1e-5)


def test_without_bos_the_first_token_is_never_scored(model, make_tokenizer):
    conditioner = Conditioner(make_tokenizer(bos=False))
    plain, right, empty, one = score_documents(model, conditioner, ["öhi", "öhi", "", "a"], [None, SITE, None, None])
    assert plain.num_tokens == right.num_tokens == 3
    assert plain.num_bytes == right.num_bytes == 2, "both bytes of the letter that the first token begins"
    assert plain.log_likelihood == pytest.approx(sum(slow_log_probs(model, ids_of("öhi")[:1], ids_of("öhi")[1:])))
    prefix = [byte + 3 for byte in PREFIX]
    context = [*prefix, *ids_of("öhi")[:1]]
    assert right.log_likelihood == pytest.approx(sum(slow_log_probs(model, context, ids_of("öhi")[1:])), rel=1e-5)
    assert (empty.num_tokens, one.num_tokens, one.num_bytes) == (0, 0, 0)


def test_a_head_that_fills_the_window_is_an_error(model, tokenizer):
    with pytest.raises(ValueError, match="head of 12 tokens leaves no room in windows of 13"):
        score_documents(model, Conditioner(tokenizer), ["x"], [SITE], max_length=13)
    with pytest.raises(ValueError, match="1 texts but metadata of 2"):
        score_documents(model, Conditioner(tokenizer), ["x"], [SITE, None])


@pytest.mark.parametrize("scale", [0.0, 0.5, 2.0])
def test_guided_scores_are_normalised_mixtures_of_both_models(model, tokenizer, scale):
    conditioner, target = Conditioner(tokenizer), ids_of("text")
    (guided,) = score_tokens(
        model, [Stretch(conditioner.head(SITE), target, conditioner.head(None))], guidance_scale=scale
    )
    model.eval()
    with torch.no_grad():
        rows = [
            model(torch.tensor([[*head, *target]])).logits[0, len(head) - 1 : -1].double().log_softmax(-1)
            for head in (conditioner.head(SITE), conditioner.head(None))
        ]
    model.train()
    mixed = (rows[1] + scale * (rows[0] - rows[1])).log_softmax(-1)
    expected = [float(mixed[i, token]) for i, token in enumerate(target)]
    np.testing.assert_allclose(guided.log_probs_T, expected, rtol=1e-4)
    if scale == 0:
        (plain,) = score_tokens(model, [Stretch(conditioner.head(None), target)])
        np.testing.assert_allclose(guided.log_probs_T, plain.log_probs_T, rtol=1e-4)


def test_guidance_leaves_documents_without_metadata_alone(model, tokenizer):
    conditioner = Conditioner(tokenizer)
    (plain,), (guided,) = (
        score_documents(model, conditioner, ["text"], [None], guidance_scale=scale) for scale in (1.0, 3.0)
    )
    assert guided.log_likelihood == pytest.approx(plain.log_likelihood, rel=1e-5)


def greedy_twin(model, conditioner, prompt, metadata, scale, num_tokens):
    """Guided greedy decoding, each step computed from the start."""
    written = []
    model.eval()
    for _ in range(num_tokens):
        with torch.no_grad():
            with_, without = (
                model(torch.tensor([[*conditioner.prompt(prompt, m), *written]])).logits[0, -1].log_softmax(-1)
                for m in (metadata, None)
            )
        written.append(int((without + scale * (with_ - without)).argmax()))
        if written[-1] == 2:
            break
    model.train()
    return conditioner.tokenizer.decode(written, skip_special_tokens=True)


@pytest.mark.parametrize("scale", [1.0, 1.7, 4.0])
def test_generation_follows_the_guided_distribution(model, tokenizer, scale):
    conditioner = Conditioner(tokenizer)
    text = generate(
        model, conditioner, "once", SITE, guidance_scale=scale, max_new_tokens=8, do_sample=False, pad_token_id=0
    )
    assert text == greedy_twin(model, conditioner, "once", SITE, scale, 8)


def test_a_long_prompt_loses_its_beginning_and_keeps_its_metadata(model, tokenizer):
    conditioner = Conditioner(tokenizer)
    options = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    text = generate(model, conditioner, "never mind this: once", SITE, max_prompt_tokens=16, **options)
    assert text == greedy_twin(model, conditioner, "once", SITE, 1.0, 6)


def test_what_cannot_be_generated_is_an_error(model, tokenizer, make_tokenizer):
    with pytest.raises(ValueError, match="needs metadata"):
        generate(model, Conditioner(tokenizer), "x", guidance_scale=2.0)
    with pytest.raises(ValueError, match="nothing to continue"):
        generate(model, Conditioner(make_tokenizer(bos=False)), "")
    with pytest.raises(ValueError, match="no room for a prompt in 12"):
        generate(model, Conditioner(tokenizer), "x", SITE, max_prompt_tokens=12)
    with pytest.raises(ValueError, match="at least one token of context"):
        score_tokens(model, [Stretch([], [4])])


def test_bits_per_byte_of_a_uniform_model_is_that_of_its_vocabulary(model, tokenizer):
    import copy

    uniform = copy.deepcopy(model)
    with torch.no_grad():
        uniform.lm_head.weight.zero_()
    scores = score_documents(uniform, Conditioner(tokenizer), ["abc", "de"], [SITE, None])
    assert bits_per_byte(scores) == pytest.approx(math.log2(len(tokenizer)))
