"""A large model behind a server, asked about windows of pages: batched, cached, resumable, its cost counted.

The transport is `ServerRefiner`'s, so its promises hold here too: a window is answered, or ends as a draft with an
error, or the run ends with a reason, and then the same command goes on where it stopped. Every kind of question is a
`Preset` with a prompt of its own, read from a template file; `folder` puts your words in the place of ours.

Answers are kept batch by batch. A batch is small against a run (at most what a kill costs again) and large against the
number of requests in flight.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from hf_curation.refiners.base import Draft, Stage, Window
from hf_curation.refiners.prompts import Preset
from hf_curation.refiners.server import ServerPolicy, ServerRefiner
from hf_curation.refiners.training.cache import AnswerCache, request_key

PROMPTS: Final = Path(__file__).with_name("prompts")
"""The template files; each holds `{page}` once."""


@dataclass(slots=True)
class TeacherCost:
    """What answers took, in requests and tokens; those from the cache were paid for in an earlier run."""

    questions: int = 0
    """Distinct ones; the same question twice is asked once."""
    from_cache: int = 0
    failed: int = 0
    """Questions without an answer after all retries."""
    requests: int = 0
    """HTTP requests of this run, retries included."""
    prompt_tokens: int = 0
    output_tokens: int = 0
    """Of this run, as the server counts them."""
    cached_prompt_tokens: int = 0
    cached_output_tokens: int = 0
    seconds: float = 0.0

    def price(self, per_million_in: float, per_million_out: float) -> float:
        """Return what the tokens of this run cost, in the currency of the prices."""
        return (self.prompt_tokens * per_million_in + self.output_tokens * per_million_out) / 1e6

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers."""
        return asdict(self)


def teacher_preset(
    name: str, *, stage: Stage, window_tokens: int, max_new_tokens: int, folder: Path | None = None
) -> Preset:
    """Return the prompt format of one kind of question.

    Args:
        name: Of the template file, without `.txt`.
        stage: `CHUNK` numbers the lines, `DOCUMENT` shows them as they are.
        window_tokens: As in `Preset`.
        max_new_tokens: As in `Preset`.
        folder: Where the template is; by default among those of this package.

    Raises:
        ValueError: if there is no such file, or it does not hold `{page}` once.
    """
    path = (folder or PROMPTS) / f"{name}.txt"
    if not path.is_file():
        raise ValueError(f"there is no prompt template {path}")
    return Preset(
        name=f"teacher-{name}",
        stage=stage,
        user=path.read_text(encoding="utf-8").strip(),
        window_tokens=window_tokens,
        max_new_tokens=max_new_tokens,
    )


class Teacher:
    """Asks a server, and remembers.

    Args:
        base_url: The server's address.
        model: The model's name there.
        cache: The file of answers; None keeps none.
        policy: Patience and concurrency.
        api_key_env: The NAME of the environment variable with the key.
        extra_body: Further fields of every request.
        batch_size: Questions between two writes to the cache; by default eight for each request in flight.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        cache: Path | None = None,
        policy: ServerPolicy | None = None,
        api_key_env: str | None = None,
        extra_body: dict[str, Any] | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.base_url = base_url
        self.model = model
        self.policy = policy or ServerPolicy()
        self.api_key_env = api_key_env
        self.extra_body = extra_body or {}
        self.batch_size = batch_size or 8 * self.policy.max_concurrency
        self._path = cache
        self._refiners: dict[Preset, ServerRefiner] = {}
        self._own = TeacherCost()

    @property
    def cost(self) -> TeacherCost:
        """What has been asked since the teacher was made."""
        cost = TeacherCost(**asdict(self._own))
        for refiner in self._refiners.values():
            stats = refiner.stats
            cost.failed += stats.num_failed
            cost.requests += stats.requests
            cost.prompt_tokens += stats.prompt_tokens
            cost.output_tokens += stats.output_tokens
            cost.seconds += stats.seconds
        return cost

    def ask(self, preset: Preset, windows: Sequence[Window]) -> list[Draft]:
        """Return one draft per window, in order, without what the model thought aloud.

        Raises:
            ServerFailure: if the run cannot go on; whole batches before that are in the cache.
        """
        refiner = self._refiner(preset)
        keys = [request_key({"model": self.model, **refiner.form.body(window)}) for window in windows]
        distinct = dict(zip(keys, windows, strict=True))
        found = self._cache.get(list(distinct)) if self._cache is not None else {}
        self._own.questions += len(distinct)
        self._own.from_cache += len(found)
        self._own.cached_prompt_tokens += sum(draft.prompt_tokens for draft in found.values())
        self._own.cached_output_tokens += sum(draft.output_tokens for draft in found.values())
        waiting = [key for key in distinct if key not in found]
        for start in range(0, len(waiting), self.batch_size):
            batch = waiting[start : start + self.batch_size]
            drafts = refiner.write([distinct[key] for key in batch])
            answers = list(zip(batch, drafts, strict=True))
            if self._cache is not None:
                self._cache.put(answers)
            found.update(answers)
        return [_without_thoughts(found[key]) for key in keys]

    def close(self) -> None:
        """Close connections and cache."""
        for refiner in self._refiners.values():
            refiner.close()
        if (cache := self.__dict__.pop("_cache", None)) is not None:
            cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @cached_property
    def _cache(self) -> AnswerCache | None:
        return AnswerCache(self._path) if self._path is not None else None

    def _refiner(self, preset: Preset) -> ServerRefiner:
        if preset not in self._refiners:
            self._refiners[preset] = ServerRefiner(
                self.base_url,
                self.model,
                preset=preset,
                policy=self.policy,
                api_key_env=self.api_key_env,
                extra_body=self.extra_body,
            )
        return self._refiners[preset]


def _without_thoughts(draft: Draft) -> Draft:
    """Return an answer without a `<think>` block in front; one that never came to an end holds no answer."""
    text = draft.text.lstrip()
    if not text.startswith("<think>"):
        return draft
    return replace(draft, text=text.partition("</think>")[2].lstrip("\n"))
