"""Importance sampling in passes over files: count, fit, weigh, choose, keep; each a datatrove step."""

from datatrove_steps.importance.choose import ChooseThreshold
from datatrove_steps.importance.config import SelectConfig
from datatrove_steps.importance.count import CountNgrams
from datatrove_steps.importance.finish import FinishSelection
from datatrove_steps.importance.fit import BuildLeakIndex, FitImportance
from datatrove_steps.importance.keep import KeepChosen
from datatrove_steps.importance.pipeline import importance_sampling
from datatrove_steps.importance.weigh import WeighDocuments

__all__ = [
    "BuildLeakIndex",
    "ChooseThreshold",
    "CountNgrams",
    "FinishSelection",
    "FitImportance",
    "KeepChosen",
    "SelectConfig",
    "WeighDocuments",
    "importance_sampling",
]
