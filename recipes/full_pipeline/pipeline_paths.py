"""Where stages write and what they read: the one place that knows their order."""

from pathlib import Path
from typing import Any, Final

from pipeline_config import Config
from pipeline_corpus import Inputs, inputs_of
from pipeline_records import Records

FOLDERS: Final = {
    "read": "input",
    "refine": "refined",
    "adapt": "tokenizer",
    "select": "selected",
    "tokenize": "tokens",
    "train": "model",
}
_MAKE_DOCUMENTS: Final = ("read", "refine", "select")


class Paths:
    """The folders of a run, and which stage feeds which.

    Args:
        config: Of the run.
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.output = config.output.expanduser().absolute()
        self.records = Records(self.output)
        self.inputs: Inputs = inputs_of(config.read, self.folder("read"))

    def folder(self, stage: str) -> Path:
        """Return the folder that a stage writes."""
        return self.output / FOLDERS[stage]

    def stage_before(self, stage: str) -> str:
        """Return the stage whose documents a stage reads: the last one before it that is not skipped."""
        order = (*_MAKE_DOCUMENTS, "tokenize")
        earlier = order[: order.index(stage)]
        return next((name for name in reversed(earlier) if self.config.is_in(name)), "read")

    def documents_before(self, stage: str) -> str:
        """Return the documents that a stage reads."""
        return self.documents_of(self.stage_before(stage))

    def documents_of(self, stage: str) -> str:
        """Return the documents that a stage wrote."""
        return self.inputs.documents if stage == "read" else str(self.folder(stage) / "data")

    def facts_before(self, stage: str) -> dict[str, Any]:
        """Return what came of the stage whose documents a stage reads."""
        return self.records.facts(self.stage_before(stage))

    def needs(self, stage: str) -> tuple[str, ...]:
        """Return the stages that must be finished before a stage, those that are skipped left out."""
        is_adapted_to = self.config.select.get("features") == "adapted"
        found = {
            "read": (),
            "refine": ("read",),
            "adapt": (self.stage_before("select"),),
            "select": (self.stage_before("select"), *(["adapt"] if is_adapted_to else [])),
            "tokenize": (self.stage_before("tokenize"), "adapt"),
            "train": ("tokenize",),
            "evaluate": ("train",),
            "compare": ("read", "refine", "select"),
        }
        return tuple(name for name in found.get(stage, ()) if self.config.is_in(name))
