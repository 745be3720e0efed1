# /// script
# dependencies = ["hf-curation[train]"]
# ///
r"""MeCo pre-training and its cooldown, in one run that resumes by the same command.

accelerate launch --config_file recipes/accelerate_configs/cpu.yaml recipes/meco_pretrain/run.py \
    --config recipes/meco_pretrain/config_cpu.yaml --max_steps 40

Settings: `meco_config.py`; a key may be written with or without its section (`--training.max_steps`, `--max_steps`).
Under `training.output_dir`: `config.yaml` (resolved), tokenizer and data, checkpoints, `held_out.json` (bits per byte
with and without metadata at the switch and at the end), and `final/` with model, tokenizer and card.
"""

import json
import logging
import os
import sys
from typing import Any

from meco_config import Config
from meco_data import check_not_trained_on, held_out, pin_models, prepare

from hf_curation.config import resolve, split_config_path, write_yaml
from hf_curation.files.atomic import write_json
from hf_curation.files.pins import split_revision
from hf_curation.hub import ConditionedModel, conditioned_model_card, push_model
from hf_curation.metadata import PrefixTemplate, parse_template

logger = logging.getLogger("meco_pretrain")


def main(arguments: list[str]) -> None:
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return
    path, settings = split_config_path(arguments)
    config = resolve(Config, path, settings)
    from accelerate import PartialState
    from transformers import TrainingArguments

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args = TrainingArguments(**config.training)
    check_world_size(args.world_size)
    with PartialState().main_process_first():
        config = pin_models(config)
        tokenizer, store, cooldown = prepare(config)
    if args.process_index == 0:
        config.output.mkdir(parents=True, exist_ok=True)  # of a store and a tokenizer that are there, nothing is made
        write_yaml(config.output / "config.yaml", config)
        logger.info("%d documents, %d tokens, world size %d", len(store), store.lengths_D.sum(), args.world_size)
    if not config.prepare_only:
        train(config, args, tokenizer, store, cooldown)


def check_world_size(world_size: int) -> None:
    """Refuse to train alone beside others: with a configuration of one process, every task of `srun` would.

    Raises:
        ValueError: if `srun` started more tasks than there are processes that train together.
    """
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if world_size < tasks:
        raise ValueError(
            f"srun started {tasks} tasks, but accelerate made {world_size} process of them: each would train alone, "
            "into the same folder; give a configuration with a distributed_type (ACCELERATE_CONFIG)"
        )


def train(config: Config, args: Any, tokenizer: Any, store: Any, cooldown: Any) -> None:  # noqa: ANN401
    """Train to the end, or to the switch where the configuration says so."""
    from held_out_scores import HeldOutScores
    from transformers import Trainer

    from trainer_callbacks import MeCoCooldownCallback, MeCoDataCollator, last_complete_checkpoint

    what, template = config.conditioning, template_of(config)
    dataset = make_dataset(config, args, tokenizer, store, cooldown)
    if args.process_index == 0:
        for table in dataset.tables:
            logger.info("prefixes: %s", ", ".join(f"{name} {n:,}" for name, n in table.counts.as_dict().items()))
    rows = held_out(config)
    for one in (store, cooldown):
        if one is not None:
            check_not_trained_on(rows, one, tokenizer)
    scores = HeldOutScores(rows, tokenizer, template, dataset.switch_step, config.output)
    callback = MeCoCooldownCallback(
        dataset, stop_after_conditioned=what.stop_after_conditioned, check_leakage=what.check_leakage
    )
    trainer = Trainer(
        model=make_model(config, tokenizer, args.seed),
        args=args,
        train_dataset=dataset,
        data_collator=MeCoDataCollator(
            tokenizer, template=template, layout=what.layout, loss_on_metadata=what.loss_on_metadata
        ),
        processing_class=tokenizer,
        callbacks=[callback, scores],
    )
    callback.lead(trainer)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(args.output_dir))
    if trainer.state.global_step < dataset.max_steps:
        logger.info("stopped at the switch, step %d; run again to train the cooldown", dataset.switch_step)
        return
    if trainer.is_fsdp_enabled:  # checkpoints are sharded, the model that people load is not
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    trainer.save_model(str(config.output / "final"))
    if trainer.is_world_process_zero():
        facts = facts_of(config, dataset, trainer.model.num_parameters(), scores.read())
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        finish(config, facts, losses[-1] if losses else None)


