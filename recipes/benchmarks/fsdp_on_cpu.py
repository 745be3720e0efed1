r"""The run of `resume_run.py` under FSDP2 on gloo processes: accelerate's own path, without a GPU.

ACCELERATE_USE_CPU=true accelerate launch --config_file recipes/accelerate_configs/fsdp2.yaml --num_processes 2 \
    --mixed_precision no recipes/benchmarks/fsdp_on_cpu.py runs/fsdp

On the CPU accelerate ignores an FSDP configuration without a word and runs DDP. What keeps it from FSDP is one test of
the kind of processes, which is answered for it here; everything behind that is its own: `fully_shard`, DTensors,
sharded checkpoints, and loading them. The last line is JSON: `model` and `parameter` (their classes), `local_share`
(of the first parameter, that this process holds), `steps`.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType
from resume_run import make_store, train_to_the_end
from transformers import Trainer, TrainerCallback


def allow_fsdp_on_cpu() -> None:
    """Let accelerate take processes on the CPU for processes on GPUs, for the one decision whether to shard."""
    create = Trainer.create_accelerator_and_postprocess

    def create_sharding(self: Any) -> None:  # noqa: ANN401
        if self.args.world_size < 2:
            sys.exit("FSDP needs at least two processes: accelerate launch --num_processes 2")
        PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        create(self)

    Trainer.create_accelerator_and_postprocess = create_sharding


class Report(TrainerCallback):
    """Looks at the model that was trained."""

    def on_train_end(self, args: Any, state: Any, control: Any, model: Any, **kwargs: Any) -> None:  # noqa: ANN401
        """Print the last line."""
        parameter = next(model.parameters())
        local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
        figures = {
            "model": type(model).__name__,
            "parameter": type(parameter).__name__,
            "local_share": local.numel() / parameter.numel(),
            "steps": state.global_step,
        }
        if state.is_world_process_zero:
            print("\n" + json.dumps(figures), flush=True)


def main(folder: Path) -> None:
    torch.set_num_threads(1)
    allow_fsdp_on_cpu()
    with PartialState(cpu=True).main_process_first():
        if not (folder / "store/store.json").exists():
            make_store(folder / "store")
    train_to_the_end(folder / "store", folder / "run", 0, callbacks=[Report()])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
