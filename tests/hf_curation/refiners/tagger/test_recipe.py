import hashlib
import json

import numpy as np
import pytest

from hf_curation.refiners.tagger import LineTagger

BODY = "Whales of the {} bay sing all night long, and nobody has said why. They stop when ships come near the shore."


@pytest.fixture
def data(tmp_path):
    """Twelve pages of six sites: a menu, two sentences of content, a footer."""
    path = tmp_path / "pages.jsonl"
    rows = []
    for k in range(12):
        gold = f"{BODY.format(k)}\n\nMore of page {k}: {BODY.format('other')}"
        text = f"Home\n• About\n• Log in\n\n{gold}\n\nShare\n© {2000 + k} All rights reserved"
        url = f"https://www.site{k % 6}.example.com/{k}" if k else None
        metadata = {"url": url, "page_type": ["article", "forum"][k % 2], "gold_text": gold}
        rows.append(json.dumps({"id": str(k), "text": text, "metadata": metadata}))
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def pages(recipe, data):
    return recipe("pages").load_pages(data, num_processes=1)


def test_pages_are_labelled_line_by_line(pages):
    page = pages[1]
    assert [share > 0.5 for share in page.shares_N] == [False] * 4 + [True, False, True] + [False] * 3
    assert pages[0].domain == ""


def test_folds_never_share_a_domain(recipe, pages):
    folds = {}
    for page in pages:
        folds.setdefault(page.domain, set()).add(recipe("pages").fold_of(page, 3))
    assert all(len(found) == 1 for found in folds.values())


def test_changed_pages_keep_labels_with_their_lines(recipe, pages):
    augment = recipe("augment")
    always = augment.Augmentation(swap=1.0, cut=0.5, insert=0.5, emptied=0.0, disguise=0.0, lower_case=0.0)
    for seed in range(40):
        sample = augment.changed_page(pages[2], pages[5], 0, always, np.random.default_rng(seed))
        assert len(sample.shares) == len(sample.page.rows)
        assert ((sample.shares >= 0.5) == (sample.page.num_words >= 15)).all()  # content lines are the long ones


def test_emptied_pages_hold_no_content(recipe, pages):
    augment = recipe("augment")
    sample = augment.changed_page(pages[2], pages[5], 0, augment.Augmentation(emptied=1.0), np.random.default_rng(0))
    assert len(sample.shares)
    assert (sample.shares < 0.3).all()


def test_disguises_keep_lines_and_equal_words_equal(recipe):
    lines = ["  • Sing whales, sing! (2024)", "", "The whales SING"]
    kinds = set()
    for seed in range(30):
        disguised = recipe("scripts").disguise(lines, np.random.default_rng(seed))
        assert [bool(line.strip()) for line in disguised] == [True, False, True]
        assert disguised[0].startswith("  •")
        assert "whales" not in disguised[0]
        kinds.add(disguised[0][4] < "\u0500")
    assert kinds == {True, False}


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_training_is_a_function_of_the_seed_and_learns(recipe, pages, tmp_path):
    import torch

    torch.set_num_threads(1)
    train, model = recipe("train"), recipe("model")
    shape = model.Shape(hidden=16, embedding=4, table_bits=8, dilations=(1, 2), num_types=2)
    config = train.TrainConfig(epochs=40, batch_pages=4, learning_rate=0.01, average=0.9, shape=shape)
    paths = []
    for k, seed in enumerate((0, 0, 1)):
        paths.append(tmp_path / f"{k}.safetensors")
        member = train.train(pages, config, seed=seed, types=["article", "forum"])
        train.export([member], paths[-1], {"version": "test"})
    assert _sha256(paths[0]) == _sha256(paths[1]) != _sha256(paths[2])
    found = LineTagger(weights=paths[0]).probabilities(pages[3].text)
    assert found[4] > 0.8
    assert found[6] > 0.8
    assert max(found[0], found[2], found[9]) < 0.3


def test_an_unknown_setting_is_an_error_with_the_nearest_name(recipe, tmp_path):
    settings = recipe("settings")
    with pytest.raises(ValueError, match=r"unknown setting 'shape.hiden'; did you mean 'shape.hidden'\?"):
        settings.train_config(settings.read_settings(settings.CONFIG, ["shape.hiden=3"]))
    assert settings.train_config(settings.read_settings(settings.CONFIG, ["shape.hidden=3"])).shape.hidden == 3
