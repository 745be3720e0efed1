"""Figures of one tagger on pages that it did not see, through the same path as `hf-curation refine`."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pages import Page

from hf_curation.evaluation.word_f1 import word_f1
from hf_curation.programs.align import keep_lines
from hf_curation.programs.model import EditResult
from hf_curation.refiners.refine import refine_texts
from hf_curation.refiners.tagger import LineTagger


@dataclass(frozen=True, slots=True)
class PageScore:
    """What the tagger did to one page."""

    id: str
    page_type: str
    is_blank: bool
    f1: float
    keep_all: float
    oracle: float
    removed_rightly: int
    removed_wrongly: int
    missed: int
    """Lines (with words) that were removed rightly, removed wrongly, and kept wrongly, against the line oracle."""
    fallback: bool


def score_pages(pages: Sequence[Page], tagger: LineTagger) -> tuple[list[PageScore], float]:
    """Return the scores of the pages that have gold text, and the seconds that refining them took."""
    pages = [page for page in pages if page.gold.strip()]
    begun = time.process_time()
    refined = refine_texts([page.text for page in pages], tagger)
    seconds = time.process_time() - begun
    scores = [_score(page, r.result) for page, r in zip(pages, refined, strict=True)]
    return scores, seconds


def clean_pairs(pages: Sequence[Page], tagger: LineTagger) -> list[tuple[str, str]]:
    """Return (gold text, what the tagger made of it) for the pages that have one."""
    golds = [page.gold for page in pages if page.gold.strip()]
    return [(gold, r.result.text) for gold, r in zip(golds, refine_texts(golds, tagger), strict=True)]


def line_figures(scores: Sequence[PageScore]) -> tuple[float, float]:
    """Return precision and recall of removing lines that the gold text does not hold."""
    right = sum(score.removed_rightly for score in scores)
    wrong = sum(score.removed_wrongly for score in scores)
    missed = sum(score.missed for score in scores)
    return right / max(right + wrong, 1), right / max(right + missed, 1)


def _score(page: Page, result: EditResult) -> PageScore:
    lines = page.lines
    wanted = keep_lines(lines, page.gold)
    kept = ~_removed_lines(lines, result)
    words = [bool(line.strip()) for line in lines]
    flags = np.array([wanted, kept, words], dtype=bool)
    return PageScore(
        id=page.id,
        page_type=page.page_type,
        is_blank=not page.text.strip(),
        f1=word_f1(result.text, page.gold),
        keep_all=word_f1(page.text, page.gold),
        oracle=word_f1("\n".join(line for line, keep in zip(lines, wanted, strict=True) if keep), page.gold),
        removed_rightly=int((~flags[0] & ~flags[1] & flags[2]).sum()),
        removed_wrongly=int((flags[0] & ~flags[1] & flags[2]).sum()),
        missed=int((~flags[0] & flags[1] & flags[2]).sum()),
        fallback=bool(result.fallbacks),
    )


def _removed_lines(lines: Sequence[str], result: EditResult) -> NDArray[np.bool_]:
    starts = np.cumsum([0, *(len(line) + 1 for line in lines[:-1])])
    removed = np.zeros(len(lines), dtype=np.bool_)
    for edit in result.edits:
        removed[np.searchsorted(starts, edit.start) : np.searchsorted(starts, edit.end)] = True
    return removed
