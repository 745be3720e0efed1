"""ChooseThreshold: from all weights to the choice: a few exact thresholds, without holding the documents.

Reads the sidecars of all ranks, columns of numbers only, once for every pass of `hf_curation.sampling.choose`. Beside
the choice two others of the same budget are made for the evidence: a uniform one, and the plain top of the list.

`choice.json` holds the thresholds as exact integers, so every task of the next pass finds the same documents, and the
digests of model and sidecars that they were found in.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import pyarrow.compute as pc
from datatrove.data import DocumentsPipeline
from datatrove.pipeline.base import PipelineStep

from datatrove_steps.importance.sidecar import Sidecars, read_columns
from datatrove_steps.importance.stages import Stage, check_file
from datatrove_steps.ledger import RankLedger
from hf_curation.files.atomic import write_json
from hf_curation.sampling.choice import Choice
from hf_curation.sampling.choose import choose, random_choice
from hf_curation.sampling.corpus import EqualIdsError
from hf_curation.sampling.measures import LogSums
from hf_curation.sampling.rules import ChoiceRules

_BLOCK_ROWS: Final = 65_536
COMPARED: Final = ("random", "top_k")
"""Choices of the same budget that the evidence compares with."""


class ChooseThreshold(PipelineStep):  # type: ignore[misc]
    """Choose by the weights of all ranks. Runs as one task.

    Args:
        choice_path: gets the choice.
        weigh: the stage that weighed.
        columns: of log weights, one for each lane.
        lane_names: what these are weights towards.
        rules: budget, seed and shares.
        stage: the stage of a selection that this is.
    """

    type = "🎯 - CHOOSE"
    name = "🎯 Choose threshold"

    def __init__(
        self,
        choice_path: str | Path,
        *,
        weigh: Stage,
        columns: tuple[str, ...],
        lane_names: tuple[str, ...],
        rules: ChoiceRules,
        stage: Stage,
    ) -> None:
        super().__init__()
        self.choice_path = Path(choice_path).absolute()
        self.weigh = weigh
        self.columns = columns
        self.lane_names = lane_names
        self.rules = rules
        self.stage = stage

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write the choice; yields nothing.

        Raises:
            ValueError: if weights are missing or of another plan, two documents have one id, or the rules ask for more
                than there is.
        """
        yield from data or ()
        self.stage.check_world(world_size)
        with self.track_time("choice"):
            sidecars = Sidecars.of(self.weigh, self.columns).with_sources()
            chosen = self._choose(sidecars, self.rules)  # compares the ids, for all three
            compared = {
                "random": random_choice(
                    sidecars.read, self.rules, source_names=sidecars.source_names, check_ids=False
                ),
                "top_k": chosen
                if self.rules.top_k
                else self._choose(sidecars, replace(self.rules, top_k=True), check_ids=False),
            }
            facts: dict[str, Any] = {"weights_sha256": sidecars.digests, "model_sha256": sidecars.model_sha256}
            facts["log_sums"] = asdict(self._log_sums(sidecars))
            body = chosen.to_dict() | facts | {"compared": {name: one.to_dict() for name, one in compared.items()}}
            write_json(self.choice_path, body)
        self.stat_update("documents", value=chosen.total.num_documents, unit="task")
        self.stage.publish(RankLedger(rank), [self.stage.describe(self.choice_path, chosen.total.num_documents)])

    def _log_sums(self, sidecars: Sidecars) -> LogSums:
        """Sum the weights that keys are drawn with, in blocks that do not depend on the cut into files."""
        sums, bound = LogSums(), np.inf if self.rules.clip is None else self.rules.clip
        for scaled in in_blocks(
            np.clip(
                candidates.log_weights[candidates.eligible(self.rules.min_tokens)] / self.rules.temperature,
                -bound,
                bound,
            )
            for candidates in sidecars.read()
        ):
            sums.add(scaled if scaled.ndim == 1 else np.logaddexp.reduce(scaled, axis=1))
        return sums

    def _choose(self, sidecars: Sidecars, rules: ChoiceRules, *, check_ids: bool = True) -> Choice:
        try:
            return choose(
                sidecars.read,
                rules,
                target_names=self.lane_names,
                source_names=sidecars.source_names,
                check_ids=check_ids,
            )
        except EqualIdsError as error:
            id_ = _id_of(sidecars, error.hash)
            raise ValueError(f"{error}; the id {id_!r} is one of them. Or go by file and number: no id key") from error


@dataclass(frozen=True, slots=True)
class Choices:
    """What `choice.json` holds."""

    chosen: Choice
    compared: dict[str, Choice]
    weights_sha256: tuple[str, ...]
    """Of the sidecars, in the order of ranks."""
    log_sums: LogSums

    @classmethod
    def read(cls, stage: Stage) -> "Choices":
        """Read the choice of a finished stage.

        Raises:
            ValueError: if the stage is not finished, or the file was changed.
        """
        path = check_file(stage, stage.outputs()[0])
        body: dict[str, Any] = orjson.loads(path.read_bytes())
        compared = {name: Choice.from_dict(body["compared"][name]) for name in COMPARED}
        sums: dict[str, Any] = {
            name: -np.inf if value is None else value for name, value in body["log_sums"].items()
        }  # JSON has none
        return cls(Choice.from_dict(body), compared, tuple(body["weights_sha256"]), LogSums(**sums))


def _id_of(sidecars: Sidecars, hash_: int) -> str | None:
    """Return an id of this hash."""
    for path in sidecars.paths:
        for batch in read_columns(path, ["id", "id_hash"]):
            ids = batch.filter(pc.field("id_hash") == np.uint64(hash_)).column("id")
            if len(ids):
                return str(ids[0].as_py())
    return None


def in_blocks(chunks: Iterable[Any]) -> Iterator[Any]:
    """Yield the rows of arrays in blocks of 65,536, whatever the cut into chunks."""
    waiting: list[Any] = []
    num_waiting = 0
    for chunk in chunks:
        waiting.append(chunk)
        num_waiting += len(chunk)
        if num_waiting >= _BLOCK_ROWS:
            rows = np.concatenate(waiting)
            whole = num_waiting - num_waiting % _BLOCK_ROWS
            yield from np.split(rows[:whole], whole // _BLOCK_ROWS)
            waiting, num_waiting = [rows[whole:]], num_waiting - whole
    if num_waiting:
        yield np.concatenate(waiting)
