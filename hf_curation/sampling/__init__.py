"""Target-aware sampling: hashed n-grams, importance weights, choice, evidence."""

from hf_curation.sampling.features import Featurizer, TextScores, TextSizes, load_featurizer
from hf_curation.sampling.importance import ImportanceModel, LogWeights, Scoring
from hf_curation.sampling.smoothing import BackOff, Floor, Smoothing
from hf_curation.sampling.spec import FeatureSpec

__all__ = [
    "BackOff",
    "FeatureSpec",
    "Featurizer",
    "Floor",
    "ImportanceModel",
    "LogWeights",
    "Scoring",
    "Smoothing",
    "TextScores",
    "TextSizes",
    "load_featurizer",
]