def make_dataset(config: Config, args: Any, tokenizer: Any, store: Any, cooldown: Any) -> Any:  # noqa: ANN401
    from trainer_callbacks import MeCoDataset, geometry_of

    return MeCoDataset(
        store,
        tokenizer,
        seq_len=config.data.seq_len,
        samples_per_step=geometry_of(args),
        max_steps=args.max_steps if args.max_steps > 0 else None,
        schedule=config.conditioning.to_schedule(args.seed),
        template=template_of(config),
        cooldown_store=cooldown,
        plan=config.data.plan,
        block_documents=config.data.block_documents,
        seed=args.seed,
        allow_repeats=config.data.allow_repeats,
    )


def make_model(config: Config, tokenizer: Any, seed: int) -> Any:  # noqa: ANN401
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, set_seed

    shape = config.model
    if shape.pretrained is not None:
        name, revision = split_revision(shape.pretrained)
        return AutoModelForCausalLM.from_pretrained(
            name, revision=revision, attn_implementation=shape.attention, use_safetensors=True
        )
    set_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=shape.hidden_size,
            intermediate_size=shape.intermediate_size,
            num_hidden_layers=shape.num_layers,
            num_attention_heads=shape.num_heads,
            num_key_value_heads=shape.num_kv_heads,
            max_position_embeddings=config.data.seq_len,
            rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
            tie_word_embeddings=shape.tie_embeddings,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            attn_implementation=shape.attention,
        )
    )


def template_of(config: Config) -> PrefixTemplate:
    return parse_template(config.conditioning.template, on_missing=config.conditioning.on_missing)


def facts_of(config: Config, dataset: Any, num_parameters: int, scores: dict[str, Any]) -> ConditionedModel:  # noqa: ANN401
    figures = dataset.figures(range(len(dataset)))
    return ConditionedModel(
        schedule=str(config.conditioning.schedule),
        steps=dataset.max_steps,
        switch_step=dataset.switch_step,
        rows_per_step=dataset.samples_per_step,
        seq_len=dataset.seq_len,
        tokens=figures.num_tokens,
        prefix_tokens=figures.num_prefix_tokens,
        prefix=dataset.template.describe(),
        loss_on_metadata=str(config.conditioning.loss_on_metadata),
        has_bos=dataset.special.bos is not None,
        documents=config.data.documents,
        cooldown_documents=config.data.cooldown_documents,
        data_fingerprint=dataset.fingerprint,
        plan=config.data.plan,
        seed=dataset.seed,
        num_parameters=num_parameters,
        bits_per_byte=scores,
        license=config.hub.license,
    )


def finish(config: Config, facts: ConditionedModel, last_loss: float | None) -> None:
    """Write card and figures, and push the model where that was asked for."""
    final = config.output / "final"
    (final / "training_args.bin").unlink(missing_ok=True)  # a pickle; meco_config.yaml says the same
    write_yaml(final / "meco_config.yaml", config)
    summary = {"steps": facts.steps, "switch_step": facts.switch_step, "tokens": facts.tokens}
    summary |= {"held_out": facts.bits_per_byte, "last_loss": last_loss}
    write_json(config.output / "summary.json", summary)
    if config.hub.repo_id is None:
        conditioned_model_card(facts, name=config.output.name).save(final / "README.md")
    else:
        logger.info("pushed: %s", push_model(final, config.hub.repo_id, facts, private=config.hub.private).url)
    print(json.dumps(summary))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except ValueError as error:
        raise SystemExit(f"run.py: {error}") from error
