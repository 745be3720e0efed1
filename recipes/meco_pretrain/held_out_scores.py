"""Bits per byte of held-out documents with and without their metadata, at the switch and at the end.

The gap between the two is what the model makes of metadata; what it costs to leave them out at the end is the price
of conditioning. Every process scores the same documents, since a sharded model computes on all of them together.
"""

import json
import logging
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from hf_curation.evaluation import Conditioner, bits_per_byte, score_documents
from hf_curation.files.atomic import write_json
from hf_curation.metadata import PrefixTemplate

logger = logging.getLogger("meco_pretrain")


class HeldOutScores(TrainerCallback):
    """Scores the model and keeps the figures in `held_out.json`, so that a resumed run has those of the switch.

    Args:
        documents: Columns and `text` of each; those without metadata are left out.
        tokenizer: Of the model.
        template: As in training.
        switch_step: When to score, besides at the end.
        folder: Where the file goes.
    """

    def __init__(
        self,
        documents: list[dict[str, Any]],
        tokenizer: Any,  # noqa: ANN401
        template: PrefixTemplate,
        switch_step: int,
        folder: Path,
    ) -> None:
        self.conditioner = Conditioner(tokenizer, template)
        self.documents = [doc for doc in documents if doc["text"] and self.conditioner.prefix(doc)]
        self.switch_step, self.path = switch_step, folder / "held_out.json"

    def read(self) -> dict[str, Any]:
        """Return step -> figures."""
        return dict(json.loads(self.path.read_bytes())) if self.path.exists() else {}

    def on_step_end(self, args: Any, state: Any, control: Any, *, model: Any, **kwargs: Any) -> None:  # noqa: ANN401, D102
        if not self.documents or state.global_step not in (self.switch_step, state.max_steps):
            return
        texts = [doc["text"] for doc in self.documents]
        figures = {
            name: bits_per_byte(score_documents(model, self.conditioner, texts, metadata))
            for name, metadata in (("with_metadata", self.documents), ("without", None))
        }
        if state.is_world_process_zero:
            figures["documents"] = len(texts)
            logger.info("step %d, held-out bits per byte: %s", state.global_step, figures)
            write_json(self.path, self.read() | {str(state.global_step): figures})
