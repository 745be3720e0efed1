"""The report reads what the pipeline really writes, and both count the same."""

import json
from dataclasses import dataclass

import pytest

from datatrove_steps.pipelines import refine_pipeline
from datatrove_steps.refine_plan import RefineConfig
from hf_curation.programs.model import Dialect, Scope, Stage
from hf_curation.refiners.base import Draft, Window
from hf_curation.reports import gather_report, render_report


@dataclass
class MenuRefiner:
    """Removes lines that say "menu", drops pages that say "spam", has no answer for pages that say "silent"."""

    stage: Stage
    dialect: Dialect = Dialect.PROX
    name: str = "menu@1"

    def windows(self, text):
        middle = text.find("\n", len(text) // 2) + 1
        if self.stage is Stage.DOCUMENT or middle == 0:
            return [Window(text, 0, Scope(0, len(text), 0))]
        first_line = text[:middle].count("\n")
        scopes = Scope(0, middle, 0), Scope(middle, len(text), first_line)
        return [Window(text[scope.start : scope.end], scope.first_line, scope) for scope in scopes]

    def write(self, windows):
        return [self.draft(window) for window in windows]

    def draft(self, window):
        if "silent" in window.text:
            return Draft("", "error", "server down")
        if self.stage is Stage.DOCUMENT:
            return Draft("drop_doc()" if "spam" in window.text else "keep_doc()")
        lines = window.text.split("\n")
        hits = [window.first_line + i for i, line in enumerate(lines) if "menu" in line]
        return Draft("\n".join(f"remove_lines(line_start={i}, line_end={i})" for i in hits) or "keep_chunk()")


@pytest.fixture
def refined(tmp_path):
    source = tmp_path / "in" / "pages.jsonl"
    source.parent.mkdir()
    with source.open("w") as file:
        for i in range(40):
            kind = {1: "spam", 2: "silent"}.get(i % 8, "menu" if i % 3 else "words")
            lines = [f"{kind} at the top of {i}", "Body text.\r", f"more {kind}", "", "The end of it."]
            row = {"id": f"{i}", "text": "\n".join(lines), "url": f"https://a{i % 4}.example/{i}"}
            file.write(json.dumps(row | {"page_type": "forum" if i % 2 else "article", "deep": {"n": i}}) + "\n")
        file.write("not json\n")

    def refine(**options):
        config = RefineConfig(
            input=str(source),
            output=str(tmp_path / "out"),
            doc_refiner=MenuRefiner(Stage.DOCUMENT),
            chunk_refiner=MenuRefiner(Stage.CHUNK),
            workers=1,
            **options,
        )
        refine_pipeline(config).run()
        return tmp_path / "out"

    return refine


@pytest.mark.slow
@pytest.mark.parametrize("keep_original", [True, False])
def test_report_and_run_agree(refined, keep_original):
    folder = refined(tasks=2, keep_original=keep_original)
    report = gather_report(folder)
    stats, summary = report.stats, json.loads((folder / "summary.json").read_text())
    assert report.facts.warnings(stats) == []
    assert stats.num_documents == summary["documents"]["in"] == 41
    assert {name: count for name, count in summary["documents"].items() if name != "in" and count} == stats.outcomes
    assert stats.dropped == summary["dropped"]
    assert stats.fallbacks == summary["fallbacks"]
    assert stats.quarantined == summary["quarantined"] == {"bad_json": 1}
    assert (report.facts.chars_in, report.facts.num_tasks) == (summary["chars"]["in"], 2)
    assert set(report.facts.refiners) == {"document", "chunk"}
    assert set(stats.kinds) == {"forum", "article"}
    assert stats.problems == {}
    html = render_report(report).decode()
    assert "menu@1 read 41 pages and took out" in html
    if keep_original:
        assert stats.replayed == 40
        assert stats.chars_before == summary["chars"]["in"]
        assert stats.chars_before - stats.chars_after == summary["chars"]["removed"] + summary["chars"]["dropped"]
        assert "<del>menu at the top of 4</del>" in html
