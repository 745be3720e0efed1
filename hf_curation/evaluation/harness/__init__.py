"""lm-evaluation-harness for models that were conditioned on metadata. Needs `pip install 'hf-curation[eval]'`."""

from hf_curation.evaluation.harness.canary import Canary, random_canary
from hf_curation.evaluation.harness.compare import CLOZE_TASKS, CONDITIONAL_HOSTS, Comparison, compare
from hf_curation.evaluation.harness.metadata import TaskMetadata
from hf_curation.evaluation.harness.register import MODEL_NAME, register

__all__ = [
    "CLOZE_TASKS",
    "CONDITIONAL_HOSTS",
    "MODEL_NAME",
    "Canary",
    "Comparison",
    "TaskMetadata",
    "compare",
    "random_canary",
    "register",
]
