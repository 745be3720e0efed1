"""What a resume needs: a record of the run in every checkpoint, and a mark on those that are whole.

The Trainer writes a checkpoint file by file at its final name, `trainer_state.json` last; a run that is killed in
between leaves a folder that `resume_from_checkpoint=True` picks and that cannot be loaded or, on several processes,
loads without one process's random state. So `meco_state.json` is written last, after all processes are through, with
the size of every file: a checkpoint without it is torn. `last_complete_checkpoint` finds the newest that is not.

The record also travels inside `trainer_state.json`, so that a checkpoint can be resumed from wherever it was moved.
"""

import re
import shutil
from pathlib import Path
from typing import Any, Final

import orjson

from hf_curation.files.atomic import write_json

STATE_FILE: Final = "meco_state.json"
_TRAINER_STATE: Final = "trainer_state.json"

Record = dict[str, Any]


def last_complete_checkpoint(output_dir: str | Path) -> str | None:
    """Return the newest checkpoint of a MeCo run that was written whole; None when there is none.

    For `trainer.train(resume_from_checkpoint=last_complete_checkpoint(args.output_dir))`, in the first start too.
    """
    for _, path in sorted(_checkpoints(Path(output_dir)), reverse=True):
        if is_complete(path):
            return str(path)
    return None


def is_complete(checkpoint: Path) -> bool:
    """Tell whether a checkpoint has its mark, and every file the size that the mark says."""
    mark = _read(checkpoint / STATE_FILE)
    if mark is None:
        return False
    return all(
        (checkpoint / name).is_file() and (checkpoint / name).stat().st_size == size
        for name, size in mark["files"].items()
    )


def mark_complete(checkpoint: Path, record: Record) -> None:
    """Write `meco_state.json`; every process must be through with its files."""
    files = {
        path.relative_to(checkpoint).as_posix(): path.stat().st_size
        for path in sorted(checkpoint.rglob("*"))
        if path.is_file() and path.name != STATE_FILE
    }
    write_json(checkpoint / STATE_FILE, record | {"files": files})


def unmark(checkpoint: Path) -> None:
    """Take the mark off a checkpoint that this run is about to write anew."""
    (checkpoint / STATE_FILE).unlink(missing_ok=True)


def torn_checkpoint(output_dir: Path) -> Path | None:
    """Return the checkpoint that `resume_from_checkpoint=True` would pick, where a kill left it torn."""
    newest = max(_checkpoints(output_dir), default=None)
    return newest[1] if newest is not None and _is_torn(newest[1]) else None


def remove_torn(output_dir: Path, after_step: int) -> list[str]:
    """Remove checkpoints of a MeCo run that a kill left torn, later than `after_step`; return their names.

    Left alone, one of them can count as the newest in the Trainer's rotation, which then deletes a whole one.
    """
    torn = [path for step, path in _checkpoints(output_dir) if step > after_step and _is_torn(path)]
    for path in torn:
        shutil.rmtree(path, ignore_errors=True)
    return [path.name for path in torn]


def check_resume(old: Record | None, new: Record, step: int, *, allow_other_geometry: bool) -> None:
    """Refuse to go on from a checkpoint of another run.

    Args:
        old: What the checkpoint says; None when it says nothing.
        new: What this run says of itself.
        step: Where the checkpoint stands.
        allow_other_geometry: Let processes, batch and accumulation differ where their product is equal.

    Raises:
        ValueError: says what differs, and what to do.
    """
    if old is None:
        raise ValueError(
            f"the checkpoint of step {step} is of no MeCo run: start afresh, without resume_from_checkpoint"
        )
    for name in ("samples_per_step", "max_steps", "switch_step"):
        if old[name] != new[name]:
            raise ValueError(
                f"{name} was {old[name]} in the checkpoint of step {step} and is {new[name]}: {_HINTS[name]}"
            )
    for name in ("world_size", "per_device_batch", "accumulation"):
        if old[name] != new[name] and not allow_other_geometry:
            raise ValueError(
                f"{name} was {old[name]} in the checkpoint of step {step} and is {new[name]}: launch as before, or "
                "pass allow_other_geometry=True (every step keeps its rows, weights differ in their last bits)"
            )
    _check_data(old, new, step)


def _check_data(old: Record, new: Record, step: int) -> None:
    if old["loss_on_metadata"] != new["loss_on_metadata"]:
        raise ValueError(
            f"loss_on_metadata was {old['loss_on_metadata']} in the checkpoint of step {step} and is "
            f"{new['loss_on_metadata']}: give the collator the old value"
        )
    for phase in sorted({*old["data"], *new["data"]}):
        # Up to the switch another cooldown may be put behind the conditioned phase: one trunk, several branches.
        is_ahead = phase == "cooldown" and step <= new["switch_step"]
        if old["data"].get(phase) != new["data"].get(phase) and not is_ahead:
            raise ValueError(
                f"the rows of the {phase} phase are not those of the checkpoint of step {step}: build MeCoDataset "
                "from the same store with the same seed, seq_len, plan, schedule and template, or start afresh"
                f"{_told_blocks(old.get('block_documents'), new['block_documents'])}"
            )


def _told_blocks(old: int | None, new: int) -> str:
    """Return what to say of the blocks that documents were packed in."""
    if old is None:
        return "; earlier releases packed all documents as one block: block_documents=len(store) does so"
    return f"; block_documents was {old} and is {new}" if old != new else ""


_HINTS: Final = {
    "samples_per_step": "set processes x per_device_train_batch_size x gradient_accumulation_steps to the old value",
    "max_steps": "set the old value; a longer run is a new run, as its learning-rate curve is another",
    "switch_step": "set the old schedule",
}


def _checkpoints(output_dir: Path) -> list[tuple[int, Path]]:
    found = ((re.fullmatch(r"checkpoint-(\d+)", path.name), path) for path in output_dir.glob("checkpoint-*"))
    return [(int(match[1]), path) for match, path in found if match and path.is_dir()]


def _is_torn(checkpoint: Path) -> bool:
    if is_complete(checkpoint):
        return False
    state = _read(checkpoint / _TRAINER_STATE)
    return state is None or "meco" in state.get("stateful_callbacks", {})


def _read(path: Path) -> dict[str, Any] | None:
    """Return a JSON object; None where there is none, or half of one."""
    try:
        data = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    return data if isinstance(data, dict) else None
