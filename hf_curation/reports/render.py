"""Rendering: a gathered report as one HTML file that needs nothing but a browser.

The size is bounded by construction: so many sampled pages, so many bytes of each, so many bars a chart. `MAX_BYTES`
holds for any run; should the bounds ever be wrong, pages are left out from the end and the report says so.
A content policy with the hashes of our style and script lets a browser run these two and nothing else, so that even a
page text that slipped through escaping could not act.
"""

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from hf_curation import __version__
from hf_curation.programs.reasons import FALLBACKS, REASONS
from hf_curation.reports.charts import bars, host_bars, length_plot, parts, share_plot
from hf_curation.reports.gather import RunReport
from hf_curation.reports.statistics import OUTCOMES, TOP_HOSTS, KindStatistics
from hf_curation.reports.view import PageView
from hf_curation.reports.visible import clip, filters, number, percent, short_number

MAX_BYTES: Final = 3_000_000
"""Ceiling on the size of a report."""
MAX_TITLE: Final = 200

HOW_TO_DIFF: Final = (
    "Run hf-curation refine with --keep-original to see every page with its removed lines and replaced strings."
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the large figures at the top."""

    value: str
    label: str
    note: str = ""


def render(report: RunReport, *, title: str | None = None) -> bytes:
    """Return the report as one HTML file of at most `MAX_BYTES`, without times, paths or host names.

    Raises:
        ImportError: if Jinja2 is absent, with the command that installs it.
    """
    template = load_template()
    pages = report.pages
    while True:
        html: bytes = template.render(context(report, pages, title)).encode("utf-8", "replace")
        if len(html) <= MAX_BYTES or not pages:
            return html
        pages = pages[: len(pages) * 3 // 4]


def context(report: RunReport, pages: list[PageView], title: str | None) -> dict[str, Any]:
    """Return what the template shows, by name."""
    stats = report.stats
    top, others, num_others = stats.hosts.top(TOP_HOSTS)
    share_note = f"{number(stats.share_removed.total)} edited pages; {number(stats.untouched)} others lost nothing."
    return {
        "title": clip(title or "What refining did", MAX_TITLE),
        "lead": _lead(report),
        "tiles": _tiles(report),
        "stats": stats,
        "outcomes": parts((name, stats.outcomes[name]) for name in OUTCOMES),
        "warnings": report.facts.warnings(stats),
        "share_plot": share_plot(stats.share_removed.counts),
        "share_note": share_note,
        "length_plot": length_plot(stats.length_before, stats.length_after),
        "hosts": host_bars(top, others, num_others),
        "operations": bars(stats.operations),
        "chars_by_operation": bars(stats.chars_by_operation),
        "rejected": bars(stats.rejected, REASONS),
        "fallbacks": bars(stats.fallbacks, FALLBACKS, tone="fallback"),
        "dropped": bars(stats.dropped, tone="dropped"),
        "quarantined": bars(stats.quarantined, tone="quarantined"),
        "kinds": [_kind_row(name, kind) for name, kind in sorted(stats.kinds.items())],
        "pages": pages,
        "sample_note": _sample_note(report, pages),
        "has_originals": all(page.has_original for page in pages),
        "how_to_diff": HOW_TO_DIFF,
        "facts": _footer(report),
        **_assets(),
    }


def load_template() -> Any:  # noqa: ANN401 - jinja2 is loaded here and nowhere else
    """Return the report's template.

    Raises:
        ImportError: if Jinja2 is absent, with the command that installs it.
    """
    try:
        import jinja2  # noqa: PLC0415
    except ImportError as error:
        raise ImportError("jinja2 is needed for the report: pip install 'hf-curation[report]'") from error
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters())
    return environment.get_template("report.html.j2")


def _read(name: str) -> str:
    return files("hf_curation.reports").joinpath(name).read_text(encoding="utf-8")


def _assets() -> dict[str, Any]:
    """Return style and script with their hashes: the page's policy lets these two run, and nothing else."""
    from markupsafe import Markup  # noqa: PLC0415 - comes with Jinja2

    assets: dict[str, Any] = {}
    for name in ("css", "js"):
        source = _read(f"report.{name}")
        assets[name] = Markup(source)  # noqa: S704 - our own file
        assets[f"{name}_hash"] = "sha256-" + b64encode(sha256(source.encode()).digest()).decode()
    return assets


def _lead(report: RunReport) -> str:
    stats = report.stats
    who = " and ".join(dict.fromkeys(report.facts.refiners.values())) or "A refiner"
    share = stats.share_of_chars_removed
    what = "" if share is None else f" and took out {percent(share)} of their characters"
    return f"{who} read {number(stats.num_documents)} pages{what}."


def _tiles(report: RunReport) -> list[Tile]:
    stats = report.stats
    tiles = []
    if stats.share_of_chars_removed is not None:
        note = f"{short_number(stats.chars_before)} → {short_number(stats.chars_after)}"
        tiles.append(Tile(percent(stats.share_of_chars_removed), "characters removed", note))
    documents = max(stats.num_documents, 1)
    edited, dropped = stats.outcomes["edited"], stats.outcomes["dropped"]
    tiles.append(Tile(percent(edited / documents), "pages edited", f"{number(edited)}, and {number(dropped)} dropped"))
    calls, refused = sum(stats.operations.values()), sum(stats.rejected.values())
    tiles.append(Tile(short_number(calls), "calls in programs", f"{number(refused)} more were not executed"))
    if stats.f1_before.value is not None and stats.f1_after.value is not None:
        note = f"{stats.f1_before.value:.3f} before, {number(stats.f1_after.count)} pages with gold text"
        tiles.append(Tile(f"{stats.f1_after.value:.3f}", "word F1", note))
    if stats.replayed:
        exact = stats.replayed - sum(stats.problems.values())
        note = f"{number(exact)} of {number(stats.replayed)}"
        tiles.append(Tile(percent(exact / stats.replayed), "pages replayed exactly", note))
    return tiles


def _kind_row(name: str, kind: KindStatistics) -> dict[str, Any]:
    removed = percent(1 - kind.chars_after / kind.chars_before) if kind.chars_before else "–"
    f1 = ["–" if mean.value is None else f"{mean.value:.3f}" for mean in (kind.f1_before, kind.f1_after)]
    return {
        "name": clip(name, 80),
        "pages": kind.pages,
        "chars_before": kind.chars_before,
        "chars_after": kind.chars_after,
        "removed": removed,
        "f1_before": f1[0],
        "f1_after": f1[1],
    }


def _sample_note(report: RunReport, pages: list[PageView]) -> str:
    note = (
        f"{number(len(pages))} of {number(report.stats.num_documents)} pages, some of every outcome, "
        f"drawn by the hash of their ids (seed {report.seed})."
    )
    if len(pages) < len(report.pages):
        note += f" {number(len(report.pages) - len(pages))} more were drawn and did not fit into this file."
    return note


def _footer(report: RunReport) -> list[tuple[str, str]]:
    facts = report.facts
    refiners = [(f"{stage} refiner", clip(name, MAX_TITLE)) for stage, name in facts.refiners.items()]
    tokens = [(name.replace("_", " "), number(facts.totals[name])) for name in _TOKENS if facts.totals[name]]
    hashes = [("config hash", facts.config_sha256), ("input fingerprint", facts.input_fingerprint)]
    command = f"hf-curation report OUTPUT --html FILE --sample {report.sample} --seed {report.seed}"
    return [
        *refiners,
        *tokens,
        *((name, clip(value, 64)) for name, value in hashes if value),
        ("versions", clip(", ".join(f"{name} {value}" for name, value in facts.versions.items()), 600) or "unknown"),
        ("tasks", number(facts.num_tasks)),
        ("report", f"hf-curation {__version__}"),
        ("command", command),
    ]


_TOKENS: Final = ("prompt_tokens", "output_tokens")
