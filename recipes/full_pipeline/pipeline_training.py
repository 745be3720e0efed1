"""Train with the meco recipe under `accelerate launch`, then score the model with and without metadata.

The recipe is started as a person would start it, with a configuration that is kept as `OUTPUT/train.yaml`: killed, it
goes on from its last whole checkpoint. On Slurm its batch script is submitted with `sbatch --wait`; a job that an
earlier launch submitted, and that is still there, is waited for first, since two would train into one folder.
"""

import os
import re
import subprocess
import sys
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pipeline_config import Config
from pipeline_corpus import held_out_rows
from pipeline_stages import tokenizer_of

from hf_curation.files.atomic import write_whole
from hf_curation.files.slurm_jobs import last_words

if TYPE_CHECKING:
    from pipeline_paths import Paths

ROOT: Final = Path(__file__).parents[2]
CPU: Final = ROOT / "recipes" / "accelerate_configs" / "cpu.yaml"
_EXCEPTION: Final = re.compile(r"(?!.*(CalledProcess|ChildFailed)Error)(run\.py|[\w.]+(Error|Exception|Interrupt)): .")
"""What Python ends with, those of launchers aside, which say that their child ended."""
THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def train(config: Config, paths: "Paths") -> dict[str, Any]:
    """Train in the conditioned phase and the cooldown; return the recipe's figures."""
    import json

    folder = paths.folder("train")
    folder.mkdir(parents=True, exist_ok=True)
    settings = paths.output / "train.yaml"
    write_whole(settings, _as_yaml(meco_settings(config, paths)))
    log = folder / "train.log"
    before = log.stat().st_size if log.exists() else 0
    if (code := _run(command(config, settings, log), log, environment_of(config))) != 0:
        raise RuntimeError(f"training ended with exit code {code}: {cause_in(log, before)} (log: {log})")
    summary = dict(json.loads((folder / "summary.json").read_bytes()))
    return {name: summary[name] for name in ("steps", "switch_step", "tokens", "last_loss")}


def meco_settings(config: Config, paths: "Paths") -> dict[str, Any]:
    """Return the configuration of the meco recipe, as its own file would hold it."""
    rows = config.train
    return {
        "data": {
            "documents": str(paths.folder("tokenize")),
            "seq_len": rows.seq_len,
            "plan": rows.plan,
            "allow_repeats": rows.allow_repeats,
            "held_out_documents": paths.inputs.held_out,
        },
        "model": asdict(config.model) | {"tokenizer": tokenizer_of(config, paths)},
        "conditioning": asdict(config.conditioning),
        "training": config.training | {"output_dir": str(paths.folder("train"))},
    }


def command(config: Config, settings: Path, log: Path) -> list[str]:
    """Return the command that trains, here or on Slurm."""
    if config.executor == "slurm":
        name = f"meco-{sha256(bytes(settings)).hexdigest()[:12]}"  # which `singleton` goes by
        options = {"job-name": name, "dependency": "singleton", "output": log} | config.sbatch
        words = [f"--{option}={value}" for option, value in options.items()]
        return ["sbatch", "--wait", *words, str(config.train.batch_script), str(settings)]
    recipe = ROOT / "recipes" / "meco_pretrain" / "run.py"
    accelerate_config = config.train.accelerate_config or CPU
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(accelerate_config)]
    return [*launch, str(recipe), "--config", str(settings)]


def evaluate(config: Config, paths: "Paths") -> dict[str, Any]:
    """Return bits per byte of held-out texts with and without metadata, at the switch and at the end.

    The figures are those of held-out texts that have metadata; `groups` has them by the texts' `group`.
    """
    rows = held_out_rows(paths.inputs.held_out)
    if not rows:
        return {"note": "no held-out texts: read.held_out is not given"}
    folder = paths.folder("train")
    switch = paths.records.facts("train")["switch_step"]
    models = {"at the switch": folder / f"checkpoint-{switch}", "at the end": folder / "final"}
    with AllThreads():
        return {"scores": {when: _scores(config, path, rows) for when, path in models.items() if path.exists()}}


def _scores(config: Config, path: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    from hf_curation.evaluation import Conditioner, bits_per_byte, score_documents
    from hf_curation.metadata import parse_template

    logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(path).eval()
    template = parse_template(config.conditioning.template, on_missing=config.conditioning.on_missing)
    conditioner = Conditioner(AutoTokenizer.from_pretrained(path), template)
    rows = [row for row in rows if conditioner.prefix(row)]
    groups = {"all": rows} | {name: [row for row in rows if row["group"] == name] for name in _groups(rows)}
    return {
        name: {
            "with_metadata": bits_per_byte(score_documents(model, conditioner, _texts(group), group)),
            "without": bits_per_byte(score_documents(model, conditioner, _texts(group))),
            "documents": len(group),
        }
        for name, group in groups.items()
        if group
    }


class AllThreads:
    """A context in which torch uses the processors that this process may use, unless OMP_NUM_THREADS was given."""

    was_given = "OMP_NUM_THREADS" in os.environ

    def __enter__(self) -> None:
        import torch

        self.before = torch.get_num_threads()
        if not self.was_given and hasattr(os, "sched_getaffinity"):
            torch.set_num_threads(len(os.sched_getaffinity(0)))

    def __exit__(self, *_: object) -> None:
        import torch

        torch.set_num_threads(self.before)


def environment_of(config: Config) -> dict[str, str]:
    """Return the environment of the command; jobs of Slurm's take it over."""
    found = {name: value for name, value in os.environ.items() if AllThreads.was_given or name not in THREADS}
    if config.executor == "slurm":
        # The batch script calls `accelerate`, which need not be on the path of who calls this Python by its own.
        found["PATH"] = os.pathsep.join((str(Path(sys.prefix, "bin")), found.get("PATH", "")))
        if config.train.accelerate_config is not None:
            found["ACCELERATE_CONFIG"] = str(config.train.accelerate_config.absolute())
    return found


def _run(words: list[str], log: Path, environment: dict[str, str]) -> int:
    """Run a command with its output in a log; return the exit code."""
    with log.open("ab") as file:
        return subprocess.run(words, cwd=ROOT, env=environment, stdout=file, stderr=file, check=False).returncode


def cause_in(log: Path, start: int = 0) -> str:
    """Return in one line what went wrong by a log, from byte `start` on: the exception, or what Slurm says."""
    with log.open("rb") as file:
        file.seek(start)
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines()]
    told = [line for line in lines if _EXCEPTION.match(line)]
    return told[-1] if told else last_words(log, start)


def _as_yaml(settings: dict[str, Any]) -> bytes:
    import orjson

    return orjson.dumps(settings, option=orjson.OPT_INDENT_2)  # JSON is YAML, and enumerations go as their values


def _groups(rows: list[dict[str, Any]]) -> list[str]:
    return sorted({row["group"] for row in rows} - {"all"})


def _texts(rows: list[dict[str, Any]]) -> list[str]:
    return [row["text"] for row in rows]
