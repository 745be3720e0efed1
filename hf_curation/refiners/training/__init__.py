"""Training of refiners: labels from clean text or from a teacher, gates, splits, a report; then ids and figures."""

from hf_curation.refiners.training.encode import EncodedExample, EncodedExamples, encode_examples
from hf_curation.refiners.training.examples import ORIGINS, Example
from hf_curation.refiners.training.gates import EXCLUSIONS
from hf_curation.refiners.training.make import TrainingSet, make_training_set
from hf_curation.refiners.training.mixing import mix_examples
from hf_curation.refiners.training.noise import NoiseBank, NoiseRules, inject_noise
from hf_curation.refiners.training.scoring import WindowFigures, score_windows
from hf_curation.refiners.training.settings import TrainingDataConfig
from hf_curation.refiners.training.splits import SplitRule
from hf_curation.refiners.training.store import read_training_set, write_training_set
from hf_curation.refiners.training.teacher import Teacher, TeacherCost

__all__ = [
    "EXCLUSIONS",
    "ORIGINS",
    "EncodedExample",
    "EncodedExamples",
    "Example",
    "NoiseBank",
    "NoiseRules",
    "SplitRule",
    "Teacher",
    "TeacherCost",
    "TrainingDataConfig",
    "TrainingSet",
    "WindowFigures",
    "encode_examples",
    "inject_noise",
    "make_training_set",
    "mix_examples",
    "read_training_set",
    "score_windows",
    "write_training_set",
]
