"""RefineDocuments and RefineChunks: ProX's two passes as datatrove steps, for the middle of any pipeline.

Both send batches of documents through `hf_curation.refiners.refine.refine_texts` and write what was decided into the
custody columns. They hold no state between runs: the refiner that a name stands for is loaded inside `run`, so steps
pickle small and one object may serve several ranks in turn (Slurm's `tasks_per_job > 1`).

A document that cannot be handled never takes its shard with it. Text that is no string or has no UTF-8 is quarantined
before the refiner sees it; when a batch raises, it is halved until the document that raises is alone, and that one is
quarantined. A refiner that fails on `_MAX_FAILURES` documents in a row is broken, and the rank fails with its error.
"""

import contextlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final

from datatrove.data import Document, DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.accounting import count_refined, set_aside, statistics_of
from datatrove_steps.custody import drop_reason, record_custody
from datatrove_steps.documents import batches, why_unsound
from datatrove_steps.ledger import Ledger
from datatrove_steps.quarantine import Quarantine
from hf_curation.files.accounts import StageAccount
from hf_curation.programs.limits import DEFAULT_LIMITS, Limits
from hf_curation.refiners.base import Refiner, RefinerUnusable, Stage
from hf_curation.refiners.refine import Refined, refine_texts

_MAX_FAILURES: Final = 20
_FOLDERS: Final = re.compile(r"(?<!\S)(?:~|\.{1,2})?/(?:\S*/)?")


