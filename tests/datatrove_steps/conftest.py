"""A refiner that needs no model, and pages for it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from datatrove.data import Document

from hf_curation.programs.model import Dialect, Scope, Stage
from hf_curation.refiners.base import Draft, Window


@dataclass
class FakeRefiner:
    """Removes lines that begin with "menu", drops pages that say "spam", raises on pages that say "poison"."""

    stage: Stage = Stage.CHUNK
    dialect: Dialect = Dialect.PROX
    name: str = "fake@1"
    batches: list[int] = field(default_factory=list)
    """How many windows each call of `write` got."""

    def windows(self, text: str) -> list[Window]:
        if "no windows, please" in text:
            raise RuntimeError("cannot be cut")
        return [Window(text, 0, Scope(0, len(text), 0))]

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        self.batches.append(len(windows))
        return [self._draft(window.text) for window in windows]

    def _draft(self, text: str) -> Draft:
        if "poison" in text:
            raise RuntimeError("bad page")
        if "silent" in text:
            return Draft("", "error", "server down")
        if self.stage is Stage.DOCUMENT:
            program = "drop_doc()" if "spam" in text else "keep_doc()"
        else:
            calls = [
                f"remove_lines(line_start={i}, line_end={i})"
                for i, line in enumerate(text.split("\n"))
                if line.startswith("menu")
            ]
            if "broken" in text:
                calls.append("remove_lines(line_start=900, line_end=901)")
            program = "\n".join(calls) or "keep_chunk()"
        return Draft(program, prompt_tokens=len(text), output_tokens=len(program))


@pytest.fixture
def fake_refiner():
    """The class; tests make their own."""
    return FakeRefiner


@pytest.fixture
def make_page():
    """A page by number: a menu line, a body, now and then spam, a broken program or a plain page."""

    def make(i: int) -> dict:
        head = "" if i % 5 == 1 else "menu home\n"
        kind = "spam offer" if i % 7 == 3 else "silent" if i % 11 == 4 else "broken call" if i % 13 == 5 else "words"
        text = f"{head}Body {i} of the page, in a few {kind}.\nAnd a second line of it."
        return {
            "id": f"page-{i}",
            "text": text,
            "url": f"https://example.org/{i}",
            "score": i / 10,
            "tags": ["a", "b"],
        }

    return make


@pytest.fixture
def pages_file(tmp_path, make_page):
    """60 pages as JSON lines."""
    path = tmp_path / "in" / "pages.jsonl"
    path.parent.mkdir()
    path.write_text("".join(json.dumps(make_page(i)) + "\n" for i in range(60)), encoding="utf-8")
    return path


@pytest.fixture
def document():
    """A document of datatrove's by its text."""

    def make(text, id="doc", **metadata):
        return Document(text=text, id=id, metadata=metadata)

    return make
