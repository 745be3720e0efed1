"""A canary: a model with random weights must score at chance. If it does not, the evaluation leaks the answers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hf_curation.evaluation.harness.optional import need_lm_eval
from hf_curation.evaluation.harness.register import register


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary:
    """What a random model scored on one task."""

    task: str
    accuracy: float
    chance: float
    """Mean of one by the number of choices."""
    num_examples: int

    @property
    def z(self) -> float:
        """Distance from chance in standard errors of a guesser."""
        return (self.accuracy - self.chance) / math.sqrt(self.chance * (1 - self.chance) / self.num_examples)

    def check(self, max_z: float = 4.0) -> None:
        """Refuse a canary that sings.

        A random model is no fair coin: it may prefer short answers, and so may the answer key. Look at `acc`, and
        leave room.

        Raises:
            ValueError: if the accuracy is further than `max_z` standard errors from chance.
        """
        if abs(self.z) > max_z:
            raise ValueError(
                f"{self.task}: random weights score {self.accuracy:.3f} on {self.num_examples} examples, chance is "
                f"{self.chance:.3f} ({self.z:+.1f} standard errors): the task or its prompts give answers away"
            )


def random_canary(
    pretrained: str,
    tasks: list[str],
    *,
    seed: int = 0,
    model_args: Mapping[str, Any] | None = None,
    **options: Any,  # noqa: ANN401 - of `lm_eval.simple_evaluate`
) -> list[Canary]:
    """Evaluate a model of the same shape and tokenizer as `pretrained`, with random weights.

    Args:
        pretrained: Folder or repository of the model whose evaluation is in doubt.
        tasks: Multiple-choice tasks of the harness.
        seed: Of the weights.
        model_args: Of the model type `meco`, without `pretrained`.
        options: Passed on, such as `limit`, `task_manager`.

    Raises:
        ImportError: without lm-evaluation-harness.
        ValueError: if a task is no multiple choice.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, set_seed  # noqa: PLC0415

    set_seed(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(pretrained))
    arguments = {"tokenizer": AutoTokenizer.from_pretrained(pretrained)} | dict(model_args or {})
    lm = register()(pretrained=model.eval(), **arguments)
    results = need_lm_eval("lm_eval").simple_evaluate(model=lm, tasks=tasks, log_samples=True, **options)
    return [_canary(task, results["samples"][task]) for task in tasks]


def _canary(task: str, samples: list[Mapping[str, Any]]) -> Canary:
    if not samples or "acc" not in samples[0]:
        raise ValueError(f"task {task!r} gives no accuracy: a canary needs multiple choice")
    return Canary(
        task=task,
        accuracy=sum(float(sample["acc"]) for sample in samples) / len(samples),
        chance=sum(1 / len(sample["filtered_resps"]) for sample in samples) / len(samples),
        num_examples=len(samples),
    )
