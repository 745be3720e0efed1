"""Cards, and pushes to the Hub."""

from hf_curation.hub.conditioned_model import ConditionedModel, conditioned_model_card
from hf_curation.hub.push import push_model
from hf_curation.hub.tokenizers import TokenizerPush, push_tokenizer
from hf_curation.hub.training_data import push_training_set

__all__ = [
    "ConditionedModel",
    "TokenizerPush",
    "conditioned_model_card",
    "push_model",
    "push_tokenizer",
    "push_training_set",
]
