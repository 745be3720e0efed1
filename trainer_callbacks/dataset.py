"""The training data of a MeCo run: rows of the conditioned phase, then rows of the cooldown, in their final order.

The phase is a pure function of the position: row `i` is trained at optimizer step `i // samples_per_step`. So it is
exact with any number of DataLoader workers, under gradient accumulation, on several processes and after a resume. It
needs the data in order: `train_sampling_strategy="sequential"` in TrainingArguments (the callback checks it); the rows
are shuffled already, by a seed, each phase for itself.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from hf_curation.files.atomic import canonical_json
from hf_curation.metadata import DEFAULT_TEMPLATE, MissingPolicy, PrefixEncoder, PrefixTemplate, parse_template
from hf_curation.packing.order import BLOCK_DOCUMENTS, DocumentOrder
from hf_curation.packing.phase_rows import PhaseRows, Planning, place_of_share
from hf_curation.packing.prefix_cache import cached_prefixes
from hf_curation.packing.schedule import Phase, Schedule
from hf_curation.packing.segments import SpecialTokens
from hf_curation.packing.store import TokenStore


@dataclass(frozen=True, slots=True)
class RowFigures:
    """How much of some rows is metadata."""

    num_documents: int
    """Documents, or pieces of documents."""
    num_conditioned: int
    """Of these, with metadata."""
    num_tokens: int
    num_prefix_tokens: int
    """Tokens of metadata; BOS is none."""


class MeCoDataset(Dataset[dict[str, Any]]):
    """Map-style rows for `MeCoDataCollator`; `len(dataset) == max_steps * samples_per_step`.

    Args:
        store: Tokenized documents, or the folder of a token store.
        tokenizer: The one that wrote the store.
        seq_len: Tokens per row.
        samples_per_step: Rows per optimizer step: processes x per-device batch x accumulation. `geometry_of(args)`
            takes it from TrainingArguments.
        max_steps: Optimizer steps of the run; None: as many as one pass over the data gives.
        schedule: Which documents are conditioned.
        template: What is written in front.
        on_missing: What a document without a value gets; used when `template` is text.
        cooldown_store: Documents of the cooldown (the paper trains it on new data); None: a part of `store` that the
            conditioned phase does not see.
        plan: How documents are packed: `best_fit`, `truncate` (the paper), or `split`.
        block_documents: How many are packed together; what is held in memory grows with it, not with the store.
        seed: Of the order.
        allow_repeats: Let the data be used again when the run needs more rows than there are; else that is an error.

    Raises:
        ValueError: if the data does not suffice, another tokenizer wrote the store, or a column is missing.
    """

    def __init__(
        self,
        store: TokenStore | str | Path,
        tokenizer: Any,  # noqa: ANN401 - a transformers tokenizer
        *,
        seq_len: int,
        samples_per_step: int,
        max_steps: int | None = None,
        schedule: Schedule | None = None,
        template: PrefixTemplate | str = DEFAULT_TEMPLATE,
        on_missing: MissingPolicy | str = MissingPolicy.DROP_PREFIX,
        cooldown_store: TokenStore | str | Path | None = None,
        plan: str = "best_fit",
        block_documents: int = BLOCK_DOCUMENTS,
        seed: int = 0,
        allow_repeats: bool = False,
    ) -> None:
        if samples_per_step < 1:
            raise ValueError(f"samples_per_step must be at least 1, got {samples_per_step}")
        self.schedule = schedule or Schedule()
        self.seq_len, self.samples_per_step, self.seed = seq_len, samples_per_step, seed
        self.plan, self.block_documents = plan, block_documents
        if isinstance(template, str):
            template = parse_template(template, on_missing=MissingPolicy(on_missing))
        self.template = template
        self.special = SpecialTokens.of(tokenizer)
        encoder = PrefixEncoder(tokenizer, template)
        stores = [TokenStore(s) if isinstance(s, str | Path) else s for s in (store, cooldown_store) if s is not None]
        for one in stores:
            one.check_tokenizer(tokenizer)
        is_writer = os.environ.get("LOCAL_RANK", "0") == "0"  # one process of each machine
        self.tables = [
            cached_prefixes(one, encoder, write=is_writer, span_documents=block_documents) for one in stores
        ]
        self._lay_out(stores, max_steps, allow_repeats)

    @property
    def switch_row(self) -> int:
        """First row of the cooldown."""
        return self.switch_step * self.samples_per_step

    @cached_property
    def phase_fingerprints(self) -> dict[str, str]:
        """For each phase the sha256 of its rows and of their order, BOS and EOS included."""
        special = [self.special.bos, self.special.eos]
        return {
            phase.value: sha256(canonical_json([rows.fingerprint, special])).hexdigest()
            for phase, rows in self._phases.items()
        }

    @property
    def fingerprint(self) -> str:
        """sha256 of everything that decides the order and content of rows: equal fingerprints, equal runs."""
        facts = [self.samples_per_step, self.max_steps, self.switch_step, self.phase_fingerprints]
        return sha256(canonical_json(facts)).hexdigest()

    def figures(self, rows: range) -> RowFigures:
        """Return the share of metadata in consecutive rows, from the plan, without reading tokens."""
        if not rows:
            return RowFigures(0, 0, 0, 0)
        spans = [(self.phase_of(row), row) for row in (rows.start, self.switch_row) if row in rows]
        ends = [row for _, row in spans[1:]] + [rows.stop]
        found = [
            self._phases[phase].figures(self._locate(first)[1], end - first)
            for (phase, first), end in zip(spans, ends, strict=True)
            if end > first
        ]
        return RowFigures(*(sum(column) for column in zip(*found, strict=True)))

    def document_ids(self, rows: Iterable[int]) -> list[str]:
        """Return the ids of the documents in `rows`."""
        found = [(phase, document) for phase, at in map(self._locate, rows) for document in phase.documents(at)]
        return [str(phase.store.metadata(document)["id"]) for phase, document in found]

    def phase_of(self, row: int) -> Phase:
        """Return the phase that a row belongs to."""
        return Phase.COOLDOWN if row >= self.switch_row else Phase.CONDITIONED

    def __len__(self) -> int:
        """Return the number of rows of the run."""
        return self.max_steps * self.samples_per_step

    def __getitem__(self, row: int) -> dict[str, Any]:
        """Return a row: its phase, and its documents in `segments`."""
        phase, at = self._locate(row)
        return {"phase": self.phase_of(row).value, "segments": phase.segments(at)}

    def _locate(self, row: int) -> tuple[PhaseRows, int]:
        """Return the phase of a row, and which row of its plan it is."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        phase = self.phase_of(row)
        rows = self._phases[phase]
        return rows, (row - (self.switch_row if phase is Phase.COOLDOWN else 0)) % rows.num_rows

    def _lay_out(self, stores: list[TokenStore], max_steps: int | None, allow_repeats: bool) -> None:
        """Plan both phases and decide at which step they meet."""
        self._phases = {
            phase: PhaseRows(stores[index], self.tables[index], order, places, self._planning(phase))
            for phase, (index, order, places) in self._share_out(stores).items()
        }
        available = {phase: rows.num_rows for phase, rows in self._phases.items()}
        self.max_steps = self._steps_in(available) if max_steps is None else max_steps
        self.switch_step = self.schedule.switch_step(self.max_steps)
        steps = {Phase.CONDITIONED: self.switch_step, Phase.COOLDOWN: self.max_steps - self.switch_step}
        for phase, num_steps in steps.items():
            needed, there = num_steps * self.samples_per_step, available.get(phase, 0)
            if needed > there and not (allow_repeats and there):
                raise ValueError(
                    f"the {phase} phase needs {needed} rows of {self.seq_len} tokens ({num_steps} steps of "
                    f"{self.samples_per_step}) and the data gives {there}: lower max_steps, add data, "
                    "or set allow_repeats=True"
                )

    def _share_out(self, stores: list[TokenStore]) -> dict[Phase, tuple[int, DocumentOrder, range]]:
        """Return for each phase which store serves it, in which order, and which stretch of that."""
        orders = [
            DocumentOrder(len(one), self.seed + i, block_documents=self.block_documents)
            for i, one in enumerate(stores)
        ]
        everything = [range(len(one)) for one in stores]
        if not self.schedule.has_cooldown:
            return {Phase.CONDITIONED: (0, orders[0], everything[0])}
        if len(stores) == 2:
            return {phase: (i, orders[i], everything[i]) for i, phase in enumerate(Phase)}
        cut = place_of_share(stores[0], orders[0], 1 - self.schedule.cooldown_fraction)
        return {
            Phase.CONDITIONED: (0, orders[0], range(cut)),
            Phase.COOLDOWN: (0, orders[0], range(cut, len(stores[0]))),
        }

    def _planning(self, phase: Phase) -> Planning:
        return Planning(
            kind=self.plan,
            seq_len=self.seq_len,
            seed=self.seed + (phase is Phase.COOLDOWN),
            phase=phase,
            schedule=self.schedule,
            special=self.special,
        )

    def _steps_in(self, available: dict[Phase, int]) -> int:
        """Return the most steps whose two phases the rows suffice for."""
        rows, cool = available[Phase.CONDITIONED], available.get(Phase.COOLDOWN, 0)
        for steps in range((rows + cool) // self.samples_per_step, 0, -1):
            switch = self.schedule.switch_step(steps)
            if switch * self.samples_per_step <= rows and (steps - switch) * self.samples_per_step <= cool:
                return steps
        raise ValueError(
            f"the data gives {rows} + {cool} rows of {self.seq_len} tokens, fewer than one step of "
            f"{self.samples_per_step} in each phase: add data or shorten seq_len"
        )
