"""Cards, and pushes to the Hub."""

from hf_curation.hub.commits import Pushed
from hf_curation.hub.conditioned_model import ConditionedModel, conditioned_model_card
from hf_curation.hub.folders import push_folder
from hf_curation.hub.metrics import push_metric
from hf_curation.hub.models import push_model
from hf_curation.hub.runs import push_run
from hf_curation.hub.tokenizers import TokenizerPush, push_tokenizer
from hf_curation.hub.training_data import push_training_set

__all__ = [
    "ConditionedModel",
    "Pushed",
    "TokenizerPush",
    "conditioned_model_card",
    "push_folder",
    "push_metric",
    "push_model",
    "push_run",
    "push_tokenizer",
    "push_training_set",
]
