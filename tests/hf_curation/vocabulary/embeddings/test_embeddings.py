"""A model on a new vocabulary says the same about a text that is cut the same."""

import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from hf_curation.vocabulary.bpe import ByteLevelBPE
from hf_curation.vocabulary.embeddings import transfer_embeddings
from hf_curation.vocabulary.probes import SENTENCES
from hf_curation.vocabulary.word_runs import LLAMA3, PATTERNS

SMOLLM2 = Path(os.environ.get("HF_CURATION_SMOLLM2", "nowhere"))
SPECIAL = ["<s>", "</s>", "<pad>", "<unused>"]
TEXT = "It was the best of times, it was the worst of times: Съешь же ещё!"


@pytest.fixture(scope="module")
def old():
    tokenizer = Tokenizer(models.BPE())
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, show_progress=False, initial_alphabet=alphabet, special_tokens=SPECIAL
    )
    tokenizer.train_from_iterator([*SENTENCES, *[TEXT] * 30], trainer)
    return ByteLevelBPE.load(tokenizer)


def renumbered(old, *, without=(), merges=()):
    """Return `old` with other ids for all, without some tokens at the ends of merges, and with more merges."""
    data = copy.deepcopy(old.to_dict())
    model = data["model"]
    model["merges"] = [pair for pair in model["merges"] if "".join(pair) not in without] + [list(p) for p in merges]
    tokens = sorted(set(model["vocab"]) - set(without) | {"".join(pair) for pair in merges}, key=lambda t: t[::-1])
    model["vocab"] = {token: number for number, token in enumerate(tokens)}
    for token in data["added_tokens"]:
        token["id"] = model["vocab"][token["content"]]
    data["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = PATTERNS[LLAMA3]
    return ByteLevelBPE.from_json(json.dumps(data))


def leaves(old):
    """Return tokens that no merge needs and the text does not hold."""
    parts = {part for pair in old.merges for part in pair}
    used = {old.to_tokenizer().id_to_token(i) for i in encode(old, TEXT)}
    return [token for token in ("".join(pair) for pair in old.merges) if token not in parts | used][:100]


@pytest.fixture(scope="module")
def new(old):
    return renumbered(old, without=leaves(old), merges=[("Ġworst", "Ġbest"), ("Ð", "Ð"), ("Ġtimes", "Ġof")])


def small_model(old, *, tied, bias=False):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=old.size + 8,  # padding rows, as many a model has
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=tied,
        bos_token_id=old.vocab["<s>"],
        eos_token_id=old.vocab["</s>"],
        pad_token_id=old.vocab["<pad>"],
    )
    model = LlamaForCausalLM(config).eval()
    model.generation_config.eos_token_id = [old.vocab["</s>"], old.vocab["<unused>"]]
    if bias:
        model.lm_head.bias = torch.nn.Parameter(torch.randn(config.vocab_size))
    return model


