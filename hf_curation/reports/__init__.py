"""One self-contained HTML file per run."""

from hf_curation.reports.gather import RunReport, gather
from hf_curation.reports.render import render
from hf_curation.reports.statistics import RunStatistics

__all__ = ["RunReport", "RunStatistics", "gather", "render"]
