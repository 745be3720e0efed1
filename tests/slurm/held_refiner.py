"""A refiner for jobs of Slurm's that removes lines that begin with "menu", and does what a folder of signs tells it.

While the file `hold` is there, it waits; while `eat` is there, it takes memory until it is stopped. Every attempt
leaves a line in `attempts`: how often Slurm has put its job back into the queue.
"""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hf_curation.programs.model import Dialect, Scope, Stage
from hf_curation.refiners.base import Draft, Window


@dataclass
class HeldRefiner:
    signs: str
    stage: Stage = Stage.CHUNK
    dialect: Dialect = Dialect.PROX
    name: str = "held@1"

    def windows(self, text: str) -> list[Window]:
        return [Window(text, 0, Scope(0, len(text), 0))]

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        signs, eaten = Path(self.signs), []
        with (signs / "attempts").open("a") as file:
            file.write(os.environ.get("SLURM_RESTART_COUNT", "0") + "\n")
        while (signs / "hold").exists():
            time.sleep(0.05)
        while (signs / "eat").exists():
            eaten.append(b"x" * 2**26)
            time.sleep(0.1)
        return [self._draft(window.text) for window in windows]

    def _draft(self, text: str) -> Draft:
        lines = [i for i, line in enumerate(text.split("\n")) if line.startswith("menu")]
        return Draft("\n".join(f"remove_lines(line_start={i}, line_end={i})" for i in lines) or "keep_chunk()")
