"""New pages out of old ones: 1,497 pages are few, and a network learns them by heart within ten epochs.

A page is a head (up to its first content line), a main part and a tail. Heads and tails move between pages, stretches
are cut out or put in, and marks of one extractor (indents, bullets, blank lines) are taken away, so that the tagger
learns from what lines say and where they stand, and not from how one extractor lays them out. Clean documents, which
must come back whole, are gold texts and the content lines of pages.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pages import MAX_LINES, Page, Sample
from scripts import disguise

from hf_curation.programs.lines import split_lines
from hf_curation.refiners.tagger.features import page_features

_BULLET = re.compile(r"^(\s*)(?:[•◦▪*·-]|\d+\.)\s+")
Labelled = tuple[list[str], NDArray[np.float32]]


@dataclass(kw_only=True, slots=True, frozen=True)
class Augmentation:
    """How often pages are changed; probabilities."""

    changed: float = 0.7
    """Share of pages that are changed at all in an epoch."""
    swap: float = 0.4
    """The head (and, on its own, the tail) is another page's."""
    cut: float = 0.15
    """The head (the tail) is cut off at a random line; a stretch of the main part is left out."""
    insert: float = 0.15
    """A stretch of another page's noise is put into the main part."""
    no_indent: float = 0.15
    no_bullets: float = 0.12
    no_blank: float = 0.12
    lower_case: float = 0.03
    disguise: float = 0.15
    """The page is written in an unknown language; see scripts.py."""
    emptied: float = 0.05
    """The main part is taken out: a page with nothing to keep."""
    clean: float = 0.12
    """Clean documents, as a share of the pages."""


def whole_page(page: Page, page_type: int) -> Sample:
    """Return a page as it came."""
    if len(page.shares_N) <= MAX_LINES:
        return Sample(page.features, page.shares_N[page.features.rows], page_type)
    return _sample((page.lines, page.shares_N), page_type)


def changed_page(page: Page, donor: Page, page_type: int, how: Augmentation, rng: np.random.Generator) -> Sample:
    """Return a variant of `page` that may borrow head, tail or noise from `donor`."""
    lines, shares = page.lines, page.shares_N
    if rng.random() < how.emptied:
        return _sample(_relayout(_without_content((lines, shares), rng), how, rng), page_type)
    span, other = _main_part(shares), _main_part(donor.shares_N)
    if span and other:
        lines, shares = _recombine((lines, shares), span, (donor.lines, donor.shares_N), other, how, rng)
    return _sample(_relayout((lines, shares), how, rng), page_type)


def clean_page(page: Page, how: Augmentation, rng: np.random.Generator) -> Sample | None:
    """Return a document that is all content: the gold text, or the page's content lines, whole or in part."""
    if rng.random() < 0.5:
        lines = split_lines(page.gold)
    else:
        lines = [
            line for line, share in zip(page.lines, page.shares_N, strict=True) if share >= 0.5 or not line.strip()
        ]
    if len(lines) > 4 and rng.random() < 0.3:
        size = int(rng.integers(1, len(lines)))
        start = int(rng.integers(0, len(lines) - size + 1))
        lines = lines[start : start + size]
    sample = _sample(_relayout((lines, np.ones(len(lines), dtype=np.float32)), how, rng), -100)
    return sample if len(sample.shares) else None


def _main_part(shares: NDArray[np.float32]) -> tuple[int, int] | None:
    content = np.flatnonzero(shares >= 0.5)
    return (int(content[0]), int(content[-1]) + 1) if len(content) else None


def _recombine(
    page: Labelled,
    span: tuple[int, int],
    donor: Labelled,
    donor_span: tuple[int, int],
    how: Augmentation,
    rng: np.random.Generator,
) -> Labelled:
    head, main, tail = _slice(page, 0, span[0]), _slice(page, *span), _slice(page, span[1], len(page[0]))
    if rng.random() < how.swap:
        head = _slice(donor, 0, donor_span[0])
    if rng.random() < how.swap:
        tail = _slice(donor, donor_span[1], len(donor[0]))
    if rng.random() < how.cut:
        head = _slice(head, int(rng.integers(0, len(head[0]) + 1)), len(head[0]))
    if rng.random() < how.cut:
        tail = _slice(tail, 0, int(rng.integers(0, len(tail[0]) + 1)))
    if rng.random() < how.cut and len(main[0]) > 10:
        main = _without_stretch(main, rng)
    if rng.random() < how.insert:
        main = _with_noise(main, donor, rng)
    return _join(head, main, tail)


def _without_content(page: Labelled, rng: np.random.Generator) -> Labelled:
    noise = np.flatnonzero(page[1] < 0.3)
    if rng.random() < 0.5:  # error pages and walls are short
        size = int(rng.integers(3, 40))
        start = int(rng.integers(0, max(len(noise) - size, 1)))
        noise = noise[start : start + size]
    return [page[0][i] for i in noise], page[1][noise]


def _without_stretch(main: Labelled, rng: np.random.Generator) -> Labelled:
    size = int(rng.integers(1, len(main[0]) // 2 + 1))
    start = int(rng.integers(0, len(main[0]) - size + 1))
    return _join(_slice(main, 0, start), _slice(main, start + size, len(main[0])))


def _with_noise(main: Labelled, donor: Labelled, rng: np.random.Generator) -> Labelled:
    size = int(rng.integers(1, 20))
    start = int(rng.integers(0, max(len(donor[0]) - size, 1)))
    noise = _slice(donor, start, start + size)
    if noise[1].max(initial=0) >= 0.3:
        return main
    at = int(rng.integers(0, len(main[0]) + 1))
    return _join(_slice(main, 0, at), noise, _slice(main, at, len(main[0])))


def _relayout(page: Labelled, how: Augmentation, rng: np.random.Generator) -> Labelled:
    lines, shares = page
    indent, bullets, blank, case = rng.random(4)
    if indent < how.no_indent:
        lines = [line.lstrip() for line in lines]
    if bullets < how.no_bullets:
        lines = [_BULLET.sub(r"\1", line) for line in lines]
    if blank < how.no_blank:
        filled = [i for i, line in enumerate(lines) if line.strip()]
        lines, shares = [lines[i] for i in filled], shares[filled]
    if case < how.lower_case:
        lines = [line.lower() for line in lines]
    if rng.random() < how.disguise:
        lines = disguise(lines, rng)
    return lines, shares


def _slice(page: Labelled, start: int, end: int) -> Labelled:
    return page[0][start:end], page[1][start:end]


def _join(*parts: Labelled) -> Labelled:
    return [line for lines, _ in parts for line in lines], np.concatenate([shares for _, shares in parts])


def _sample(page: Labelled, page_type: int) -> Sample:
    lines, shares = page
    features = page_features(lines[:MAX_LINES])
    return Sample(features, shares[features.rows], page_type)
