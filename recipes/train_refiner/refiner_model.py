"""The model that is trained, and the folder that it becomes."""

import inspect
import logging
from pathlib import Path
from typing import Any

from refiner_config import Config, Lora

from hf_curation.refiners.base import Stage
from hf_curation.refiners.described import Described, write_description
from hf_curation.refiners.training.encode import EncodedExamples

logger = logging.getLogger("train_refiner")


def make_model(config: Config, *, gradient_checkpointing: bool = False) -> Any:  # noqa: ANN401
    """Return the base model, with an adapter where one is trained."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        config.model.base,
        revision=config.model.revision,
        dtype=config.model.dtype,
        attn_implementation=config.model.attention,
        use_safetensors=True,
    )
    model.config.use_cache = False  # training needs none, and packed rows must not share one
    if not config.lora.enabled:
        return model
    if gradient_checkpointing:
        model.enable_input_require_grads()  # nothing below the adapter asks for gradients otherwise
    from peft import get_peft_model

    return get_peft_model(model, lora_config(config, model))


def lora_config(config: Config, model: Any) -> Any:  # noqa: ANN401
    """Return peft's settings of the adapter.

    Raises:
        ValueError: if the model has fewer layers than are to be trained.
    """
    from peft import LoraConfig

    lora = config.lora
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=_targets(lora, model),
        layers_to_transform=_layers(lora, model),
        task_type="CAUSAL_LM",
        revision=config.model.revision,
    )


def _layers(lora: Lora, model: Any) -> list[int] | None:  # noqa: ANN401
    there = model.config.get_text_config().num_hidden_layers
    if lora.top_layers is None:
        return None
    if not 1 <= lora.top_layers <= there:
        raise ValueError(f"lora.top_layers={lora.top_layers}: the model has {there} layers")
    return list(range(there - lora.top_layers, there))


def _targets(lora: Lora, model: Any) -> str | list[str]:  # noqa: ANN401
    """Return names of modules; peft does not take `all-linear` together with a choice of layers."""
    if lora.target_modules != "all-linear" or lora.top_layers is None:
        return lora.target_modules
    from torch.nn import Linear

    head = model.get_output_embeddings()
    linear = (name for name, module in model.named_modules() if isinstance(module, Linear) and module is not head)
    return sorted({name.rpartition(".")[2] for name in linear})


def keeps_logits(model: Any) -> bool:  # noqa: ANN401
    """Tell whether a model computes logits for chosen positions only, as nearly all of transformers do."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(inner.forward).parameters


def describe(folder: Path, train: EncodedExamples, settings: dict[str, Any]) -> None:
    """Write down how the model wants to be asked, by what it was trained on."""
    student = settings.get("student", {})
    told: dict[Stage, Described] = {}
    for example in train.examples:
        stage = Stage(example.stage)
        is_chunk = stage is Stage.CHUNK
        told[stage] = Described(
            preset=example.preset,
            system=example.system if example.system != _own_system(example.preset) else None,
            window_tokens=student.get("window_tokens") if is_chunk else None,
            max_new_tokens=student.get("max_program_tokens") if is_chunk else None,
        )
    write_description(folder, told)


def _own_system(preset: str) -> str | None:
    from hf_curation.refiners.prompts import get_preset

    return get_preset(preset).system
