"""The recipe's configuration file: read, checked key by key, and turned into a `TrainConfig`."""

import difflib
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from augment import Augmentation
from model import Shape
from train import TrainConfig

CONFIG = Path(__file__).with_name("config.yaml")


def read_settings(path: Path, overrides: list[str]) -> dict[str, Any]:
    """Return the settings of a YAML file; an override is `key=value` or `section.key=value`, the value in YAML."""
    settings: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    for override in overrides:
        name, _, value = override.partition("=")
        *sections, key = name.split(".")
        place = settings
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = yaml.safe_load(value)
    return settings


def train_config(settings: dict[str, Any]) -> TrainConfig:
    """Return the training configuration; `version` goes to the weights file and is left out.

    Raises:
        ValueError: for a key that does not exist.
    """
    plain = {key: value for key, value in settings.items() if key != "version"}
    shape = _known(Shape, plain.pop("shape", {}), "shape.")
    how = _known(Augmentation, plain.pop("augmentation", {}), "augmentation.")
    if "dilations" in shape:
        shape["dilations"] = tuple(shape["dilations"])
    plain = _known(TrainConfig, plain, "")
    plain["seeds"] = tuple(plain.get("seeds", (0,)))
    return TrainConfig(**plain, shape=Shape(**shape), augmentation=Augmentation(**how))


def _known(cls: type, values: dict[str, Any], prefix: str) -> dict[str, Any]:
    names = [f.name for f in fields(cls)]
    for key in values:
        if key not in names:
            close = difflib.get_close_matches(key, names, n=1)
            hint = f"; did you mean {prefix + close[0]!r}?" if close else ""
            raise ValueError(f"unknown setting {prefix + key!r}{hint}")
    return dict(values)
