"""One set of figures for any refiner, so that a tagger, an LM and a server can be compared on the same pages.

All go through `refine_texts`, as in `hf-curation refine`. The chunk stage is scored on the pages that have a clean
text with something in it; the document stage on these and on the pages of which nothing is worth keeping, where there
are such pages. Lines are labelled by `keep_lines`; a line counts as removed when none of its characters is left, so a
string edit inside a line is no removal. Figures over lines are over all lines of all pages, word F1 is a mean over
pages with a bootstrap interval over pages.

The F1 of the document stage is that of its drops: keeping everything scores 0, and a data set without a page to drop
scores nobody.
"""

import re
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.evaluation.word_f1 import Interval, bootstrap_mean, over_deletion, paired_difference, word_f1
from hf_curation.programs.align import keep_lines
from hf_curation.programs.limits import Limits
from hf_curation.programs.lines import split_lines
from hf_curation.programs.model import Dialect, Edit
from hf_curation.programs.parse import parse_program
from hf_curation.refiners.base import Draft, Refiner, Stage, Window
from hf_curation.refiners.refine import Refined, refine_texts

BATCH_PAGES: Final = 64
"""Pages that are refined together: a language model forms its batches over all of their windows."""
_LINE_BREAK: Final = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Agreement:
    """Precision, recall and F1 of something that was removed; None where it cannot be said."""

    right: int
    wrong: int
    missed: int

    @property
    def precision(self) -> float | None:
        """Of what was removed, the share that should be; None when nothing was removed."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else None

    @property
    def recall(self) -> float | None:
        """Of what should be removed, the share that was; None when nothing should be."""
        return self.right / (self.right + self.missed) if self.right + self.missed else None

    @property
    def f1(self) -> float | None:
        """None when nothing should be removed."""
        if not self.right + self.missed:
            return None
        return 2 * self.right / (2 * self.right + self.wrong + self.missed)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerFigures:
    """What one refiner did to a data set."""

    refiner: str
    num_pages: int
    """Pages of the chunk stage."""
    num_windows: int
    valid_programs: float
    """Share of the answers that are whole, hold a call, and hold nothing that is no call of their dialect."""
    rejected_calls: dict[str, int]
    """Calls that could not be read or executed, by reason."""
    fallbacks: dict[str, int]
    lines: Agreement
    """Removed lines against the lines that the clean text does not hold; lines without words do not count."""
    documents: Agreement | None
    """Dropped pages against those of which nothing is worth keeping; None without a document refiner."""
    word_f1: Interval
    gain: Interval
    """Of word F1 over keeping everything, page by page."""
    over_deletion: float
    """Share of the visible characters of clean texts that is gone when these are the input."""
    clean_dropped: float | None
    """Share of clean texts that the document refiner drops."""
    seconds: float
    """Wall time of refining the pages: windows, programs, execution; the chunk stage alone."""
    cpu_seconds: float
    """Processor time of this process for the same: what a busy machine does not change, and a server does not show."""
    prompt_tokens: int
    output_tokens: int

    @property
    def pages_per_s(self) -> float:
        """Pages of the chunk stage a second."""
        return self.num_pages / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain numbers, ready for JSON."""
        plain = asdict(self)
        for name in ("lines", "documents"):
            found: Agreement | None = getattr(self, name)
            if found is not None:
                plain[name] |= {"precision": found.precision, "recall": found.recall, "f1": found.f1}
        return {**plain, "pages_per_s": self.pages_per_s}


@dataclass(slots=True)
class _Recorder:
    """A refiner that remembers what it wrote, since validity is a matter of drafts and not of results."""

    inner: Refiner
    drafts: list[Draft] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.inner.name

    @property
    def stage(self) -> Stage:
        return self.inner.stage

    @property
    def dialect(self) -> Dialect:
        return self.inner.dialect

    def windows(self, text: str) -> list[Window]:
        return self.inner.windows(text)

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        drafts = self.inner.write(windows)
        self.drafts += drafts
        return drafts


