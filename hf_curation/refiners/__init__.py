"""Who writes refinement programs: the embedded line tagger, causal LMs in process, servers."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hf_curation.refiners.base import Draft, Refiner, Stage, Window
from hf_curation.refiners.load import load_refiner
from hf_curation.refiners.refine import Refined, refine_texts

if TYPE_CHECKING:
    from hf_curation.refiners.causal_lm import CausalLMRefiner
    from hf_curation.refiners.server import ServerRefiner
    from hf_curation.refiners.tagger import LineTagger

__all__ = [
    "CausalLMRefiner",
    "Draft",
    "LineTagger",
    "Refined",
    "Refiner",
    "ServerRefiner",
    "Stage",
    "Window",
    "load_refiner",
    "refine_texts",
]

# The refiners themselves wait until they are asked for: the menu costs no numpy.
_LAZY = {
    "CausalLMRefiner": "hf_curation.refiners.causal_lm",
    "LineTagger": "hf_curation.refiners.tagger",
    "ServerRefiner": "hf_curation.refiners.server",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - module attribute
    """Import a refiner the first time it is named."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)
