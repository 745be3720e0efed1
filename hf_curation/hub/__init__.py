"""Cards, and pushes to the Hub."""

from hf_curation.hub.conditioned_model import ConditionedModel, conditioned_model_card
from hf_curation.hub.push import push_model

__all__ = ["ConditionedModel", "conditioned_model_card", "push_model"]
