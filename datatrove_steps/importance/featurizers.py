"""One featurizer for a process: it checks its kernels against Python when it is loaded, which takes a moment."""

from functools import lru_cache

from hf_curation.sampling.features import Featurizer
from hf_curation.sampling.loading import load_featurizer
from hf_curation.sampling.spec import FeatureSpec


@lru_cache(maxsize=4)
def featurizer_of(spec: FeatureSpec) -> Featurizer:
    """Return the featurizer of a spec, loaded at first use; it keeps nothing of the texts that it has seen."""
    return load_featurizer(spec)
