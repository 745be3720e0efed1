"""A page becomes labelled windows, without a teacher: derived from its clean text, or by noise put into that.

Each function is pure and small enough to run in a worker process. A page that gives no label is a word of
`gates.EXCLUSIONS` instead.
"""

from dataclasses import dataclass

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.evaluation.word_f1 import word_f1
from hf_curation.programs.derive import DeriveRules, derive
from hf_curation.programs.execute import execute
from hf_curation.programs.limits import Limits
from hf_curation.programs.lines import normalize_newlines
from hf_curation.programs.model import DropDocument, KeepAll, Program
from hf_curation.refiners.base import Window
from hf_curation.refiners.server.form import RequestForm
from hf_curation.refiners.training.clip import clip_program
from hf_curation.refiners.training.noise import NoiseBank, inject_noise
from hf_curation.refiners.training.splits import Split


@dataclass(frozen=True, slots=True)
class Labelled:
    """The windows of one text and what should be written for each."""

    page: GoldPage
    origin: str
    """A key of `examples.ORIGINS`."""
    text: str
    """What the windows are cut from, newlines normalised: the page, or its clean text with noise."""
    windows: list[Window]
    programs: list[Program | str]
    """A program, or why this window has none."""
    expected: str | None = None
    """What the programs together must make of `text`, where that is known exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairLabeller:
    """Derives programs from pages and their clean text."""

    form: RequestForm
    rules: DeriveRules
    limits: Limits
    min_word_f1: float

    def __call__(self, page: GoldPage) -> Labelled | str:
        """Return the labelled windows of a page, or why it has none."""
        if (reason := why_unusable(page)) is not None:
            return reason
        text, clean = normalize_newlines(page.raw), page.clean or ""
        program = derive(text, clean, dialect=self.form.dialect, rules=self.rules)
        made = execute(text, program, limits=self.limits)
        if made.fallbacks or made.rejected:
            return "removed_too_much" if "removed_too_much" in made.fallbacks else "not_executed"
        if word_f1(made.text, clean) < self.min_word_f1:
            return "low_agreement"
        windows = self.form.windows(text)
        return Labelled(page, "pair", text, windows, [*clip_program(program, windows)], made.text)


def label_noisy(page: GoldPage, form: RequestForm, bank: NoiseBank, *, split: Split, seed: int) -> Labelled | str:
    """Return the labelled windows of a page's clean text with noise in it (origin `clean` where it got none)."""
    if page.clean is None or not page.clean.strip():
        return "no_clean_text" if page.clean is None else "nothing_to_keep"
    noisy = inject_noise(page.clean, bank, document_id=page.id, domain=page.domain, split=split, seed=seed)
    windows = form.windows(noisy.text)
    programs = clip_program(noisy.program, windows)
    origin = "noise" if noisy.blocks else "clean"
    return Labelled(page, origin, noisy.text, windows, [*programs], normalize_newlines(page.clean))


def label_document(page: GoldPage, form: RequestForm, *, min_words: int) -> Labelled | str:
    """Return a page as an example of the document stage: keep if its clean text is of some length, drop if empty."""
    if not page.raw.strip() or page.clean is None:
        return "no_clean_text" if page.raw.strip() else "empty_page"
    text = normalize_newlines(page.raw)
    if page.is_junk:
        return Labelled(page, "pair", text, form.windows(text), [Program((DropDocument(),))])
    if len(page.clean.split()) < min_words and len(page.clean) < 6 * min_words:  # some scripts have no spaces
        return "undecided"
    return Labelled(page, "pair", text, form.windows(text), [Program((KeepAll(document=True),))])


def why_unusable(page: GoldPage) -> str | None:
    """Return why no chunk label can come of a page, or None."""
    if not page.raw.strip():
        return "empty_page"
    if page.clean is None:
        return "no_clean_text"
    return "nothing_to_keep" if page.is_junk else None
