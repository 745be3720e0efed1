# /// script
# dependencies = ["hf-curation[serve]"]
# ///
"""Refine documents with a model behind a server: the embedded tagger drops pages, the served model edits lines.

python recipes/serve_refiner/run.py --set server.model=NAME --set run.input=pages.jsonl.gz --set run.output=refined
python recipes/serve_refiner/run.py --config recipes/serve_refiner/nodes.yaml --set slurm.partition=gpu  # on a cluster

Settings: config.yaml beside this file < --config FILE < --set KEY=VALUE. An unknown key is an error. The settings as
they were used go to OUTPUT/logs/serve_refiner.json. With `launch.command` every task starts a server of its own; with
`slurm` the tasks are jobs, and this returns when they are submitted. Running again goes on where a run stopped.
"""

import argparse
import difflib
import inspect
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from datatrove_steps import RanksFailedError, RefineConfig, refine_pipeline
from datatrove_steps.node_server import NodeServerRefiner, ServerLaunch
from hf_curation.cli.launching import parse_slurm
from hf_curation.cli.watching import Progress, stderr_to
from hf_curation.refiners import ServerRefiner
from hf_curation.refiners.server import ServerPolicy

DEFAULTS = Path(__file__).with_name("config.yaml")
SECTIONS = {"run": RefineConfig, "server": ServerRefiner, "policy": ServerPolicy, "launch": ServerLaunch}
NOT_SETTINGS = {"run": {"chunk_refiner", "model", "preset"}, "server": {"policy"}, "launch": {"logs"}}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, help="YAML with some of the keys of config.yaml")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="run.limit=100, for example")
    args = parser.parse_args(argv)
    try:
        settings = read_settings(args.config, args.set)
        config = make_config(settings)
        executor = refine_pipeline(config, slurm=parse_slurm([f"{k}={v}" for k, v in settings["slurm"].items()]))
        logs = Path(config.output, "logs")
        logs.mkdir(parents=True, exist_ok=True)
        (logs / "serve_refiner.json").write_text(json.dumps(settings, indent=2))
        num_tasks = executor.pipeline[0].plan.world_size
        with stderr_to(logs / "stderr.log") as screen, Progress(logs.parent, num_tasks, screen):
            executor.run()
    except (ValueError, OSError, RanksFailedError) as error:
        print(f"serve_refiner: {error}", file=sys.stderr)
        return 1
    path = Path(config.output, "summary.json")
    if not path.exists():
        print(f"submitted; how far it is: hf-curation status {config.output}", file=sys.stderr)
        return 0
    summary = json.loads(path.read_text())
    keys = ("documents", "fallbacks", "rejected", "calls_applied", "prompt_tokens", "output_tokens")
    print(json.dumps({"output": config.output} | {key: summary[key] for key in keys}))
    return 0


def read_settings(path: Path | None, overrides: list[str]) -> dict[str, dict[str, Any]]:
    """Return the settings of all sections.

    Raises:
        ValueError: for a section or key that does not exist; it names the nearest one.
    """
    settings: dict[str, dict[str, Any]] = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))
    if path is not None:
        merge(settings, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    for override in overrides:
        name, _, value = override.partition("=")
        section, _, key = name.partition(".")
        merge(settings, {section: {key: yaml.safe_load(value)}})
    return settings


def merge(settings: dict[str, dict[str, Any]], changes: Mapping[str, Mapping[str, Any]]) -> None:
    for section, values in changes.items():
        if section == "slurm":  # what datatrove does not know goes to sbatch, which has its own words for a mistake
            settings["slurm"].update(values)
            continue
        if section not in SECTIONS:
            raise ValueError(f"unknown section {section!r}; there are {', '.join([*SECTIONS, 'slurm'])}")
        known = set(inspect.signature(SECTIONS[section]).parameters) - NOT_SETTINGS.get(section, set())
        for key, value in values.items():
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                raise ValueError(
                    f"unknown setting {section}.{key}" + (f"; did you mean {close[0]!r}?" if close else "")
                )
            settings[section][key] = value


def make_config(settings: Mapping[str, Mapping[str, Any]]) -> RefineConfig:
    run, server, launch = (dict(settings[name]) for name in ("run", "server", "launch"))
    policy = ServerPolicy(**settings["policy"])
    if launch["command"] is None:
        return RefineConfig(**run, chunk_refiner=ServerRefiner(**server, policy=policy))
    del server["base_url"]  # only its task knows the port
    logs = str(Path(run["output"], "logs", "servers").absolute())
    refiner = NodeServerRefiner(ServerLaunch(**launch, logs=logs), **server, policy=policy)
    return RefineConfig(**run, chunk_refiner=refiner)


if __name__ == "__main__":
    sys.exit(main())
