"""The harness's Hugging Face model with metadata in front of every prompt, as token ids, per task or for all.

Every kind of request gets the prefix explicitly: contexts of log-likelihoods, each window of a rolling log-likelihood
(the harness's own `--system_instruction` leaves those out, and joins as text), and prompts of generation. Prompts that
are too long lose their beginning, never the prefix. All conditions stand behind BOS where the tokenizer has one, the
one without metadata too, so that they differ in the metadata alone.
"""

from collections.abc import Sequence
from typing import Any

from hf_curation.evaluation.conditional import Conditioner, generate
from hf_curation.evaluation.harness.metadata import TaskMetadata
from hf_curation.evaluation.harness.optional import need_lm_eval
from hf_curation.evaluation.log_probs import Stretch, score_tokens
from hf_curation.metadata import DEFAULT_TEMPLATE

Request = Any
"""`lm_eval.api.instance.Instance`."""


class ConditionedRequests:
    r"""The request methods of the model; `make_model_class` puts them before the harness's `HFLM`.

    Args:
        metadata: For `TaskMetadata.parse`: a mapping, a YAML file, one URL for all tasks, or None.
        template: As in training; a written `\n` is a newline here, since model arguments come from a shell.
        guidance_scale: Over 1, metadata speak louder; prompts without metadata are not touched by it.
        kwargs: Of `HFLM`: pretrained, device, dtype, batch_size, ...
    """

    def __init__(
        self,
        *,
        metadata: Any = None,  # noqa: ANN401
        template: str = DEFAULT_TEMPLATE,
        guidance_scale: float = 1.0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        # The harness's cache (0.4.13) takes two stretches that are equal up to the last token for one, and where they
        # begin to be scored at different places it scores the shorter one against the wrong positions.
        super().__init__(**{"logits_cache": False} | kwargs)
        if self.lm.backend != "causal":
            raise ValueError(f"metadata go in front of causal models only, this one is {self.lm.backend}")
        self.task_metadata = TaskMetadata.parse(metadata)
        self.guidance_scale = float(guidance_scale)
        self.conditioner = Conditioner(self.lm.tokenizer, template.replace("\\n", "\n"))

    @property
    def lm(self) -> Any:  # noqa: ANN401
        """This object as the harness's class, whose types are not known here."""
        return self

    def loglikelihood(self, requests: Sequence[Request], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Return (log-likelihood, is it what greedy decoding writes) of each continuation."""
        keys, stretches = [], []
        for request in requests:
            text, continuation = request.args
            context_ids, target_ids = self._split(text, continuation)
            room = self.lm.max_length + 1 - len(target_ids)
            head = self._head(request.task_name, room)
            context_ids = context_ids[max(0, len(context_ids) + len(head) - room) :]
            keys.append((text, continuation))
            stretches.append(Stretch(head + context_ids, target_ids, self._plain_head() + context_ids))
        return self._score(keys, stretches, disable_tqdm)

    def loglikelihood_rolling(self, requests: Sequence[Request], disable_tqdm: bool = False) -> list[float]:
        """Return the log-likelihood of each text; every window has the prefix and the last token before it."""
        stretches: list[Stretch] = []
        counts = []
        for request in requests:
            ids, at, before = self.conditioner.body(request.args[0]), 0, len(stretches)
            head = self._head(request.task_name, self.lm.max_length - 1)
            while at < len(ids):
                last = ids[at - 1 : at] if at else []
                end = at + self.lm.max_length + 1 - len(head) - len(last)
                stretches.append(Stretch(head + last, ids[at:end], self._plain_head() + last))
                at = end
            counts.append(len(stretches) - before)
        # Without keys: the harness's cache knows texts by their whole score.
        scores = iter(self._score([None] * len(stretches), stretches, disable_tqdm))
        return [sum(next(scores)[0] for _ in range(count)) for count in counts]

    def generate_until(self, requests: Sequence[Request], disable_tqdm: bool = False) -> list[str]:
        """Continue each prompt, one at a time."""
        return [self._generate(request) for request in requests]

    def _head(self, task: str | None, room: int) -> list[int]:
        head = self.conditioner.head(self.task_metadata.of(task)) or [self.lm.prefix_token_id]
        if len(head) >= room:
            raise ValueError(f"a prefix of {len(head)} tokens leaves no room in {room} tokens of context")
        return head

    def _plain_head(self) -> list[int]:
        return list(self.conditioner.bos) or [self.lm.prefix_token_id]

    def _split(self, text: str, continuation: str) -> tuple[list[int], list[int]]:
        """Encode both as one text and cut, as the harness does, but without special tokens."""
        end = len(text.rstrip())
        context_ids = self.conditioner.body(text[:end])
        return context_ids, self.conditioner.body(text + continuation)[len(context_ids) :]

    def _score(
        self, keys: Sequence[tuple[str, str] | None], stretches: Sequence[Stretch], disable_tqdm: bool
    ) -> list[tuple[float, bool]]:
        if self.guidance_scale == 1:
            triples = [(key, list(s.context), list(s.target)) for key, s in zip(keys, stretches, strict=True)]
            scores: list[tuple[float, bool]] = self.lm._loglikelihood_tokens(triples, disable_tqdm=disable_tqdm)
            return scores
        batch_size = self.lm.batch_size if isinstance(self.lm.batch_size, int) else 1
        found = score_tokens(self.lm.model, stretches, batch_size=batch_size, guidance_scale=self.guidance_scale)
        return [(float(score.log_probs_T.sum()), score.is_greedy) for score in found]

    def _generate(self, request: Request) -> str:
        text, options = request.args[0], dict(request.args[1])
        stops = options.pop("until", None) or []
        stops = [stops] if isinstance(stops, str) else list(stops)
        num_new = int(options.pop("max_gen_toks", self.lm.max_gen_toks))
        options.setdefault("do_sample", float(options.get("temperature") or 0) > 0)
        if not options["do_sample"]:
            options.pop("temperature", None)
        metadata = self.task_metadata.of(request.task_name)
        if stops:
            options["stop_strings"] = stops
        answer = generate(
            self.lm.model,
            self.conditioner,
            text,
            metadata,
            guidance_scale=1.0 if metadata is None else self.guidance_scale,
            max_prompt_tokens=self.lm.max_length - num_new,
            max_new_tokens=num_new,
            pad_token_id=self.lm.tokenizer.pad_token_id,
            **options,
        )
        for stop in stops:
            answer = answer.partition(stop)[0]
        return answer


def make_model_class() -> Any:  # noqa: ANN401 - the base is known only where lm_eval is installed
    """Return the model class; `register` registers it."""
    base = need_lm_eval("lm_eval.models.huggingface").HFLM
    return type("MeCoLM", (ConditionedRequests, base), {"__doc__": ConditionedRequests.__doc__})
