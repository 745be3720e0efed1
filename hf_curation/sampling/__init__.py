"""Target-aware sampling: hashed n-grams, importance weights, choice, evidence."""

from hf_curation.sampling.benchmarks import load_benchmark
from hf_curation.sampling.budget import Budget
from hf_curation.sampling.candidates import Candidates
from hf_curation.sampling.choice import Choice
from hf_curation.sampling.choose import choose, random_choice
from hf_curation.sampling.evidence import Evidence
from hf_curation.sampling.features import Featurizer, TextScores, TextSizes
from hf_curation.sampling.importance import ImportanceModel, LogWeights, Scoring
from hf_curation.sampling.keys import stable_hash64
from hf_curation.sampling.leakage import LeakIndex
from hf_curation.sampling.loading import load_featurizer
from hf_curation.sampling.probes import CharNgrams
from hf_curation.sampling.rules import ChoiceRules
from hf_curation.sampling.smoothing import BackOff, Floor, Smoothing
from hf_curation.sampling.spec import FeatureSpec

__all__ = [
    "BackOff",
    "Budget",
    "Candidates",
    "CharNgrams",
    "Choice",
    "ChoiceRules",
    "Evidence",
    "FeatureSpec",
    "Featurizer",
    "Floor",
    "ImportanceModel",
    "LeakIndex",
    "LogWeights",
    "Scoring",
    "Smoothing",
    "TextScores",
    "TextSizes",
    "choose",
    "load_benchmark",
    "load_featurizer",
    "random_choice",
    "stable_hash64",
]
