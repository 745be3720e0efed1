"""`refiner.json`: how the model in a folder wants to be asked, written by whoever trained it.

Weights do not say what prompt they were tuned on, and a model that is asked in another form answers nonsense without
an error. With this file beside them `load_refiner(folder)` needs no preset.

    {"stages": {"chunk": {"preset": "generic-chunk", "window_tokens": 512, "max_new_tokens": 160}}}
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from hf_curation.refiners.base import Stage

REFINER_FILE: Final = "refiner.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """How a model is asked in one stage; None: as the preset says."""

    preset: str
    system: str | None = None
    window_tokens: int | None = None
    max_new_tokens: int | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What `CausalLMRefiner` is given beside the preset."""
        return {name: value for name, value in asdict(self).items() if name != "preset" and value is not None}


def write_description(folder: Path, stages: Mapping[Stage, Described]) -> None:
    """Write `refiner.json` into a model's folder."""
    found = {str(stage): {"preset": told.preset} | told.options for stage, told in stages.items()}
    text = json.dumps({"stages": found}, indent=2, ensure_ascii=False)
    (folder / REFINER_FILE).write_text(text + "\n", encoding="utf-8")


def read_description(folder: Path, stage: Stage, *, name: str | None = None) -> Described | None:
    """Return what a folder says about one stage; None where it says nothing at all.

    Args:
        folder: Where `refiner.json` may be.
        stage: The pass that programs are wanted for.
        name: What errors call the model; None: its folder.

    Raises:
        ValueError: if the model was not trained for this stage, or the file cannot be read.
    """
    path = folder / REFINER_FILE
    if not path.is_file():
        return None
    try:
        stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
        told = {name: Described(**settings) for name, settings in stages.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{name or folder}: {REFINER_FILE} cannot be read ({error}); name a preset") from error
    if stage not in told:
        trained = ", ".join(told) or "no"
        raise ValueError(f"{name or folder} was trained for the {trained} stage, not for the {stage} stage")
    return told[stage]
