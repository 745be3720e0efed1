"""`RefineRunner`: datatrove's InferenceRunner, made to fail where it would lose documents.

Measured on datatrove 0.10: a writer that fails on a full disk is a warning, and the rank counts as complete (150 of
200 documents gone); without `httpx`, which nothing installs any more, a healthy server is polled for 25 minutes; an
API key in the configuration lands in `executor.json` in clear text. The first is an error here, the others are refused
before a server is started, and the conservation law is checked at the end of each rank.
"""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from datatrove.data import Document
from datatrove.pipeline.inference.run_inference import InferenceConfig, InferenceRunner

from datatrove_steps.accounting import statistics_of
from datatrove_steps.quarantine import Quarantine
from datatrove_steps.rollouts import RefineRollout
from hf_curation.files.accounts import ConservationError

_NEEDED: Final = ("aiofiles", "httpx", "orjson")
_NEEDED_FOR_CHECKPOINTS: Final = ("aiosqlite", "xxhash")


class RefineRunner(InferenceRunner):  # type: ignore[misc]
    """datatrove's InferenceRunner for a `RefineRollout`, which fails where the plain one would lose documents."""

    name = "🧽 Refine with a server"

    def __init__(
        self,
        rollout: RefineRollout,
        config: InferenceConfig,
        output_writer: Any,  # noqa: ANN401 - any writer of datatrove's
        *,
        quarantine: str | Path | None = None,
        **options: Any,  # noqa: ANN401 - the runner's
    ) -> None:
        """Check what can be checked before a server is started.

        Args:
            rollout: what is done with a document.
            config: the runner's server, concurrency and timeouts.
            output_writer: a writer of datatrove's; with checkpoints, its file name must hold `${chunk_index}`.
            quarantine: folder for documents that no writer could write; None counts and logs them.
            options: further arguments of `InferenceRunner`, such as `checkpoints_local_dir`.

        Raises:
            ImportError: naming the pip command, if a package that the runner imports much later is missing.
            ValueError: for a configuration in which requests could not work, or a key would reach a file.
        """
        check_imports(with_checkpoints=options.get("checkpoints_local_dir") is not None)
        wants_chat = rollout.form.api == "chat"
        if config.use_chat != wants_chat:
            raise ValueError(f"preset {rollout.form.preset.name!r} needs InferenceConfig(use_chat={wants_chat})")
        if config.rollouts_per_document != 1:
            raise ValueError(f"a document is refined once; got rollouts_per_document={config.rollouts_per_document}")
        if config.api_key is not None:
            raise ValueError(
                "InferenceConfig.api_key would be written to executor.json in clear text; leave it out and export "
                "OPENAI_API_KEY where the job runs"
            )
        super().__init__(rollout, config, output_writer, **options)
        self.quarantine = None if quarantine is None else Path(quarantine)

    def run(self, data: Iterable[Document], rank: int = 0, world_size: int = 1) -> None:
        """Refine and write the documents of one rank.

        Raises:
            OSError: if the writer failed on a document.
            ConservationError: if documents in are not documents written, dropped and quarantined.
        """
        rollout = self.rollout_fn
        failed_before = self._num_unwritten()
        counted = _Counted(data)
        with Quarantine(self.quarantine, rollout.form.stage.value, rank) as quarantine:
            rollout.start(quarantine)
            super().run(counted, rank, world_size)
        if failed := self._num_unwritten() - failed_before:
            raise OSError(f"the writer failed on {failed} documents of rank {rank}; the log says why")
        account = rollout.account
        # After a resume, the documents that the checkpoints hold were read again but not refined again.
        is_resumable = self.checkpoint_manager.checkpoints_local_dir is not None
        if account.num_in > counted.num or (account.num_in < counted.num and not is_resumable):
            raise ConservationError(f"rank {rank}: {counted.num} documents read, {account.num_in} refined")
        account.check(rollout.form.stage.value)
        for name, value in statistics_of(account):
            self.stat_update(name, value=value, unit="task")

    def _num_unwritten(self) -> int:
        failed = self.stats.stats.get("failed_documents")
        return int(failed.total) if failed else 0


def check_imports(*, with_checkpoints: bool = False) -> None:
    """Check that what the runner imports late is there: without httpx it polls a healthy server for 25 minutes.

    Raises:
        ImportError: naming what is missing and the pip command.
    """
    needed = _NEEDED + (_NEEDED_FOR_CHECKPOINTS if with_checkpoints else ())
    if missing := [name for name in needed if find_spec(name) is None]:
        raise ImportError(
            f"datatrove's InferenceRunner needs {', '.join(missing)}: pip install 'hf-curation[inference]' (or: pip "
            "install aiofiles aiosqlite httpx orjson 'xxhash<4')"
        )


class _Counted:
    """Documents, counted as they are pulled."""

    def __init__(self, data: Iterable[Document] | None) -> None:
        self._data = data or ()
        self.num = 0

    def __iter__(self) -> Iterator[Document]:
        for document in self._data:
            self.num += 1
            yield document
