"""Rows at different places give the logits of each row read alone, whole, without a cache."""

import pytest
import torch

from hf_curation.refiners.causal_lm.row_attention import row_attention
from hf_curation.refiners.causal_lm.rows import Rows, suits

# Whatever the order of summation: random weights of this size give logits of about 10.
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


def whole(model, ids, num_wanted=1):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0, -num_wanted:]


@pytest.fixture
def texts():
    generator = torch.Generator().manual_seed(3)
    return [torch.randint(0, 300, (n,), generator=generator).tolist() for n in (40, 23, 31, 57)]


def test_rows_read_on_from_different_places(grouped_model, texts):
    model = grouped_model
    with torch.inference_mode(), row_attention(model):
        rows = Rows(model, num_rows=4, capacity=60)
        rows.begin(2)
        rows.read(0, [texts[0][:9], texts[1][:20]], [1, 1])
        rows.begin(2)
        rows.read(2, [texts[2][:1], texts[3][:50]], [1, 1])
        logits = rows.read(
            0, [t[n:m] for t, n, m in zip(texts, (9, 20, 1, 50), (39, 21, 4, 57), strict=True)], [3, 1, 1, 2]
        )
        assert rows.lengths == [39, 21, 4, 57]
    expected = [(texts[0][:39], 3), (texts[1][:21], 1), (texts[2][:4], 1), (texts[3], 2)]
    torch.testing.assert_close(logits, torch.cat([whole(model, ids, n) for ids, n in expected]), **TOLERANCE)


def test_what_was_read_in_vain_is_written_over(grouped_model, texts):
    with torch.inference_mode(), row_attention(grouped_model):
        rows = Rows(grouped_model, num_rows=1, capacity=60)
        rows.begin(1)
        rows.read(0, [texts[0][:10] + [7] * 12], [1])
        rows.forget(0, 12)
        logits = rows.read(0, [texts[0][10:15]], [1])
    torch.testing.assert_close(logits, whole(grouped_model, texts[0][:15]), **TOLERANCE)


def test_rows_begin_with_a_head_and_take_the_place_of_those_that_ended(grouped_model, texts):
    head, bodies = texts[0], texts[1:]
    with torch.inference_mode(), row_attention(grouped_model):
        first = Rows(grouped_model, num_rows=1, capacity=len(head))
        first.begin(1)
        first.read(0, [head], [1])
        rows = Rows(grouped_model, num_rows=3, capacity=len(head) + 60)
        rows.begin(3, first)
        rows.read(0, [body[:10] for body in bodies], [1, 1, 1])
        rows.remove(0)  # the last row stands there now
        assert rows.lengths == [len(head) + 10] * 2
        logits = rows.read(0, [bodies[2][10:12], bodies[1][10:19]], [1, 1])
        rows.remove(1)
        last = rows.read(0, [bodies[2][12:15]], [1])
    expected = [whole(grouped_model, head + ids) for ids in (bodies[2][:12], bodies[1][:19], bodies[2][:15])]
    torch.testing.assert_close(torch.cat([logits, last]), torch.cat(expected), **TOLERANCE)


def test_attention_is_put_back_even_if_a_pass_fails(grouped_model):
    usual = grouped_model.config._attn_implementation

    def fail():
        with row_attention(grouped_model):
            assert grouped_model.config._attn_implementation != usual
            raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        fail()
    assert grouped_model.config._attn_implementation == usual == "sdpa"


@pytest.mark.parametrize("attention", ["flash_attention_2", "eager"])
def test_another_attention_is_not_replaced(grouped_model, monkeypatch, attention):
    assert suits(grouped_model)
    monkeypatch.setattr(grouped_model.config, "_attn_implementation_internal", attention)
    assert not suits(grouped_model)


def test_models_that_forget_or_count_for_themselves_are_left_to_generate(grouped_model, sliding_model):
    from transformers import BloomConfig, BloomForCausalLM, MambaConfig, MambaForCausalLM

    assert suits(grouped_model)
    assert not suits(sliding_model)
    bloom = BloomConfig(vocab_size=50, hidden_size=16, n_layer=1, n_head=2)
    assert not suits(BloomForCausalLM(bloom)), "ALiBi counts positions by places in the cache"
    mamba = MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1)
    assert not suits(MambaForCausalLM(mamba))
