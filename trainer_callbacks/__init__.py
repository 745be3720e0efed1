"""MeCo for `transformers.Trainer` under accelerate: a data set, a collator, a callback."""

from trainer_callbacks.collator import MeCoDataCollator
from trainer_callbacks.dataset import MeCoDataset, geometry_of

__all__ = ["MeCoDataCollator", "MeCoDataset", "geometry_of"]
