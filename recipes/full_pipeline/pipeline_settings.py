"""The settings that decide what a stage makes, those of the stages before it among them; see `pipeline_records`."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline_config import DEBIAN_DOCS, STAGES, Config

from hf_curation.files.atomic import canonical_json

if TYPE_CHECKING:
    from pipeline_paths import Paths

LAST: Final = ("report", "push")
"""Stages that look at everything which is finished."""


def settings_of(stage: str, config: Config, paths: "Paths") -> dict[str, Any]:
    """Return a stage's own settings, and under `after` those of what it reads from."""
    after = [name for name in STAGES if paths.records.read(name)] if stage in LAST else paths.needs(stage)
    own = _plain(_own(stage, config, paths))
    if stage in LAST:
        known = {name: _digest(paths.records.read(name)) for name in after if name not in LAST}
        return own | {"after": known}
    return own | {"after": {name: settings_of(name, config, paths) for name in after}}


def digest_of(stage: str, config: Config, paths: "Paths") -> str:
    """Return a short digest of a stage's settings, for the names of what is kept between launches."""
    return _digest(settings_of(stage, config, paths))


def _own(stage: str, config: Config, paths: "Paths") -> dict[str, Any]:
    if stage == "read":
        return _read(config, paths)
    base = config.tokenizer.base
    found: dict[str, Any] = {
        "refine": config.refine,
        "adapt": config.adapt | {"base": base},
        "select": config.select,
        "tokenize": config.tokenize | ({} if config.is_in("adapt") else {"base": base}),
        "train": {
            "rows": [config.train.seq_len, config.train.plan, config.train.allow_repeats],
            "model": asdict(config.model),
            "conditioning": asdict(config.conditioning),
            "training": {k: v for k, v in config.training.items() if k != "output_dir"},
        },
        "compare": asdict(config.compare),
        "push": asdict(config.push),
    }.get(stage, {})
    # How many tasks run at a time decides nothing that is written; what may be left out, only what would fail.
    return {name: value for name, value in found.items() if name not in {"workers", "allow_bad_shards"}}


def _read(config: Config, paths: "Paths") -> dict[str, Any]:
    asked = config.read
    if asked.documents == DEBIAN_DOCS:
        names = ("documents", "sites", "target_site", "pages_per_site")
        return {name: getattr(asked, name) for name in names}
    inputs = asdict(paths.inputs)
    return {name: _source_of(path) for name, path in inputs.items()}


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(canonical_json(settings)))


def _digest(record: Any) -> str:  # noqa: ANN401
    return sha256(canonical_json(record)).hexdigest()[:16]


def _source_of(path: str | None) -> Mapping[str, Any] | None:
    """Return a local input by its name and the digests of its files; a remote one by its address."""
    if path is None or path.startswith("benchmark:"):
        return path and {"name": path}
    if "://" in path:
        return {"name": path}
    from hf_curation.files.sources import find_source, fingerprint

    return {"name": Path(path).name, "sha256": fingerprint(find_source(path)).fingerprint}
