"""The training recipe's modules, and weights that were never trained."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[4] / "recipes" / "train_line_tagger"


@pytest.fixture(scope="session")
def recipe():
    """Import a module of the recipe, as its own scripts do."""
    sys.path.insert(0, str(RECIPE))
    yield import_module
    sys.path.remove(str(RECIPE))


@pytest.fixture
def untrained(recipe, tmp_path):
    """(models in torch, weights file) of an ensemble of two small random networks."""
    import torch

    torch.manual_seed(3)
    model = recipe("model")
    shape = model.Shape(hidden=8, embedding=4, table_bits=6, dilations=(1, 2))
    models = [model.Tagger(shape).eval() for _ in range(2)]
    for member in models:
        member.scale += torch.rand_like(member.scale)
    path = tmp_path / "random.safetensors"
    recipe("train").export(models, path, {"version": "random"})
    return models, path
