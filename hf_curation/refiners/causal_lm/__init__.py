"""A causal LM in this process as a refiner."""

from hf_curation.refiners.causal_lm.refiner import CausalLMRefiner

__all__ = ["CausalLMRefiner"]
