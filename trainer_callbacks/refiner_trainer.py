"""A Trainer whose evaluation lets the model write programs for held-out windows, and scores what they do.

The loss of a program says little about it: one wrong digit of a line number costs as much as one wrong bracket. So
`evaluate` generates as at inference (greedy, the very prompts) and adds the figures of `score_windows` to the metrics;
`metric_for_best_model` may name any of them (`eval_line_f1`). Every process answers its share of the windows. Models
that are sharded (FSDP, DeepSpeed ZeRO-3) cannot generate so; leave `windows` empty for them and choose by the loss.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from accelerate.utils import gather_object
from transformers import Trainer

from hf_curation.programs.model import Stage
from hf_curation.refiners.base import Draft
from hf_curation.refiners.causal_lm.decoding import Decoder
from hf_curation.refiners.prompts import restore
from hf_curation.refiners.training.encode import EncodedExamples
from hf_curation.refiners.training.scoring import WindowFigures, score_windows


class RefinerTrainer(Trainer):  # type: ignore[misc,unused-ignore]
    """`transformers.Trainer`, its evaluation with programs.

    Args:
        windows: Held-out windows, encoded; none: evaluation is the loss alone.
        max_new_tokens: Where an answer is cut off.
        eval_batch: Windows that are answered together.
        **arguments: Those of `Trainer`.
    """

    def __init__(
        self,
        *,
        windows: EncodedExamples,
        max_new_tokens: int = 256,
        eval_batch: int = 16,
        **arguments: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(**arguments)
        self.windows, self.max_new_tokens, self.eval_batch = windows, max_new_tokens, eval_batch

    def evaluate(self, *args: Any, metric_key_prefix: str = "eval", **kwargs: Any) -> dict[str, float]:  # noqa: ANN401
        """Return the loss on the evaluation data and the figures of the windows, `eval_...`; log both."""
        metrics: dict[str, float] = super().evaluate(*args, metric_key_prefix=metric_key_prefix, **kwargs)
        if self.windows.examples:
            found = self.score().metrics()
            added = {f"{metric_key_prefix}_{name}": round(value, 4) for name, value in found.items()}
            self.log(added)
            metrics |= added
        return metrics

    def score(self) -> WindowFigures:
        """Answer all windows and score the answers; every process returns the figures of all."""
        rank, world = self.args.process_index, self.args.world_size
        mine = list(range(rank, len(self.windows), world))
        with self._ready_to_write() as model:
            answers = gather_object(list(zip(mine, self._answer(model, mine), strict=True)))
        by_window = dict(answers)
        return score_windows(self.windows.examples, [by_window[index] for index in range(len(self.windows))])

    @contextmanager
    def _ready_to_write(self) -> Iterator[Any]:
        """Give the model as inference wants it: in evaluation mode, with the cache that training does without."""
        model = self.accelerator.unwrap_model(self.model)
        if hasattr(model, "get_base_model"):
            model = model.get_base_model()  # of peft: the adapter's layers are in it
        was_training, had_cache = model.training, model.config.use_cache
        model.eval()
        model.config.use_cache = True
        try:
            with self.accelerator.autocast():
                yield model
        finally:
            model.train(was_training)
            model.config.use_cache = had_cache

    def _answer(self, model: Any, indices: Sequence[int]) -> list[Draft]:  # noqa: ANN401
        """Return an answer for each of some windows, batched by length and stage."""
        examples, encoded = self.windows.examples, self.windows.encoded
        drafts: dict[int, Draft] = {}
        for stage in Stage:
            decoder = self._decoder(model, stage)
            waiting = [i for i in indices if examples[i].stage == stage]
            waiting.sort(key=lambda i: len(encoded[i].prompt), reverse=True)
            for start in range(0, len(waiting), self.eval_batch):
                batch = waiting[start : start + self.eval_batch]
                done = decoder.complete([encoded[i].prompt for i in batch], [examples[i].window for i in batch])
                drafts |= {
                    i: Draft(restore(one.text), one.finish_reason, None, len(encoded[i].prompt), one.num_tokens)
                    for i, one in zip(batch, done, strict=True)
                }
        return [drafts[i] for i in indices]

    def _decoder(self, model: Any, stage: Stage) -> Decoder:  # noqa: ANN401
        tokenizer: Any = self.processing_class
        return Decoder(
            model=model,
            tokenizer=tokenizer,
            stage=stage,
            eos_ids=(tokenizer.eos_token_id,),
            max_new_tokens=self.max_new_tokens,
        )
