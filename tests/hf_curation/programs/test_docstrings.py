"""The examples in docstrings are true, and importing the language is cheap."""

import doctest
import importlib
import subprocess
import sys

import pytest


@pytest.mark.parametrize(("module", "num_examples"), [("grammar", 1), ("literals", 2), ("printing", 1)])
def test_examples(module: str, num_examples: int) -> None:
    importlib.import_module(f"hf_curation.programs.{module}")
    results = doctest.testmod(sys.modules[f"hf_curation.programs.{module}"])
    assert (results.failed, results.attempted) == (0, num_examples)


def test_importing_the_language_loads_nothing_heavy() -> None:
    heavy = ["torch", "transformers", "datatrove", "numpy", "lark", "pyarrow"]
    code = f"import sys, hf_curation.programs; print([m for m in {heavy} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
