"""Training data for refiners: labels from clean text or from a teacher, gates, splits, a report."""

from hf_curation.refiners.training.examples import ORIGINS, Example
from hf_curation.refiners.training.gates import EXCLUSIONS
from hf_curation.refiners.training.make import TrainingSet, make_training_set
from hf_curation.refiners.training.noise import NoiseBank, NoiseRules, inject_noise
from hf_curation.refiners.training.settings import TrainingDataConfig
from hf_curation.refiners.training.splits import SplitRule
from hf_curation.refiners.training.store import read_training_set, write_training_set
from hf_curation.refiners.training.teacher import Teacher, TeacherCost

__all__ = [
    "EXCLUSIONS",
    "ORIGINS",
    "Example",
    "NoiseBank",
    "NoiseRules",
    "SplitRule",
    "Teacher",
    "TeacherCost",
    "TrainingDataConfig",
    "TrainingSet",
    "inject_noise",
    "make_training_set",
    "read_training_set",
    "write_training_set",
]
