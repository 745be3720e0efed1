"""Gathering a report: one pass over a run for its statistics and the pages to show.

Everything is replayed, not only what is shown: a run with its original texts is checked page by page on the way.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from hf_curation.reports.custody import replay_page
from hf_curation.reports.facts import RunFacts, read_facts
from hf_curation.reports.folder import RunFolder
from hf_curation.reports.sample import StratifiedSample
from hf_curation.reports.statistics import RunStatistics
from hf_curation.reports.view import PageView, view_page

DEFAULT_SAMPLE: Final = 30
MAX_SAMPLE: Final = 200
SAMPLE_BYTES: Final = 2_300_000
"""Room of all sampled pages together, in bytes of HTML."""
MAX_PAGE_BYTES: Final = 64_000


@dataclass(slots=True)
class RunReport:
    """A run's statistics, the pages to show, and what the run says about itself."""

    stats: RunStatistics
    facts: RunFacts
    pages: list[PageView] = field(default_factory=list)
    sample: int = DEFAULT_SAMPLE
    """How many pages were asked for."""
    seed: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the sampled pages as JSON-ready values."""
        return {"run": self.facts.as_dict(), **self.stats.as_dict(), "warnings": self.facts.warnings(self.stats)}


def gather_report(path: Path, *, sample: int = DEFAULT_SAMPLE, seed: int = 0) -> RunReport:
    """Read the output folder of a refining run once and return what its report shows.

    Args:
        path: the folder that `hf-curation refine` wrote.
        sample: pages to show, 0 to `MAX_SAMPLE`.
        seed: of the draw of pages; equal seeds draw equal pages from equal runs.

    Raises:
        ValueError: if the folder is not one of a run, or `sample` is out of range.
    """
    if not 0 <= sample <= MAX_SAMPLE:
        raise ValueError(f"sample must be 0 to {MAX_SAMPLE}, got {sample}; a report has to stay small")
    folder = RunFolder(path)
    stats, chosen = RunStatistics(), StratifiedSample[PageView](sample, seed)
    page_bytes = min(MAX_PAGE_BYTES, SAMPLE_BYTES // max(sample, 1))
    for page in folder.pages():
        replay = replay_page(page)
        stats.add(page, replay)
        stratum = "problem" if replay.problem else page.status
        chosen.offer(stratum, page.id, page.text, partial(view_page, page, replay, max_bytes=page_bytes))
    stats.add_quarantined(folder.quarantined())
    return RunReport(stats, read_facts(path), chosen.chosen(), sample, seed)
