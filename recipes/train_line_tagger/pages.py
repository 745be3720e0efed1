"""Pages with the share of each line's words that the gold text holds: what the tagger is trained on.

The labels are soft: the alignment behind `hf_curation.programs.derive` says how many words of a line survive, and a
line half of which is content is a different lesson from one that is all content.
"""

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hf_curation.metadata.kinds import registered_domain
from hf_curation.programs.align import match_lines
from hf_curation.programs.lines import split_lines
from hf_curation.refiners.tagger.features import PageFeatures, page_features

MAX_LINES = 2500
"""Lines of a training sample; two of the 1,497 pages are longer and are cut."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the data set. N = lines, blank ones included."""

    id: str
    domain: str
    """The registered domain, by which pages are split; empty for all pages without a usable address."""
    page_type: str
    text: str
    gold: str
    shares_N: NDArray[np.float32]
    """Share of each line's words that are found in the gold text, 0 for lines without words."""
    features: PageFeatures

    @property
    def lines(self) -> list[str]:
        """The page's lines."""
        return split_lines(self.text)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one training step sees of a page, changed or not."""

    page: PageFeatures
    shares: NDArray[np.float32]
    """(L,) the label of each row of `page`."""
    page_type: int
    """Index of the type, or -100 where it says nothing (clean text)."""


def load_pages(path: Path, *, num_processes: int = 2) -> list[Page]:
    """Read a data set in datatrove's layout with `metadata.gold_text`, and label its lines."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    with Pool(num_processes) as pool:
        return pool.map(_label, rows, chunksize=16)


def fold_of(page: Page, num_folds: int) -> int:
    """Return the fold of a page: a function of its registered domain alone."""
    return int.from_bytes(hashlib.sha256(page.domain.encode()).digest()[:4], "big") % num_folds


def page_types(pages: Sequence[Page]) -> list[str]:
    """Return the names of the page types, sorted."""
    return sorted({page.page_type for page in pages})


def _label(row: dict[str, Any]) -> Page:
    text, metadata = row["text"], row["metadata"]
    domain = registered_domain(metadata.get("url"), private=False)
    lines, gold = split_lines(text), metadata.get("gold_text") or ""
    shares = np.array([match.share for match in match_lines(lines, gold)], dtype=np.float32)
    return Page(
        row["id"],
        domain if isinstance(domain, str) else "",
        metadata["page_type"],
        text,
        gold,
        shares,
        page_features(lines),
    )
