"""Which featurizer finds the n-grams of a spec: compiled, or in Python."""

import logging
from typing import Literal

from hf_curation.sampling.features import Featurizer
from hf_curation.sampling.plain import load_plain
from hf_curation.sampling.spec import FeatureSpec
from hf_curation.vocabulary.encoding import BulkEncoder

logger = logging.getLogger(__name__)


def load_featurizer(
    spec: FeatureSpec, *, backend: Literal["auto", "fast", "plain"] = "auto", encoder: BulkEncoder | None = None
) -> Featurizer:
    """Return the featurizer of a spec.

    Args:
        spec: what the features are.
        backend: "fast" compiles kernels with numba (once a machine; they are cached on disk); "plain" is Python and
            numpy, with the same results; "auto" is the fast one, or with one line in the log the plain one where numba
            is not installed.
        encoder: of the spec's tokenizer, where one is loaded already, or another than the fastest is wanted.

    Raises:
        ImportError: for "fast" without numba; says what to install.
        RuntimeError: for "fast", if compiled kernels from a cache are out of date.
    """
    if backend not in ("auto", "fast", "plain"):
        raise ValueError(f"backend must be 'auto', 'fast' or 'plain', got {backend!r}")
    if backend == "plain":
        return load_plain(spec, encoder)
    try:
        import numba  # noqa: F401, PLC0415 - 0.3 s, and optional
    except ImportError as error:
        if backend == "fast":
            raise ImportError("`numba` is needed for backend='fast': pip install 'hf-curation[select]'") from error
        logger.info("numba is not installed: features are found in Python, 20 to 50 times slower, with equal results")
        return load_plain(spec, encoder)
    from hf_curation.sampling.fast import FastFeaturizer  # noqa: PLC0415 - imports numba

    try:
        return FastFeaturizer(spec, encoder)
    except RuntimeError as error:
        if backend == "fast":
            raise
        logger.warning("features are found in Python, 20 to 50 times slower, since %s", error)
        return load_plain(spec, encoder)
