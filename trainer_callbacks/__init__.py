"""For `transformers.Trainer` under accelerate: MeCo and refiners, a data set and a collator each, and checks."""

from trainer_callbacks.checkpoints import last_complete_checkpoint
from trainer_callbacks.collator import MeCoDataCollator
from trainer_callbacks.cooldown import MeCoCooldownCallback
from trainer_callbacks.dataset import MeCoDataset
from trainer_callbacks.geometry import geometry_of
from trainer_callbacks.leakage import LeakageError, check_no_leakage
from trainer_callbacks.refiner_checks import RefinerChecks
from trainer_callbacks.refiner_rows import RefinerCollator, RefinerRows
from trainer_callbacks.refiner_trainer import RefinerTrainer
from trainer_callbacks.watch import NonFiniteError, WrongBatchError

__all__ = [
    "LeakageError",
    "MeCoCooldownCallback",
    "MeCoDataCollator",
    "MeCoDataset",
    "NonFiniteError",
    "RefinerChecks",
    "RefinerCollator",
    "RefinerRows",
    "RefinerTrainer",
    "WrongBatchError",
    "check_no_leakage",
    "geometry_of",
    "last_complete_checkpoint",
]
