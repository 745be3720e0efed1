"""Registers the model type `meco` with lm-evaluation-harness, without a fork and without importing it before."""

from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any, Final

MODEL_NAME: Final = "meco"


def need_lm_eval(module: str = "lm_eval") -> ModuleType:
    """Import a module of lm-evaluation-harness.

    Raises:
        ImportError: says what to install.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(f"`{module}` is needed here: pip install 'hf-curation[eval]'") from error


@cache
def register() -> Any:  # noqa: ANN401 - a class of lm_eval's making
    """Return the model class, registered under `meco`: `lm_eval.simple_evaluate(model="meco", ...)` finds it."""
    registry = need_lm_eval("lm_eval.api.registry")
    need_lm_eval("lm_eval.models")
    from hf_curation.evaluation.harness.model import make_model_class  # noqa: PLC0415

    return registry.register_model(MODEL_NAME)(make_model_class())
