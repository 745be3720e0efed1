import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hf_curation.refiners.tagger.features import page_features
from hf_curation.refiners.tagger.network import load_network, sigmoid

PAGES = [
    "Home | About\n\nWhales sing at night, and nobody knows why.\n\n© 2024",
    "one line",
    "\n".join(f"line {k}: " + "word " * (k % 7) for k in range(60)),
    "鯨は歌う。\n\nهل تغني الحيتان؟\n💙\n---",
]


def _in_torch(recipe, models, pages):
    import torch

    model = recipe("model")
    with torch.no_grad():
        batch = model.make_batch(pages, models[0].shape.table_bits)
        logits = torch.stack([member(batch)[0] for member in models]).mean(0).numpy()
    return [row[: len(page.rows)] for row, page in zip(logits, pages, strict=True)]


def test_equals_its_torch_twin_on_padded_batches(recipe, untrained):
    models, path = untrained
    for member in models:  # what the half-precision file holds
        for tensor in member.parameters():
            if tensor.ndim > 1:
                tensor.data = tensor.data.half().float()
    network = load_network(path)
    pages = [page_features(text.split("\n")) for text in PAGES]
    for page, expected in zip(pages, _in_torch(recipe, models, pages), strict=True):
        assert np.abs(network.logits(page) - expected).max() < 1e-4


def test_context_reaches_every_line(untrained):
    network = load_network(untrained[1])
    short = page_features(["a b c", "d e f"])
    changed = page_features(["a b c", "d e f", *["x"] * 30, "Something else entirely, at length."])
    assert not np.allclose(network.logits(short)[:2], network.logits(changed)[:2])


def test_a_page_without_lines_has_no_logits(untrained):
    assert load_network(untrained[1]).logits(page_features(["", "  "])).shape == (0,)


def test_other_weights_are_refused(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "other.safetensors"
    save_file({"x": np.zeros(1)}, path)
    with pytest.raises(ValueError, match="train it again"):
        load_network(path)


@given(st.floats(-1e4, 1e4, width=32))
@settings(max_examples=50)
def test_sigmoid_is_stable(x):
    value = float(sigmoid(np.array([x], dtype=np.float32))[0])
    assert value == pytest.approx(1 / (1 + np.exp(-np.clip(np.float64(x), -500, 500))), abs=1e-6)