class EvaluationSet:
    """Pages and their labels, made once and used for every refiner.

    Raises:
        ValueError: if no page has a clean text with something in it.
    """

    def __init__(self, pages: Sequence[GoldPage]) -> None:
        judged = [page for page in pages if page.clean is not None]
        self.num_unjudged = len(pages) - len(judged)
        """Pages without a clean text; no figure is about them."""
        self.pages = [page for page in judged if not page.is_junk]
        self.junk = [page for page in judged if page.is_junk and page.raw.strip()]
        if not self.pages:
            raise ValueError(f"none of {len(pages)} pages has a clean text with something in it")
        self._labels = [_line_labels(page) for page in self.pages]
        self.keep_all_f1 = [word_f1(page.raw, page.clean or "") for page in self.pages]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(Page, clean text) of all judged pages, and each clean text with itself: what the oracle is told."""
        pairs = [(page.raw, page.clean or "") for page in (*self.pages, *self.junk)]
        return pairs + [(clean, clean) for _, clean in pairs]

    def evaluate(
        self, refiner: Refiner, *, doc_refiner: Refiner | None = None, limits: Limits | None = None
    ) -> RefinerFigures:
        """Run a refiner over the pages and over their clean texts, and return its figures.

        Args:
            refiner: Of the chunk stage.
            doc_refiner: Of the document stage, scored by itself; None leaves its figures out.
            limits: The guards; by default those of `hf-curation refine`.
        """
        recorder = _Recorder(refiner)
        begun, cpu_begun = time.perf_counter(), time.process_time()
        refined = _refine([page.raw for page in self.pages], recorder, limits)
        seconds, cpu_seconds = time.perf_counter() - begun, time.process_time() - cpu_begun
        scores = [word_f1(r.result.text, page.clean or "") for r, page in zip(refined, self.pages, strict=True)]
        cleaned = _refine([page.clean or "" for page in self.pages], refiner, limits)
        pairs = [(page.clean or "", r.result.text) for page, r in zip(self.pages, cleaned, strict=True)]
        documents, clean_dropped = self._judge(doc_refiner, limits) if doc_refiner else (None, None)
        return RefinerFigures(
            refiner=refiner.name,
            num_pages=len(self.pages),
            num_windows=len(recorder.drafts),
            valid_programs=_valid_share(recorder.drafts, refiner.dialect),
            rejected_calls=_count(rejection.reason for r in refined for rejection in r.result.rejected),
            fallbacks=_count(fallback for r in refined for fallback in r.result.fallbacks),
            lines=self._score_lines(refined),
            documents=documents,
            word_f1=bootstrap_mean(scores),
            gain=paired_difference(scores, self.keep_all_f1),
            over_deletion=over_deletion(pairs),
            clean_dropped=clean_dropped,
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            prompt_tokens=sum(r.prompt_tokens for r in refined),
            output_tokens=sum(r.output_tokens for r in refined),
        )

    def _score_lines(self, refined: Sequence[Refined]) -> Agreement:
        right = wrong = missed = 0
        for page, labels, one in zip(self.pages, self._labels, refined, strict=True):
            for is_wanted, is_removed in zip(labels, removed_lines(page.raw, one.result.edits), strict=True):
                if is_wanted is not None:
                    right += is_removed and not is_wanted
                    wrong += is_removed and is_wanted
                    missed += not is_removed and not is_wanted
        return Agreement(right, wrong, missed)

    def _judge(self, refiner: Refiner, limits: Limits | None) -> tuple[Agreement, float]:
        """Return how the drops of the pages agree, and the share of clean texts that is dropped."""
        groups = [[page.raw for page in self.pages], [page.raw for page in self.junk]]
        lost, found = (sum(r.result.dropped for r in _refine(texts, refiner, limits)) for texts in groups)
        cleaned = _refine([page.clean or "" for page in self.pages], refiner, limits)
        return (
            Agreement(found, lost, len(self.junk) - found),
            sum(r.result.dropped for r in cleaned) / len(cleaned),
        )


def removed_lines(text: str, edits: Sequence[Edit]) -> list[bool]:
    """Tell for each line of `split_lines(text)` whether the edits leave none of its visible characters.

    Args:
        text: The page as it came.
        edits: Sorted, disjoint spans of it, as in `EditResult.edits`. Replacements do not count as what is left.
    """
    breaks = list(_LINE_BREAK.finditer(text))
    starts = [0, *(found.end() for found in breaks)]
    ends = [*(found.start() for found in breaks), len(text)]
    visible = [len("".join(text[s:e].split())) for s, e in zip(starts, ends, strict=True)]
    gone = [0] * len(starts)
    for edit in edits:
        line = max(bisect_right(starts, edit.start) - 1, 0)
        while line < len(starts) and starts[line] < edit.end:
            piece = text[max(starts[line], edit.start) : min(ends[line], edit.end)]
            gone[line] += len("".join(piece.split()))
            line += 1
    return [total > 0 and total == left for total, left in zip(visible, gone, strict=True)]


def _line_labels(page: GoldPage) -> list[bool | None]:
    """Return for each line whether it should stay; None for a line without visible characters."""
    lines = split_lines(page.raw)
    wanted = keep_lines(lines, page.clean or "")
    return [is_wanted if line.strip() else None for line, is_wanted in zip(lines, wanted, strict=True)]


def _refine(texts: Sequence[str], refiner: Refiner, limits: Limits | None) -> list[Refined]:
    batches = [texts[start : start + BATCH_PAGES] for start in range(0, len(texts), BATCH_PAGES)]
    return [one for batch in batches for one in refine_texts(batch, refiner, limits=limits)]


def _valid_share(drafts: Sequence[Draft], dialect: Dialect) -> float:
    if not drafts:
        return 0.0
    return sum(is_valid(draft, dialect) for draft in drafts) / len(drafts)


def is_valid(draft: Draft, dialect: Dialect) -> bool:
    """Tell whether an answer is whole, holds a call, and holds nothing that is no call of its dialect."""
    if draft.finish_reason != "stop":
        return False
    program = parse_program(draft.text, dialect)
    return bool(program.calls) and not program.rejected


def _count(words: Iterable[str]) -> dict[str, int]:
    return dict(Counter(words).most_common())