def encode(tokenizer, text):
    return tokenizer.to_tokenizer().encode(text, add_special_tokens=False).ids


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def assert_logits_equal(before, after, old_ids, *, tolerance):
    kept = np.flatnonzero(old_ids >= 0)
    assert torch.allclose(after[:, kept], before[:, old_ids[kept]], atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(("tied", "bias"), [(True, False), (False, False), (False, True)])
@pytest.mark.parametrize("initialise", ["mean", "weighted"])
def test_equal_logits_on_text_that_is_cut_alike(old, tied, bias, initialise):
    new = renumbered(old, without=leaves(old), merges=[("Ġworst", "Ġbest")])
    model = small_model(old, tied=tied, bias=bias)
    before = logits(model, encode(old, TEXT))
    result = transfer_embeddings(model, old, new, initialise=initialise)
    ids = encode(new, TEXT)
    assert ids != encode(old, TEXT)
    assert [old.to_tokenizer().id_to_token(i) for i in encode(old, TEXT)] == [
        new.to_tokenizer().id_to_token(i) for i in ids
    ]
    assert_logits_equal(before, logits(model, ids), result.old_ids, tolerance=1e-6)
    assert model.config.vocab_size == new.size == model.get_input_embeddings().weight.shape[0]
    assert (model.lm_head.weight is model.get_input_embeddings().weight) == tied == result.is_tied


def test_kept_rows_are_bit_equal_and_new_ones_the_mean_of_their_pieces(old, new):
    model = small_model(old, tied=False)
    before = {name: layer.weight.clone() for name, layer in layers(model).items()}
    result = transfer_embeddings(model, old, new)
    for name, layer in layers(model).items():
        for token, number in new.vocab.items():
            if token in old.vocab:
                assert torch.equal(layer.weight[number], before[name][old.vocab[token]])
        pieces = before[name][[old.vocab["Ġworst"], old.vocab["Ġbest"]]]
        assert torch.allclose(layer.weight[new.vocab["ĠworstĠbest"]], pieces.mean(0), atol=1e-7)
        assert torch.allclose(layer.weight[new.vocab["ÐÐ"]], before[name][old.vocab["Ð"]], atol=1e-7)
    assert (result.num_new, result.num_without_pieces) == (3, 0)
    assert result.num_kept == new.size - 3
    assert result.num_dropped == old.size + 8 - result.num_kept


def layers(model):
    return {"embedding": model.get_input_embeddings(), "head": model.get_output_embeddings()}


def test_weights_favour_the_last_piece_going_in_and_the_first_coming_out(old, new):
    model = small_model(old, tied=False)
    before = {name: layer.weight.clone() for name, layer in layers(model).items()}
    transfer_embeddings(model, old, new, initialise="weighted")
    for name, shares in (("embedding", (1 / 3, 2 / 3)), ("head", (2 / 3, 1 / 3))):
        pieces = before[name][[old.vocab["Ġworst"], old.vocab["Ġbest"]]]
        expected = torch.tensor(shares) @ pieces
        assert torch.allclose(layers(model)[name].weight[new.vocab["ĠworstĠbest"]], expected, atol=1e-6)


def test_special_ids_move_with_their_tokens(old, new):
    model = small_model(old, tied=True)
    result = transfer_embeddings(model, old, new)
    assert model.config.bos_token_id == new.vocab["<s>"] != old.vocab["<s>"]
    assert model.config.pad_token_id == new.vocab["<pad>"]
    assert model.generation_config.eos_token_id == [new.vocab["</s>"], new.vocab["<unused>"]]
    assert result.special_ids["config.bos_token_id"] == (old.vocab["<s>"], new.vocab["<s>"])
    assert model.get_input_embeddings().padding_idx == new.vocab["<pad>"]


def test_a_special_token_that_is_gone_is_none_and_one_that_is_new_gets_the_mean_of_trained_rows(old):
    data = copy.deepcopy(renumbered(old).to_dict())
    number = data["model"]["vocab"].pop("<unused>")
    data["model"]["vocab"]["<new>"] = number
    for token in data["added_tokens"]:
        token["content"] = token["content"].replace("<unused>", "<new>")
    model = small_model(old, tied=True)
    model.generation_config.forced_eos_token_id = old.vocab["<unused>"]
    with torch.no_grad():
        for token in SPECIAL:
            model.get_input_embeddings().weight[old.vocab[token]] = 1e4
    result = transfer_embeddings(model, old, ByteLevelBPE.from_json(json.dumps(data)))
    assert result.num_without_pieces == 1
    assert model.get_input_embeddings().weight[number].abs().max() < 1
    assert model.generation_config.forced_eos_token_id is None
    assert len(model.generation_config.eos_token_id) == 1


def test_it_survives_saving(old, new, tmp_path):
    for tied in (True, False):
        model = small_model(old, tied=tied)
        transfer_embeddings(model, old, new)
        model.save_pretrained(tmp_path / str(tied))
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path / str(tied)).eval()
        ids = encode(new, TEXT)
        assert torch.equal(logits(loaded, ids), logits(model, ids))


def test_it_trains_afterwards(old, new):
    model = small_model(old, tied=True)
    transfer_embeddings(model, old, new)
    ids = torch.tensor([encode(new, TEXT)])
    model(ids, labels=ids).loss.backward()
    assert model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_half_precision_stays(old, new):
    model = small_model(old, tied=True).to(torch.bfloat16)
    transfer_embeddings(model, old, new)
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16


def test_what_does_not_fit_is_refused_and_the_model_stays_as_it_was(old, new):
    model = small_model(old, tied=True)
    model.resize_token_embeddings(100)
    with pytest.raises(ValueError, match="must be the one that the model was trained with"):
        transfer_embeddings(model, old, new)
    model = small_model(old, tied=True)
    model.model.register_buffer("final_logits_bias", torch.zeros(1, old.size + 8))
    with pytest.raises(ValueError, match="final_logits_bias has"):
        transfer_embeddings(model, old, new)
    with pytest.raises(ValueError, match="initialise must be"):
        transfer_embeddings(model, old, new, initialise="random")
    assert model.config.vocab_size == old.size + 8


@pytest.mark.slow
@pytest.mark.skipif(not (SMOLLM2 / "model.safetensors").exists(), reason="set HF_CURATION_SMOLLM2 to its folder")
def test_a_real_model_is_as_good_as_before():
    old = ByteLevelBPE.load(SMOLLM2)
    model = AutoModelForCausalLM.from_pretrained(SMOLLM2, dtype=torch.float32).eval()
    text = "The quick brown fox jumps over the lazy dog because it was late."
    data = copy.deepcopy(old.to_dict())
    merges, vocabulary = data["model"]["merges"], data["model"]["vocab"]
    parts = {part for pair in merges for part in pair}
    used = {old.to_tokenizer().id_to_token(i) for i in encode(old, text)}
    gone = set([token for token in map("".join, merges) if token not in parts | used][-5000:])
    data["model"]["merges"] = [pair for pair in merges if "".join(pair) not in gone] + [["Ġwhale", "Ġsong"]]
    kept = [token for token in reversed(vocabulary) if token not in gone]
    data["model"]["vocab"] = {token: number for number, token in enumerate([*kept, "ĠwhaleĠsong"])}
    for token in data["added_tokens"]:
        token["id"] = data["model"]["vocab"][token["content"]]
    new = ByteLevelBPE.from_json(json.dumps(data))
    before = logits(model, encode(old, text))
    result = transfer_embeddings(model, old, new)
    assert result.num_new == 1
    assert_logits_equal(before, logits(model, encode(new, text)), result.old_ids, tolerance=1e-3)
    assert model.config.eos_token_id == new.vocab[old.to_tokenizer().id_to_token(2)]
