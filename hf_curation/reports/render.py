"""Rendering: a gathered report as one HTML file that needs nothing but a browser.

The size is bounded by construction: so many sampled pages, so many bytes of each, so many bars a chart. `MAX_BYTES`
holds for any run; should the bounds ever be wrong, pages are left out from the end and the report says so.
A content policy with the hashes of our style and script lets a browser run these two and nothing else, so that even a
page text that slipped through escaping could not act.
"""

from base64 import b64encode
from collections import Counter
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from hf_curation import __version__
from hf_curation.programs.reasons import FALLBACKS, REASONS
from hf_curation.reports.charts import bars, host_bars, length_plot, parts, share_plot
from hf_curation.reports.facts import TOKENS, RunFacts
from hf_curation.reports.gather import RunReport
from hf_curation.reports.statistics import OUTCOMES, TOP_HOSTS, RunStatistics
from hf_curation.reports.view import PageView
from hf_curation.reports.visible import clip, filters, number, percent, short_number

MAX_BYTES: Final = 3_000_000
"""Ceiling on the size of a report."""
MAX_TITLE: Final = 200
MAX_KIND: Final = 80
HASH_CHARS: Final = 16

HOW_TO_DIFF: Final = (
    "Run hf-curation refine with --keep-original to see every page with its removed lines and replaced strings."
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One of the large figures at the top."""

    value: str
    label: str
    note: str = ""


def render_report(report: RunReport, *, title: str | None = None) -> bytes:
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
        "provenance": _provenance(report.facts),
        "tiles": _tiles(report),
        "stats": stats,
        "outcomes": parts((name, stats.outcomes[name]) for name in OUTCOMES),
        "warnings": report.facts.warnings(stats),
        "length_note": _length_note(stats),
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
        "kinds": _kind_table(stats),
        "pages": pages,
        "opened": next((page for page in pages if page.status == "edited"), pages[0] if pages else None),
        "filters": _filters(pages),
        "sample_note": _sample_note(report, pages),
        "has_originals": all(page.has_original for page in pages),
        "how_to_diff": HOW_TO_DIFF,
        "facts": _footer(report),
        **assets("report.css", "report.js"),
    }


def load_template(name: str = "report.html.j2") -> Any:  # noqa: ANN401 - jinja2 is loaded here and nowhere else
    """Return a template of this package.

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
    return environment.get_template(name)


def _read(name: str) -> str:
    return files("hf_curation.reports").joinpath(name).read_text(encoding="utf-8")


def assets(*names: str) -> dict[str, Any]:
    """Return styles and scripts with their hashes: a page's policy lets these run, and nothing else.

    Files of one kind are joined: `css` and `css_hash`, `js` and `js_hash`.
    """
    from markupsafe import Markup  # noqa: PLC0415 - comes with Jinja2

    found: dict[str, Any] = {}
    for kind in dict.fromkeys(name.rpartition(".")[2] for name in names):
        source = "".join(_read(name) for name in names if name.endswith(f".{kind}"))
        found[kind] = Markup(source)  # noqa: S704 - our own files
        found[f"{kind}_hash"] = "sha256-" + b64encode(sha256(source.encode()).digest()).decode()
    return found


def _lead(report: RunReport) -> str:
    stats = report.stats
    names = dict.fromkeys(clip(name, MAX_TITLE) for name in report.facts.refiners.values())
    who = " and ".join(names) or "A refiner"
    chars = _chars(report)
    what = f" and took out {percent(1 - chars[1] / chars[0])} of their characters" if chars else ""
    return f"{who} read {number(stats.num_documents)} pages{what}."


def _chars(report: RunReport) -> tuple[int, int] | None:
    """Return characters before and after: counted here where every original is known, else what the run counted."""
    stats, facts = report.stats, report.facts
    if stats.is_measured and stats.chars_before:
        return stats.chars_before, stats.chars_after
    return (facts.chars_in, facts.chars_out) if facts.chars_in and facts.chars_out is not None else None


def _length_note(stats: RunStatistics) -> str:
    if stats.is_measured:
        return ""
    pages = stats.num_documents - stats.outcomes["quarantined"]
    if stats.has_lengths:
        return f"Measured on the {number(stats.measured)} of {number(pages)} pages whose original text is known."
    return f"The original texts of edited pages are not in this run, so lengths before are unknown. {HOW_TO_DIFF}"


def _tiles(report: RunReport) -> list[Tile]:
    stats = report.stats
    tiles = []
    if chars := _chars(report):
        note = f"{short_number(chars[0])} → {short_number(chars[1])}"
        tiles.append(Tile(percent(1 - chars[1] / chars[0]), "of characters removed", note))
    documents = max(stats.num_documents, 1)
    edited, dropped = stats.outcomes["edited"], stats.outcomes["dropped"]
    tiles.append(Tile(percent(edited / documents), "of pages edited", f"{number(edited)} · {number(dropped)} dropped"))
    calls, refused = sum(stats.operations.values()), sum(stats.rejected.values())
    tiles.append(Tile(short_number(calls), "calls in programs", f"{number(refused)} not executed"))
    if stats.f1_after.value is not None:
        note = f"{number(stats.f1_after.count)} pages"
        if stats.compares_f1:
            note = f"{stats.f1_before.value:.3f} before · {note}"
        tiles.append(Tile(f"{stats.f1_after.value:.3f}", "word F1", note))
    if stats.replayed:
        exact = stats.replayed - sum(stats.problems.values())
        note = f"{number(exact)} of {number(stats.replayed)}"
        tiles.append(Tile(percent(exact / stats.replayed), "of pages replay exactly", note))
    return tiles


def _kind_table(stats: RunStatistics) -> dict[str, Any]:
    """Return heads and rows of the table by page type, with the columns that this run can fill."""
    heads = ["Type", "Pages"]
    heads += ["Characters before", "after", "Removed"] if stats.is_measured else []
    heads += ["Word F1 before"] if stats.compares_f1 else []
    heads += ["after" if stats.compares_f1 else "Word F1"] if stats.f1_after.count else []
    rows = []
    for name, kind in sorted(stats.kinds.items()):
        row = [clip(name, MAX_KIND), number(kind.pages)]
        if stats.is_measured:
            removed = percent(1 - kind.chars_after / kind.chars_before) if kind.chars_before else "–"
            row += [number(kind.chars_before), number(kind.chars_after), removed]
        means = [kind.f1_before] * stats.compares_f1 + [kind.f1_after] * (stats.f1_after.count > 0)
        rows.append(row + ["–" if mean.value is None else f"{mean.value:.3f}" for mean in means])
    return {"heads": heads, "rows": rows}


def _sample_note(report: RunReport, pages: list[PageView]) -> str:
    note = (
        f"{number(len(pages))} of {number(report.stats.num_documents)} pages, some of every outcome, "
        f"drawn by the hash of their ids (seed {report.seed})."
    )
    if len(pages) < len(report.pages):
        note += f" {number(len(report.pages) - len(pages))} more were drawn and did not fit into this file."
    return note


def _filters(pages: list[PageView]) -> list[tuple[str, int]]:
    counts = Counter(page.status for page in pages)
    return [("", len(pages)), *((name, counts[name]) for name in OUTCOMES if counts[name])]


def _provenance(facts: RunFacts) -> list[str]:
    """Return in short what ran: the refiners with their stages, version and configuration."""
    stages: dict[str, list[str]] = {}
    for stage, name in sorted(facts.refiners.items(), key=lambda item: item[0] != "document"):
        stages.setdefault(clip(name, MAX_TITLE), []).append(stage)
    refiners = [f"{' and '.join(names)} programs by {name}" for name, names in stages.items()]
    version = facts.versions.get("hf_curation")
    config = [f"configuration {facts.config_sha256[:HASH_CHARS]}"] if facts.config_sha256 else []
    return [*refiners, *([f"hf-curation {clip(version, MAX_KIND)}"] if version else []), *config]


def _footer(report: RunReport) -> list[tuple[str, str]]:
    facts = report.facts
    hashes = [("configuration", facts.config_sha256), ("input", facts.input_fingerprint)]
    counts = [(name.replace("_", " "), facts.tokens[name]) for name in TOKENS] + [("tasks", facts.num_tasks)]
    versions = ", ".join(f"{name} {value[:HASH_CHARS]}" for name, value in sorted(facts.versions.items()))
    command = f"hf-curation report OUTPUT --html FILE --sample {report.sample} --seed {report.seed}"
    return [
        *((name, f"SHA-256 {value[:HASH_CHARS]}") for name, value in hashes if value),
        *((name, number(count)) for name, count in counts if count),
        *([("cost of the model", facts.cost.words())] if facts.cost.flops else []),
        ("run with", clip(versions, 600) or "unknown versions"),
        ("report by", f"hf-curation {__version__}"),
        ("command", command),
    ]
