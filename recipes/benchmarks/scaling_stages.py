"""The stages that `scaling.py` measures: each a function from a folder to what does the work, all of it prepared."""

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from passes import chain_of, run_steps

from hf_curation.programs.model import Dialect, Scope
from hf_curation.refiners.base import Draft, Stage, Window

SELECT = ("count_target", "count_raw", "fit", "weigh", "choose", "keep", "evidence")
TOKENIZE = ("tokenize", "store")
REFINE = ("refine", "summary")
STAGES = (*REFINE, "edit", "report", *SELECT, *TOKENIZE, "pack", "adapt")
"""In this order: some read what one before them wrote."""
LEARNED_TOKENS = 4000
"""Of `adapt`: as many for every corpus, or more text would mean more to learn and to remove."""


class FirstLines:
    """A refiner that costs nothing, to measure what is around it: it removes the first line of every page."""

    name = "first-lines"
    dialect = Dialect.PROX
    stage = Stage.CHUNK

    def windows(self, text: str) -> list[Window]:
        """Return the page as one window."""
        return [Window(text, 0, Scope(0, len(text), 0))]

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        """Return the same program for every window."""
        return [Draft("remove_lines(line_start=0, line_end=0)") for _ in windows]


def refine(folder: Path, place: int) -> Callable[[], None]:
    """Return what runs one executor of refining."""
    from datatrove_steps.pipelines import refine_pipeline
    from datatrove_steps.refine_plan import RefineConfig

    config = RefineConfig(input=str(folder / "documents.jsonl"), output=str(folder / "refined"), tasks=1)
    return partial(run_steps, chain_of(refine_pipeline(config))[place])


def edit(folder: Path) -> Callable[[], None]:
    """Return what refines with a refiner that costs nothing."""
    from datatrove_steps.pipelines import refine_pipeline
    from datatrove_steps.refine_plan import RefineConfig

    options: dict[str, Any] = {"doc_refiner": None, "chunk_refiner": FirstLines(), "tasks": 1}
    config = RefineConfig(input=str(folder / "documents.jsonl"), output=str(folder / "edited"), **options)
    return partial(run_steps, chain_of(refine_pipeline(config))[0])


def select(folder: Path, place: int) -> Callable[[], None]:
    """Return what runs one pass of a selection."""
    from datatrove_steps import SelectConfig, importance_sampling

    config = SelectConfig(
        raw=str(folder / "documents.jsonl"),
        output=str(folder / "selected"),
        targets=str(folder / "target.jsonl"),
        budget="10%",
        tasks=1,
    )
    return partial(run_steps, chain_of(importance_sampling(config))[place])


def tokenize(folder: Path, place: int) -> Callable[[], None]:
    """Return what runs one executor of tokenizing."""
    from datatrove_steps.tokenize_pipeline import TokenizeConfig, tokenize_documents

    config = TokenizeConfig(
        input=str(folder / "documents.jsonl"),
        output=str(folder / "tokens"),
        tokenizer=str(folder / "tokenizer"),
        tasks=1,
    )
    return partial(run_steps, chain_of(tokenize_documents(config))[place])


def pack(folder: Path) -> Callable[[], None]:
    """Return what plans the rows of both phases, prefixes included."""
    from transformers import AutoTokenizer

    from trainer_callbacks import MeCoDataset

    tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
    shutil.rmtree(folder / "tokens" / "prefixes", ignore_errors=True)
    return lambda: print(len(MeCoDataset(folder / "tokens", tokenizer, seq_len=2048, samples_per_step=1)))


def report(folder: Path) -> Callable[[], None]:
    """Return what draws the report of the edited documents."""
    from hf_curation.reports.gather import gather_report
    from hf_curation.reports.render import render_report

    def draw() -> None:
        (folder / "edited.html").write_bytes(render_report(gather_report(folder / "edited")))

    return draw


def adapt(folder: Path) -> Callable[[], None]:
    """Return what adapts the vocabulary to all documents, read one by one."""
    from datatrove_steps import ReadDocuments
    from hf_curation.vocabulary import adapt_tokenizer

    def learn() -> None:
        texts = (doc.text for doc in ReadDocuments(folder / "documents.jsonl").run())
        adapt_tokenizer(str(folder / "tokenizer"), texts, new_tokens=LEARNED_TOKENS)

    return learn


WORK: dict[str, Callable[[Path], Callable[[], None]]] = {
    **{name: partial(refine, place=i) for i, name in enumerate(REFINE)},
    **{name: partial(select, place=i) for i, name in enumerate(SELECT)},
    **{name: partial(tokenize, place=i) for i, name in enumerate(TOKENIZE)},
    "edit": edit,
    "report": report,
    "pack": pack,
    "adapt": adapt,
}
