"""Programs from a causal LM in this process: any Hub model, CPU or GPU.

The released ProX refiners have 0.35B parameters and write 25 to 60 tokens per 1,500-token window, so the work is
prefill; batches are formed by prompt length, longest first, so that a batch that does not fit in memory shows at once.
Nothing is loaded before the first window is cut (tokenizer) or answered (weights): an unused refiner is a small object
that pickles, which datatrove's executors rely on.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from hf_curation.programs.model import Dialect
from hf_curation.refiners.base import Draft, Stage, Window
from hf_curation.refiners.causal_lm.constrain import Grammars
from hf_curation.refiners.causal_lm.decoding import Decoder
from hf_curation.refiners.causal_lm.loading import (
    Source,
    first_line,
    load_config,
    load_model,
    load_tokenizer,
    need_transformers,
)
from hf_curation.refiners.prompts import Preset, PromptEncoder, get_preset, restore, with_system

logger = logging.getLogger(__name__)

DTYPES = ("auto", "bfloat16", "float16", "float32")
MAX_FAILURES_IN_A_ROW = 16
"""So many windows failing one after the other are no fault of theirs; the run then fails instead of keeping text."""


@dataclass(kw_only=True, eq=False)
class CausalLMRefiner:
    """A causal LM that writes programs, in the format of a preset.

    Raises:
        ValueError: for an unknown preset or dtype, a preset without its system text, sizes below 1; and, when the
            first page is cut, for a model whose context is too short for the preset.
    """

    model: str = field(kw_only=False)
    """A Hub id or a folder: safetensors weights, configuration, tokenizer."""
    preset: str | Preset = "generic-chunk"
    """How the model is addressed (`hf_curation.refiners.prompts.PRESETS`); also fixes stage and dialect."""
    system: str | None = None
    """The system text in place of the preset's; UltraX's preset needs it."""
    adapter: str | None = None
    """A PEFT adapter on top: a folder, a Hub id, or that and `@revision`."""
    revision: str | None = None
    """Branch, tag or commit of the model on the Hub."""
    gguf_file: str | None = None
    """A GGUF file within `model` to load instead of safetensors."""
    device: str | None = None
    """None: a GPU if there is one."""
    dtype: str = "auto"
    """`auto`: bfloat16 on a GPU, float32 on a CPU."""
    constrained: bool = False
    """Let the model write nothing but programs of its window's lines (needs llguidance)."""
    batch_size: int = 32
    """The most prompts in a batch."""
    batch_tokens: int = 16_384
    """The most tokens in a batch, padding and the tokens to come included."""
    window_tokens: int | None = None
    """In place of the preset's."""
    max_new_tokens: int | None = None
    """In place of the preset's."""

    def __post_init__(self) -> None:
        preset = get_preset(self.preset) if isinstance(self.preset, str) else self.preset
        preset = with_system(preset, self.system)
        self._preset = replace(
            preset,
            window_tokens=self.window_tokens or preset.window_tokens,
            max_new_tokens=self.max_new_tokens or preset.max_new_tokens,
        )
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")
        for name in ("batch_size", "batch_tokens", "window_tokens", "max_new_tokens"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self._room = self.batch_tokens
        self._failures_in_a_row = 0

    def __getstate__(self) -> dict[str, Any]:
        loaded = {"_source", "_tokenizer", "_config", "_prompts", "_decoder"}
        return {name: value for name, value in self.__dict__.items() if name not in loaded}

    @property
    def name(self) -> str:
        """Model, revision, adapter and preset: `gair-prox/web-chunk-refining-lm (prox-web-chunk)`."""
        revision = f"@{self.revision}" if self.revision else ""
        adapter = f" + {self.adapter}" if self.adapter else ""
        constrained = ", constrained" if self.constrained else ""
        return f"{self.model}{revision}{adapter} ({self._preset.name}{constrained})"

    @property
    def stage(self) -> Stage:
        """The pass that the preset is for."""
        return self._preset.stage

    @property
    def dialect(self) -> Dialect:
        """How the preset's programs are spelled."""
        return self._preset.dialect

    @property
    def num_parameters(self) -> int:
        """All parameters of the model; 0 as long as its weights are not loaded."""
        return int(self._decoder.model.num_parameters()) if "_decoder" in vars(self) else 0

    def windows(self, text: str) -> list[Window]:
        """Cut a page (newlines normalised) as the preset wants it; loads the tokenizer, not the weights."""
        return self._prompts.windows(text)

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        """Return one draft per window, in order. A window that fails alone is a draft with its error.

        Batches are formed over all windows, so give many at once. Out of memory halves the batch, for good.

        Raises:
            RuntimeError: when 16 windows in a row have failed, each by itself.
        """
        if not windows:
            return []
        prompts = self._prompts.encode(windows)
        decoder = self._decoder  # what fails here fails for every window, so it is raised
        drafts: dict[int, Draft] = {}
        waiting: list[int] = []
        for index, prompt in enumerate(prompts):
            if (error := self._too_long(len(prompt))) is None:
                waiting.append(index)
            else:
                drafts[index] = Draft("", "error", error, len(prompt))
        waiting.sort(key=lambda index: len(prompts[index]), reverse=True)
        while waiting:
            rows = waiting[: self._num_rows(len(prompts[waiting[0]]))]
            answers = self._answer(decoder, [prompts[i] for i in rows], [windows[i] for i in rows])
            if answers is not None:
                drafts.update(zip(rows, answers, strict=True))
                del waiting[: len(rows)]
        return [drafts[index] for index in range(len(windows))]

    def _answer(self, decoder: Decoder, prompts: list[list[int]], windows: list[Window]) -> list[Draft] | None:
        """Complete one batch; None: it did not fit in memory, and batches are smaller from now on."""
        try:
            completions = decoder.complete(prompts, windows)
        except (RuntimeError, ValueError, MemoryError) as error:
            failure, is_memory = first_line(error), _is_out_of_memory(error)
        else:
            self._failures_in_a_row = 0
            return [
                Draft(restore(done.text), done.finish_reason, None, len(prompt), done.num_tokens)
                for prompt, done in zip(prompts, completions, strict=True)
            ]
        # Outside `except`: the traceback would keep the batch's tensors alive.
        if len(prompts) == 1:
            self._failures_in_a_row += 1
            if self._failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
                raise RuntimeError(f"{self._failures_in_a_row} windows in a row failed, the last with {failure}")
            return [Draft("", "error", failure, len(prompts[0]))]
        if is_memory:
            _free_memory()
            self._room = self._cost(len(prompts[0])) * (len(prompts) // 2)
            logger.warning("batch of %d prompts: %s; batches hold %d tokens now", len(prompts), failure, self._room)
            return None
        logger.warning("batch of %d prompts: %s; trying them one by one", len(prompts), failure)
        pairs = zip(prompts, windows, strict=True)
        return [draft for prompt, window in pairs for draft in self._answer(decoder, [prompt], [window]) or ()]

    def _cost(self, prompt_tokens: int) -> int:
        return prompt_tokens + self._preset.max_new_tokens

    def _num_rows(self, longest_prompt: int) -> int:
        return max(1, min(self.batch_size, self._room // self._cost(longest_prompt)))

    def _too_long(self, prompt_tokens: int) -> str | None:
        limit = _max_positions(self._config)
        if limit is None or self._cost(prompt_tokens) <= limit:
            return None
        return f"prompt of {prompt_tokens} tokens and {self._preset.max_new_tokens} to come exceed {limit} positions"

    @cached_property
    def _source(self) -> Source:
        need_transformers()
        return Source(model=self.model, revision=self.revision, adapter=self.adapter, gguf_file=self.gguf_file)

    @cached_property
    def _tokenizer(self) -> Any:  # noqa: ANN401 - transformers has no types here
        return load_tokenizer(self._source)

    @cached_property
    def _config(self) -> Any:  # noqa: ANN401
        return load_config(self._source)

    @cached_property
    def _prompts(self) -> PromptEncoder:
        preset, prompts = self._preset, PromptEncoder(self._tokenizer, self._preset)
        template = prompts.overhead if preset.stage is Stage.CHUNK else 0
        limit = _max_positions(self._config)
        if limit is not None and template + self._cost(preset.window_tokens) > limit:
            room = limit - template - preset.max_new_tokens
            raise ValueError(
                f"{self.model} reads {limit} tokens; preset {preset.name!r} needs {template} for the template, "
                f"{preset.window_tokens} for the page and {preset.max_new_tokens} for the program: "
                + (f"pass window_tokens={room} or less" if room > 0 else "lower max_new_tokens")
            )
        return prompts

    @cached_property
    def _decoder(self) -> Decoder:
        model = load_model(self._source, device=self.device, dtype=self.dtype)
        shipped = model.generation_config.eos_token_id
        ends = [*(shipped if isinstance(shipped, list) else [shipped]), self._tokenizer.eos_token_id]
        eos_ids = tuple(dict.fromkeys(end for end in ends if end is not None))
        if not eos_ids:
            raise ValueError(f"{self.model} names no end-of-text token, in generation_config.json or its tokenizer")
        grammars = None
        if self.constrained:
            vocab_size = model.get_input_embeddings().num_embeddings
            grammars = Grammars(self._tokenizer, self.dialect, self.stage, vocab_size=vocab_size, eos_ids=eos_ids)
        return Decoder(
            model=model,
            tokenizer=self._tokenizer,
            stage=self.stage,
            eos_ids=eos_ids,
            max_new_tokens=self._preset.max_new_tokens,
            grammars=grammars,
            head=self._prompts.head,
        )


def _max_positions(config: Any) -> int | None:  # noqa: ANN401
    limit = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(limit) if limit else None


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text


def _free_memory() -> None:
    import torch  # noqa: PLC0415

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
