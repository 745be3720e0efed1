"""Which featurizer is taken: without numba, with kernels that are out of date, and what an import costs."""

import logging
import subprocess
import sys

import numpy as np
import pytest

from hf_curation.sampling import FeatureSpec, load_featurizer
from hf_curation.sampling.plain import PlainFeaturizer


def test_without_numba_the_plain_one_takes_over(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "numba", None)
    with caplog.at_level(logging.INFO, "hf_curation.sampling.loading"):
        featurizer = load_featurizer(FeatureSpec())
    assert isinstance(featurizer, PlainFeaturizer)
    assert "numba is not installed" in caplog.text
    with pytest.raises(ImportError, match=r"pip install 'hf-curation\[select\]'"):
        load_featurizer(FeatureSpec(), backend="fast")


def test_kernels_that_are_out_of_date_are_not_used(monkeypatch, caplog):
    """As if numba had taken an old kernel from its cache: every sum is one bit off."""
    pytest.importorskip("numba")
    from hf_curation.sampling import fast

    def old(*arguments):
        done = compiled(*arguments)
        arguments[-2][:] = np.nextafter(arguments[-2], np.inf)
        return done

    compiled = fast.read_documents
    monkeypatch.setattr(fast, "read_documents", old)
    assert isinstance(load_featurizer(FeatureSpec()), PlainFeaturizer)
    assert "out of date" in caplog.text
    with pytest.raises(RuntimeError, match=r"delete \*.nbi and \*.nbc in .*kernels.__pycache__"):
        load_featurizer(FeatureSpec(), backend="fast")


def test_an_import_is_cheap():
    code = (
        "import sys, hf_curation.sampling; print([m for m in sys.modules if m in "
        "('numba', 'torch', 'transformers', 'datatrove', 'tokenizers', 'gigatoken')])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "[]"
