"""Imported by the fork server, for the ranks that it forks: steps, compiled kernels and their tables, ready to use.

A process that loads all of this by itself takes 2 to 3 seconds of a processor before its first document; a rank of
128 MiB takes about one. A fork of this process begins at once. Tokenizers are loaded by each rank: which one is not
known here.
"""

import numpy as np

from datatrove_steps.importance import pipeline  # noqa: F401 - for the ranks
from datatrove_steps.importance.featurizers import featurizer_of
from datatrove_steps.importance.kept import PROBES
from hf_curation.sampling.leakage import LeakIndex
from hf_curation.sampling.spec import FeatureSpec

_TEXT = "one text of a few words, to have the kernels loaded"


def warm_up() -> None:
    """Run every kernel once."""
    spec = FeatureSpec()
    featurizer = featurizer_of(spec)
    featurizer.count([_TEXT], np.zeros(spec.num_buckets, np.int64))
    featurizer.score([_TEXT], np.zeros(spec.num_buckets))
    PROBES.count([_TEXT], PROBES.empty())
    LeakIndex.build([("", _TEXT)]).find([_TEXT])


warm_up()