class _RefineStep(PipelineStep):  # type: ignore[misc]
    type = "🧽 - REFINE"
    stage: ClassVar[Stage]

    def __init__(
        self,
        refiner: Refiner | str | os.PathLike[str] = "tagger",
        *,
        refiner_options: Mapping[str, Any] | None = None,
        limits: Limits = DEFAULT_LIMITS,
        batch_size: int = 64,
        exclusion_writer: Any = None,  # noqa: ANN401 - any writer of datatrove's or ours
        quarantine: str | Path | None = None,
        keep_original: bool = False,
        ledger: Ledger | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self.refiner = str(refiner) if isinstance(refiner, (str, os.PathLike)) else refiner
        self.refiner_options = dict(refiner_options or {})
        if self.refiner_options and not isinstance(self.refiner, str):
            raise ValueError("refiner_options go with a refiner's name; an object has its options already")
        self._check_stage(self.refiner)
        self.limits = limits
        self.batch_size = batch_size
        self.exclusion_writer = exclusion_writer
        self.quarantine = None if quarantine is None else Path(quarantine)
        self.keep_original = keep_original
        self.ledger = ledger

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Refine the documents of one rank.

        When the caller stops before the end, nothing is checked or published: what was pulled and not yet passed on
        is in nobody's account.

        Raises:
            ConservationError: if documents in are not documents out, dropped and quarantined.
        """
        refiner = self._load()
        account = StageAccount()
        with contextlib.ExitStack() as stack:
            quarantine = stack.enter_context(Quarantine(self.quarantine, self.stage.value, rank, self.ledger))
            writer = stack.enter_context(self.exclusion_writer) if self.exclusion_writer else None
            failures = 0
            for batch in batches(data or (), self.batch_size):
                account.num_in += len(batch)
                with self.track_time("batch"):
                    outcomes = self._refine_batch(batch, refiner, quarantine, account)
                for doc, outcome in zip(batch, outcomes, strict=True):
                    failures = failures + 1 if isinstance(outcome, Exception) else 0
                    if isinstance(outcome, Exception) and failures == _MAX_FAILURES:
                        raise RuntimeError(f"the refiner failed {failures} times in a row: {outcome}") from outcome
                    if isinstance(outcome, Refined) and self._settle(doc, outcome, account, writer, rank):
                        yield doc
            account.quarantined = quarantine.counts
            account.check(self.stage.value)
        self._report(account, refiner, rank)

    def _refine_batch(
        self, batch: Sequence[Document], refiner: Refiner, quarantine: Quarantine, account: StageAccount
    ) -> list[Refined | Exception | None]:
        """Return what came of every document; those without `Refined` have gone to the quarantine."""
        outcomes: list[Refined | Exception | None] = [None] * len(batch)
        sound: list[int] = []
        for i, doc in enumerate(batch):
            if reason := why_unsound(doc.text):
                set_aside(quarantine, reason, doc, account)
            else:
                sound.append(i)
        for i, outcome in zip(sound, _isolate([batch[i].text for i in sound], refiner, self.limits), strict=True):
            outcomes[i] = outcome
            if isinstance(outcome, Exception):
                set_aside(quarantine, "refiner_error", batch[i], account, f"{type(outcome).__name__}: {outcome}")
        return outcomes

    def _settle(self, doc: Document, refined: Refined, account: StageAccount, writer: Any, rank: int) -> bool:  # noqa: ANN401
        """Record one outcome on the document and in the account; return whether the document goes on."""
        reason = drop_reason(doc.text, refined)
        record_custody(doc.metadata, doc.text, refined, self.stage, keep_original=self.keep_original)
        count_refined(account, doc.text, refined, reason)
        self.stat_update("total", "dropped" if reason else "forwarded")
        if reason:
            doc.metadata["filter_reason"] = reason
            if writer is not None:
                writer.write(doc, rank)
            return False
        doc.text = refined.result.text
        self.update_doc_stats(doc)
        return True

    def _report(self, account: StageAccount, refiner: Refiner, rank: int) -> None:
        """Turn the account into datatrove's statistics, once per rank."""
        for name, value in statistics_of(account):
            self.stat_update(name, value=value, unit="task")
        if self.ledger:
            page = self.ledger.page(rank)
            page.close_stage(self.stage.value, account)
            # A model's folder is somewhere else on the next machine; its files are in the plan.
            page.refiners[self.stage.value] = _FOLDERS.sub("", refiner.name)

    def _load(self) -> Refiner:
        if isinstance(self.refiner, str):
            from hf_curation.refiners.load import load_refiner  # noqa: PLC0415 - models load where they run

            refiner: Refiner = load_refiner(self.refiner, stage=self.stage, **self.refiner_options)
            self._check_stage(refiner)
            return refiner
        return self.refiner

    def _check_stage(self, refiner: Refiner | str) -> None:
        if not isinstance(refiner, str) and refiner.stage != self.stage:
            wrong = f"refiner {refiner.name!r} writes {refiner.stage} programs"
            raise ValueError(f"{wrong}; {type(self).__name__} needs {self.stage} programs")


class RefineDocuments(_RefineStep):
    """Keep or drop whole documents, as the refiner's `keep_doc()` and `drop_doc()` say.

    A dropped document goes to `exclusion_writer` with its text as it came and `filter_reason`. Statistics: `total`,
    `forwarded`, `dropped`, and per rank `kept`, `fallback`, `dropped_<reason>`, `fallback_<reason>`,
    `rejected_<reason>`, `quarantined_<reason>` and the sums `total_chars_in`, `total_prompt_tokens`, ...

    Args:
        refiner: a `Refiner` of the document stage, which is pickled with the step; or a name or path for
            `load_refiner`, which is loaded where the step runs.
        refiner_options: for `load_refiner`, with a name: `model`, `preset`, ...
        limits: the guards of execution.
        batch_size: the most documents that go to the refiner together; fewer where they are large.
        exclusion_writer: gets the dropped documents; None drops them with a count.
        quarantine: folder for documents that cannot be handled; None counts and logs them.
        keep_original: keep the text as it came in the column `original_text`.
        ledger: shared with `PublishRank`, in a pipeline that ends with one.
    """

    name = "🗳 Refine documents"
    stage = Stage.DOCUMENT


class RefineChunks(_RefineStep):
    """Edit the lines and strings of documents, as the refiner's programs say.

    A document of which nothing but white space is left is dropped (`refined_to_nothing`) with its text as it came; the
    guard on the removed share normally keeps it from getting there. Arguments and statistics are those of
    `RefineDocuments`, with `edited` and the sums `total_chars_removed` and `total_lines_removed`.
    """

    name = "✂️ Refine chunks"
    stage = Stage.CHUNK


def _isolate(texts: Sequence[str], refiner: Refiner, limits: Limits) -> list[Refined | Exception]:
    """Refine texts; the ones that raise come back as their exceptions, found by halving."""
    if not texts:
        return []
    try:
        return list(refine_texts(texts, refiner, limits=limits))
    except (ImportError, RefinerUnusable):  # a missing extra or a dead server is no document's fault
        raise
    except Exception as error:
        if len(texts) == 1:
            return [error]
        middle = len(texts) // 2
        return _isolate(texts[:middle], refiner, limits) + _isolate(texts[middle:], refiner, limits)
