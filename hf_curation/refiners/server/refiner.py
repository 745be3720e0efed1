"""Programs from any server that speaks the OpenAI protocol: vLLM, SGLang, llama.cpp, `transformers serve`.

What it promises is about the bad days: a server that is down, slow, cut off, or answers 429, 500, HTML or nothing at
all never loses a page and never silently keeps one. Every window ends in exactly one of three ways:

- an answer, whole or cut at the token limit (`finish_reason="length"`);
- a draft with `finish_reason="error"`, after all retries, counted in `stats.failed` and later in the document's
  fallbacks as `refiner_failed`;
- the end of the run: `ServerDown`, `ServerRefused`, or `TooManyFailures` once more than `max_failed_fraction` of the
  windows (and more than `failures_allowed`) have ended without an answer. The rank then fails and is run again.

The middle way exists because one page that makes a server fail must not cost a shard; the limit, because a server that
fails most pages is a broken run and not a refined corpus. Whose fault a failure is: `client`.
"""

import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

from hf_curation.programs.model import Dialect
from hf_curation.refiners.base import Draft, Stage, Window
from hf_curation.refiners.prompts import Preset, restore
from hf_curation.refiners.server.answers import Api
from hf_curation.refiners.server.client import ServerClient
from hf_curation.refiners.server.connection import check_base_url
from hf_curation.refiners.server.constraints import Constraint
from hf_curation.refiners.server.form import RequestForm
from hf_curation.refiners.server.loop import LoopThread
from hf_curation.refiners.server.policy import ServerPolicy
from hf_curation.refiners.server.stats import ServerStats


class ServerRefiner:
    """A refiner behind an OpenAI-compatible server; pickles, keeps one pool of connections per process.

    >>> with ServerRefiner("http://localhost:8000/v1", "tiny", preset="generic-chunk", constrained="vllm") as refiner:
    ...     refined = refine_texts(pages, refiner)
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        preset: str | Preset,
        api: Api | None = None,
        system: str | None = None,
        tokenizer: str | None = None,
        window_tokens: int | None = None,
        constrained: Constraint = "none",
        max_tokens: int | None = None,
        extra_body: Mapping[str, Any] | None = None,
        api_key_env: str | None = None,
        policy: ServerPolicy | None = None,
    ) -> None:
        """Describe the server; nothing is sent, read from the environment or imported yet.

        Args:
            base_url: its address, as OpenAI clients take it: `http://host:port/v1` (`/v1` is added where there is no
                path).
            model: the model's name on that server.
            preset: window, prompt and dialect: a name of `PRESETS`, or a `Preset`.
            api: `completions` or `chat`; by default what the preset's template asks for.
            system: the system text, for presets that need one.
            tokenizer: file, folder or Hub id, to cut windows by exact token counts instead of an estimate.
            window_tokens: size of a window; by default the preset's.
            constrained: what kind of server is told the grammar of programs.
            max_tokens: where an answer is cut off; by default the preset's value.
            extra_body: further fields of every request; more on all of these at `RequestForm`.
            api_key_env: the NAME of the environment variable that holds the key.
            policy: concurrency, patience and limits.

        Raises:
            ValueError: for an address, preset, api, constraint or field that cannot be used.
        """
        self.base_url = check_base_url(base_url)
        self.model = model
        self.form = RequestForm(
            preset,
            api=api,
            system=system,
            tokenizer=tokenizer,
            window_tokens=window_tokens,
            constrained=constrained,
            max_tokens=max_tokens,
            extra_body=extra_body,
        )
        self.api_key_env = api_key_env
        self.policy = policy or ServerPolicy()
        self.stats = ServerStats()
        self._lock = threading.Lock()
        self._engine: tuple[LoopThread, ServerClient] | None = None

    @property
    def name(self) -> str:
        """Model, preset, api, and a digest of the form; no address: equal runs elsewhere have equal manifests."""
        return f"{self.model} ({self.form.preset.name}, {self.form.api}, {self.form.digest})"

    @property
    def stage(self) -> Stage:
        """The preset's stage."""
        return self.form.stage

    @property
    def dialect(self) -> Dialect:
        """The preset's dialect."""
        return self.form.dialect

    def windows(self, text: str) -> list[Window]:
        """Cut a document into windows of the preset's size; the document stage shows one, truncated if need be."""
        return self.form.windows(text)

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        """Ask the server about every window, many at once, and return the drafts in the order of `windows`.

        Raises:
            ServerFailure: if the run cannot go on: `ServerDown`, `ServerRefused`, `KeyUnusable` or `TooManyFailures`.
            ImportError: if `httpx` is missing.
        """
        if not windows:
            return []
        payloads = [{"model": self.model, **self.form.body(window)} for window in windows]
        started = time.perf_counter()
        loop, client = self._start()
        try:
            drafts = loop.run(client.ask_all(payloads))
        finally:
            self.stats.seconds += time.perf_counter() - started
        return [replace(draft, text=restore(draft.text)) for draft in drafts]

    def close(self) -> None:
        """Close the connections; the next `write` opens new ones."""
        with self._lock:
            engine, self._engine = self._engine, None
        if engine is not None:
            loop, client = engine
            loop.stop(client.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ServerRefiner({self.base_url!r}, {self.name!r})"

    def __getstate__(self) -> dict[str, Any]:
        # Connections, threads and counters stay behind: a worker counts its own.
        transient = {"_engine", "_lock", "stats"}
        return {name: value for name, value in self.__dict__.items() if name not in transient}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, stats=ServerStats(), _lock=threading.Lock(), _engine=None)

    def _start(self) -> tuple[LoopThread, ServerClient]:
        with self._lock:
            if self._engine is None or not self._engine[0].is_usable:
                client = ServerClient(
                    self.base_url, self.form.api, policy=self.policy, stats=self.stats, api_key_env=self.api_key_env
                )
                self._engine = LoopThread(), client
                weakref.finalize(self, self._engine[0].stop, client.close)
            return self._engine
