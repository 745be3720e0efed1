"""Rendering: the evidence of a selection as one HTML file, one idea a section, for a reader who is new to it.

The page runs no script at all. Its size is bounded by so many documents, sources, n-grams and sets, each cut to a
length; 1 MB is more than any of them makes together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hf_curation import __version__
from hf_curation.files.left_out import left_out_in_words
from hf_curation.reports.charts import Bar, bars, parts
from hf_curation.reports.render import HASH_CHARS, MAX_TITLE, Tile, assets, load_template
from hf_curation.reports.selection import SelectionReport
from hf_curation.reports.selection_charts import (
    GROUP_NAMES,
    distance_bars,
    length_shares,
    ngram_bars,
    source_pairs,
)
from hf_curation.reports.selection_words import (
    asked_in_words,
    distance_verdict,
    draw_in_words,
    gain_over_chance,
    leak_in_words,
    length_in_words,
    list_names,
)
from hf_curation.reports.view import clip_markup
from hf_curation.reports.visible import clip, link_of, number, percent, short_number
from hf_curation.sampling.evidence import CHOSEN, COMPARED, RAW, Divergence, Evidence, GroupSummary
from hf_curation.sampling.samples import STRATA, SampleDocument

MAX_TARGETS: Final = 16
MAX_SETS: Final = 60
MAX_EXAMPLES: Final = 8
TEXT_BYTES: Final = 5_000
FIELD_BYTES: Final = 600
FEATURES: Final = {
    "probe": ("On features the sampler did not use", "Hashed character 5-grams. This is the one to trust."),
    "sampler": ("On the sampler's own features", "What it chose by; it should be nearer here, or something is wrong."),
}
STRATUM_NAMES: Final = {
    "chosen": "Chosen",
    "not_chosen": "Not chosen",
    "leaked": "Left out: they hold a passage of a test set",
}
_NOTHING: Final = GroupSummary(num_documents=0, num_tokens=0, lengths=(0,), sources={})


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A sample document, every string clipped and none escaped yet."""

    id: str
    link: str | None
    url: str
    source: str
    facts: tuple[str, ...]
    note: str
    text: str
    rest: int
    """Characters not shown."""


def render_selection(report: SelectionReport, *, title: str | None = None) -> bytes:
    """Return the page as one HTML file, without times, paths or host names.

    Raises:
        ImportError: if Jinja2 is absent, with the command that installs it.
    """
    template = load_template("selection.html.j2")
    html: bytes = template.render(context(report, title)).encode("utf-8", "replace")
    return html


def context(report: SelectionReport, title: str | None) -> dict[str, Any]:
    """Return what the template shows, by name."""
    evidence = report.evidence
    raw, chosen = _group(evidence, RAW), _group(evidence, CHOSEN)
    sources = source_pairs(raw.sources, chosen.sources)
    return {
        "title": clip(title or "What was selected, and why", MAX_TITLE),
        "lead": _lead(evidence, raw, chosen),
        "tiles": list(_tiles(evidence, raw, chosen)),
        "num_records": raw.num_documents + sum(evidence.quarantined.values()),
        "warnings": left_out_in_words(report.bad_shards),
        "outcomes": parts(_outcomes(evidence, raw, chosen)),
        "excluded": bars(evidence.excluded, tone="excluded"),
        "quarantined": bars(evidence.quarantined, tone="quarantined"),
        "asked": asked_in_words(evidence),
        "distances": [(*FEATURES[one.features], distance_bars(one)) for one in _main_distances(evidence)],
        "verdict": distance_verdict(evidence),
        "by_target": _by_target(evidence),
        "draw": draw_in_words(evidence, chosen.num_documents),
        "overlap": _overlap_bars(evidence),
        "length_plot": length_shares(raw.lengths, chosen.lengths),
        "length_note": length_in_words(raw, chosen),
        "sources": sources if len(sources) > 1 else [],
        "shifts": _shifts(evidence),
        "documents": _documents(report),
        "leakage": evidence.leakage,
        "leak_words": leak_in_words(evidence),
        "leak_rows": _leak_rows(evidence),
        "leak_examples": _leak_examples(evidence),
        "again": _again(evidence),
        "facts": _footer(report),
        **assets("report.css", "selection.css"),
    }


def _group(evidence: Evidence, name: str) -> GroupSummary:
    return evidence.groups.get(name, _NOTHING)


def _lead(evidence: Evidence, raw: GroupSummary, chosen: GroupSummary) -> str:
    corpus = clip(evidence.asked.raw, MAX_TITLE) or "the corpus"
    return (
        f"From {number(raw.num_documents)} documents of {corpus}, {number(chosen.num_documents)} were chosen to be "
        f"like {list_names(evidence.asked.targets)}: {_share(chosen.num_tokens, raw.num_tokens)} of the tokens."
    )


def _share(part: int, whole: int) -> str:
    return percent(part / whole, 2 if part * 100 < whole else 1) if whole else "–"


def _tiles(evidence: Evidence, raw: GroupSummary, chosen: GroupSummary) -> Iterator[Tile]:
    note = f"{_share(chosen.num_documents, raw.num_documents)} of {short_number(raw.num_documents)}"
    if evidence.asked.rules.get("max_repeats", 1) > 1:
        note += ", copies counted"
    yield Tile(short_number(chosen.num_documents), "documents chosen", note)
    yield Tile(short_number(chosen.num_tokens), "tokens chosen", f"asked for: {clip(evidence.asked.budget, 60)}")
    if (gain := gain_over_chance(evidence)) is not None:
        label = "nats nearer than chance" if gain >= 0 else "nats further than chance"
        yield Tile(f"{abs(gain):.3f}", label, "on features it did not use")
    if evidence.effective_size is not None:
        note = f"of {short_number(evidence.num_weights)} weights"
        yield Tile(short_number(evidence.effective_size), "effective sample size", note)
    if evidence.leakage is not None:
        num_sets = len(evidence.leakage.sets)
        note = f"{num_sets} held-out set{'s' if num_sets != 1 else ''}"
        yield Tile(short_number(sum(evidence.leakage.num_documents)), "leaked documents left out", note)


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{abs(value):.3f}"


