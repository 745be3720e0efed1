# /// script
# dependencies = ["hf-curation[train,refine]"]
# ///
r"""Fine-tune a causal language model to write cleaning programs; the same command goes on after a kill.

accelerate launch recipes/train_refiner/run.py --config recipes/train_refiner/finetune.yaml \
    --data.dataset you/data --model.base HuggingFaceTB/SmolLM2-135M-Instruct

Settings: `refiner_config.py`; a key may do without its section (`--training.max_steps`, `--max_steps`). Under
`training.output_dir`: `config.yaml` (resolved), checkpoints, `history.json` (everything that was logged), and
`final/` with the best checkpoint's adapter or model, tokenizer, card and `refiner.json`, which `load_refiner` reads.
`--push you/refiner` uploads it, private unless `--private false`; with `--dry-run` it says what it would send.
"""

import json
import logging
import sys
from pathlib import Path
from typing import Any

from refiner_card import RefinerFacts, write_card
from refiner_config import Config, check_same_run
from refiner_data import RefinerData, check_metric, load_data, pinned
from refiner_model import describe, keeps_logits, make_model
from refiner_pages import page_table

from hf_curation.config import resolve, split_config_path, write_yaml
from hf_curation.files.atomic import write_json

logger = logging.getLogger("train_refiner")
SPEED = ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second", "eval_model_preparation_time")
"""What the Trainer logs beside figures of the model."""


def main(arguments: list[str]) -> None:
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return
    path, settings = split_config_path(["--dry_run" if word == "--dry-run" else word for word in arguments])
    config = resolve(Config, path, settings)
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list
    from transformers import TrainingArguments

    from hf_curation.refiners.causal_lm.loading import Source, load_tokenizer
    from trainer_callbacks import last_complete_checkpoint

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = TrainingArguments(**config.training)
    config = broadcast_object_list([pinned(config) if args.process_index == 0 else None])[0]
    checkpoint = last_complete_checkpoint(args.output_dir)
    if checkpoint is not None:
        check_same_run(config, config.output / "config.yaml")
    tokenizer = load_tokenizer(Source(model=config.model.base, revision=config.model.revision))
    with PartialState().main_process_first():
        data = load_data(config, tokenizer)
    check_metric(config, data)
    PartialState().wait_for_everyone()  # the checks above, in every process, before the file below is another
    if args.process_index == 0:
        config.output.mkdir(parents=True, exist_ok=True)
        write_yaml(config.output / "config.yaml", config)
    trainer = make_trainer(config, args, tokenizer, data)
    trainer.train(resume_from_checkpoint=checkpoint)
    save(config, trainer)
    if trainer.is_world_process_zero():
        finish(config, trainer, data)


def make_trainer(config: Config, args: Any, tokenizer: Any, data: RefinerData) -> Any:  # noqa: ANN401
    """Return the Trainer; the examples are packed here."""
    from trainer_callbacks import RefinerChecks, RefinerCollator, RefinerRows, RefinerTrainer

    rows = RefinerRows(data.train.encoded, seq_len=config.data.seq_len, seed=args.seed)
    held_out = RefinerRows(data.held_out.encoded, seq_len=config.data.seq_len) if len(data.held_out) else None
    if args.process_index == 0:
        logger.info(
            "%d examples in %d rows, %d tokens, %d of them trained; %d examples left out as too long",
            *(len(data.train), len(rows), rows.num_tokens, rows.num_trained, data.train.too_long.total()),
        )
    model = make_model(config, gradient_checkpointing=args.gradient_checkpointing)
    layout = "flattened" if "flash" in config.model.attention else "rows"
    collator = RefinerCollator(tokenizer, layout=layout, trained_positions_only=keeps_logits(model))
    return RefinerTrainer(
        model=model,
        args=args,
        train_dataset=rows,
        eval_dataset=held_out,
        data_collator=collator,
        processing_class=tokenizer,
        callbacks=[RefinerChecks(collator)],
        windows=data.asked,
        max_new_tokens=config.evaluation.max_new_tokens,
        eval_batch=config.evaluation.batch_size,
    )


def save(config: Config, trainer: Any) -> None:  # noqa: ANN401
    """Write weights and tokenizer; every process takes part."""
    if trainer.is_fsdp_enabled:  # checkpoints are sharded, the model that people load is not
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(config.output / "final"))


def finish(config: Config, trainer: Any, data: RefinerData) -> None:  # noqa: ANN401
    """Write card and figures, and push the folder where that was asked for."""
    final, state = config.output / "final", trainer.state
    (final / "training_args.bin").unlink(missing_ok=True)  # a pickle; train_config.yaml says the same
    write_yaml(final / "train_config.yaml", config)
    describe(final, data.train, data.settings)
    write_json(config.output / "history.json", state.log_history)
    facts = facts_of(config, trainer, data, page_table(config, final, data))
    write_card(final, config, facts)
    print(
        json.dumps({"steps": facts.steps, "best_step": facts.best_step, "folder": str(final)} | dict(facts.held_out))
    )
    if config.push is not None:
        push(config, final, facts.steps)


def push(config: Config, folder: Path, steps: int) -> None:
    """Upload the folder in one commit, or say what would be sent."""
    from hf_curation.hub import push_model

    if config.lora.enabled and Path(config.model.base).is_dir():
        logger.warning("the adapter is for %s, which others do not have: push that too", config.model.base)
    title = f"Refiner after {steps} steps"
    done = push_model(folder, str(config.push), title=title, private=config.private, dry_run=config.dry_run)
    sent = "\n".join(f"  {name} {size:,} bytes" for name, size in done.files)
    logger.info("%s\n%s", f"would be sent to {config.push}:" if config.dry_run else f"pushed: {done.url}", sent)


def facts_of(config: Config, trainer: Any, data: RefinerData, pages: list[str]) -> RefinerFacts:  # noqa: ANN401
    """Return what the card says; the figures are those of the weights that were kept."""
    state, args = trainer.state, trainer.args
    best = state.best_global_step if args.load_best_model_at_end else None
    held_out: dict[str, float] = {}
    for entry in state.log_history:
        if entry["step"] == (best or state.global_step):
            held_out |= {
                name: value for name, value in entry.items() if name.startswith("eval_") and name not in SPEED
            }
    return RefinerFacts(
        examples=len(data.train),
        tokens=trainer.train_dataset.num_tokens,
        too_long=data.train.too_long.total(),
        commit=data.commit,
        steps=state.global_step,
        rows_per_step=args.world_size * args.train_batch_size * args.gradient_accumulation_steps,
        best_step=best,
        held_out=held_out,
        windows=len(data.asked),
        stages=sorted({example.stage for example in data.train.examples}),
        pages=pages,
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as error:
        raise SystemExit(f"run.py: {error}") from error
