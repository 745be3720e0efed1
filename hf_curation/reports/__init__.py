"""One self-contained HTML file per run."""

from hf_curation.reports.gather import RunReport, gather_report
from hf_curation.reports.render import render_report
from hf_curation.reports.statistics import RunStatistics

__all__ = ["RunReport", "RunStatistics", "gather_report", "render_report"]