def _outcomes(evidence: Evidence, raw: GroupSummary, chosen: GroupSummary) -> list[tuple[str, int]]:
    excluded = sum(evidence.excluded.values())
    left = max(raw.num_documents - chosen.num_documents - excluded, 0)
    quarantined = sum(evidence.quarantined.values())
    found = [("chosen", chosen.num_documents), ("left", left), ("excluded", excluded), ("quarantined", quarantined)]
    return found if quarantined else found[:-1]


def _main_distances(evidence: Evidence) -> Iterator[Divergence]:
    for features in FEATURES:
        if (found := evidence.divergence(features)) is not None:
            yield found


def _by_target(evidence: Evidence) -> dict[str, Any]:
    """Return heads and rows of distances by target, for runs with several."""
    groups = [name for name in COMPARED if any(name in one.nats for one in evidence.divergences)]
    rows = []
    for target in evidence.asked.targets[:MAX_TARGETS] if len(evidence.asked.targets) > 1 else ():
        one = evidence.divergence("probe", target) or evidence.divergence("sampler", target)
        if one is not None:
            cells = [f"{one.nats[name]:.3f}" if name in one.nats else "–" for name in groups]
            reduction = one.reduction(CHOSEN)
            rows.append([clip(target, 80), *cells, "–" if reduction is None else _signed(-reduction)])
    return {"heads": ["Target", *(GROUP_NAMES[name] for name in groups), "change"], "rows": rows}


def _overlap_bars(evidence: Evidence) -> list[Bar]:
    overlap = evidence.overlap
    if overlap is None or overlap.share is None or overlap.share_by_chance is None:
        return []
    detail = f"{number(overlap.num_both)} of {number(overlap.num_top)} documents"
    return [
        Bar("drawn as well", 100 * overlap.share, percent(overlap.share), detail=detail, tone="chosen"),
        Bar("by chance", 100 * overlap.share_by_chance, percent(overlap.share_by_chance), tone="random"),
    ]


def _shifts(evidence: Evidence) -> list[dict[str, Any]]:
    return [
        {
            "target": clip(name, 80) if len(evidence.shifts) > 1 else "",
            "up": ngram_bars(one.up, "chosen"),
            "down": ngram_bars(one.down, "excluded"),
            "read": f"{short_number(one.num_target_ngrams)} n-grams of the target and "
            f"{short_number(one.num_raw_ngrams)} of the corpus were read for these names.",
        }
        for name, one in list(evidence.shifts.items())[:MAX_TARGETS]
        if one.up or one.down
    ]


def _documents(report: SelectionReport) -> list[tuple[str, list[DocumentView]]]:
    found = report.evidence.documents
    shown = [(STRATUM_NAMES[name], [_view(one) for one in found.get(name, ())[: report.documents]]) for name in STRATA]
    return [(name, views) for name, views in shown if views]


def _view(one: SampleDocument) -> DocumentView:
    weight = f"weight {_signed(one.log_weight)}" if one.log_weight is not None else ""
    text = one.text.strip()
    return DocumentView(
        id=clip_markup(one.id, FIELD_BYTES),
        link=link_of(one.url),
        url=clip_markup(one.url or "", FIELD_BYTES),
        source=clip_markup(one.source or "", FIELD_BYTES),
        facts=tuple(fact for fact in (f"{number(one.num_tokens)} tokens", weight) if fact),
        note=clip_markup(one.note or "", FIELD_BYTES),
        text=clip_markup(text, TEXT_BYTES),
        rest=one.num_chars - len(one.text),
    )


def _leak_rows(evidence: Evidence) -> list[list[str]]:
    if evidence.leakage is None:
        return []
    rows = sorted(zip(evidence.leakage.sets, evidence.leakage.num_documents, strict=True), key=lambda row: -row[1])
    return [
        [clip(one.name, 80), number(one.num_texts), number(one.num_too_short), number(count)]
        for one, count in rows[:MAX_SETS]
    ]


def _leak_examples(evidence: Evidence) -> list[Mapping[str, str]]:
    examples = evidence.leakage.examples[:MAX_EXAMPLES] if evidence.leakage is not None else ()
    return [
        {
            "set": clip(one.set_name, 80),
            "before": clip_markup(one.before, FIELD_BYTES),
            "passage": clip_markup(one.passage, FIELD_BYTES),
            "after": clip_markup(one.after, FIELD_BYTES),
        }
        for one in examples
    ]


def _again(evidence: Evidence) -> str:
    text = "Another budget, temperature, seed or rule for sources needs only them, and the same corpus and target."
    if evidence.asked.rules.get("source_caps"):
        return text  # caps are not nested: see `sampling.rules`
    return f"{text} With the same seed, a larger budget keeps all that is chosen here."


def _footer(report: SelectionReport) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {value[:HASH_CHARS]}" for name, value in sorted(report.versions.items()))
    fingerprint = report.input_fingerprint
    return [
        *([("input", f"SHA-256 {fingerprint[:HASH_CHARS]}")] if fingerprint else []),
        *([("tasks", number(report.num_tasks))] if report.num_tasks else []),
        ("run with", clip(versions, 600) or "unknown versions"),
        ("report by", f"hf-curation {__version__}"),
        ("command", "hf-curation report OUTPUT --html FILE"),
    ]
