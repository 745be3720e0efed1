"""Registers the model type `meco` with lm-evaluation-harness, without a fork and without importing it before."""

from functools import cache
from typing import Any, Final

from hf_curation.evaluation.harness.optional import need_lm_eval

MODEL_NAME: Final = "meco"


@cache
def register() -> Any:  # noqa: ANN401 - a class of lm_eval's making
    """Return the model class, registered under `meco`: `lm_eval.simple_evaluate(model="meco", ...)` finds it."""
    registry = need_lm_eval("lm_eval.api.registry")
    need_lm_eval("lm_eval.models")
    from hf_curation.evaluation.harness.model import make_model_class  # noqa: PLC0415

    return registry.register_model(MODEL_NAME)(make_model_class())
