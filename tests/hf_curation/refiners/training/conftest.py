"""The scripted server of the server tests, a teacher that talks to it, and a few pages of many sites."""

import sys
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.programs.model import Scope
from hf_curation.refiners.base import Window
from hf_curation.refiners.training import Teacher

_spec = spec_from_file_location("scripted_server", Path(__file__).parents[1] / "server" / "conftest.py")
_scripted = module_from_spec(_spec)
sys.modules[_spec.name] = _scripted
_spec.loader.exec_module(_scripted)
server, fast, answers, reply = _scripted.server, _scripted.fast, _scripted.answers, _scripted.reply


@pytest.fixture
def teacher(server, fast, tmp_path) -> Iterator[Callable[..., Teacher]]:
    """Make teachers that ask the scripted server and share one cache."""
    made: list[Teacher] = []

    def make(policy: dict[str, Any] | None = None, **options: Any) -> Teacher:
        options = {"cache": tmp_path / "answers.sqlite"} | options
        made.append(Teacher(server.url, "tiny", policy=fast(**(policy or {})), **options))
        return made[-1]

    yield make
    server.released.set()
    for one in made:
        one.close()


@pytest.fixture
def window_of() -> Callable[[str], Window]:
    def make(text: str) -> Window:
        return Window(text, 0, Scope(0, len(text), 0))

    return make


HEAD = ["Home | Shop | Contact", "Log in", "Cart (0)"]
TAIL = ["Share this page", "© 2020 All rights reserved", "Privacy policy"]


def gold_page(number: int, *, domain: str | None = None) -> GoldPage:
    words = [
        f"Whale number {number} sang for {number + 2} hours in the deep and cold water of the northern sea.",
        f"Its song number {number} was heard by {number + 3} ships, and by the lighthouse on the far island too.",
        f"Nobody wrote down the end of song {number}, which came in the night when all the others were asleep.",
    ]
    head = [f"{line} of site {number}" for line in HEAD]
    tail = [f"{line} by site {number}" for line in TAIL]
    site = domain or f"site{number}.example"
    raw = "\n".join([*head, *words, *tail])
    return GoldPage(f"page/{number}", raw, "\n".join(words), f"https://www.{site}/whales/{number}")


@pytest.fixture
def gold_pages() -> list[GoldPage]:
    return [gold_page(number) for number in range(40)]
