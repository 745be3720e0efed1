"""The README keeps its promises: it starts early, its code runs, and prints what it says."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"```python\n((?:(?!```).)*)```\n```text\n(.*?)```", README, flags=re.DOTALL)


def test_the_first_runnable_block_ends_by_line_25():
    assert README[: README.index("```text")].count("\n") < 25


@pytest.mark.parametrize(("code", "printed"), SHOWN)
def test_every_block_prints_what_it_says(code, printed):
    out = StringIO()
    with redirect_stdout(out):
        exec(compile(code, "README.md", "exec"), {"__name__": "readme"})  # noqa: S102 - our own README
    assert out.getvalue() == printed


def test_links_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", README)
    missing = [link for link in links if not link.startswith("https://") and not (ROOT / link).exists()]
    assert links
    assert not missing
