"""The demo runs the commands that it prints, and its table says what they reported."""

import json
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart"


@pytest.fixture
def demo(monkeypatch):
    """The script as Python runs it: with its folder first on the path, where it finds `pages`."""
    monkeypatch.syspath_prepend(str(RECIPE))
    monkeypatch.delitem(sys.modules, "pages", raising=False)
    spec = spec_from_file_location("quickstart_run", RECIPE / "run.py")
    module = sys.modules["quickstart_run"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("pages", None)
    del sys.modules["quickstart_run"]


@pytest.fixture
def commands(monkeypatch):
    """Every `hf-curation` command that was run; `report` answers with the figures of `report_of`."""
    ran = []

    def fake(argv):
        ran.append(argv)
        sys.stdout.write(json.dumps(report_of(argv[1])))
        return 0

    monkeypatch.setattr("hf_curation.cli.main.main", fake)
    return ran


def report_of(folder):
    is_scored = folder.endswith("pages")
    score = {"pages": 4, "before": 0.5, "after": 0.75} if is_scored else {"pages": 0, "before": None, "after": None}
    return {
        "documents": 1204,
        "outcomes": {"kept": 1, "edited": 1200, "fallback": 1, "dropped": 1, "quarantined": 1},
        "share_of_chars_removed": 0.281 if is_scored else None,
        "word_f1": score,
        "page_types": {"spam": {"word_f1": {"pages": 4, "before": 0.0, "after": None}}} if is_scored else {},
    }


def test_the_demo_refines_and_reports_both_inputs(demo, commands, tmp_path, capsys):
    assert demo.main(["--output", str(tmp_path), "--limit", "9"]) == 0
    assert [argv[0] for argv in commands] == ["refine", "report", "refine", "report"]
    source = tmp_path / "input" / "pages.jsonl"
    refine = [
        "refine",
        str(source),
        str(tmp_path / "pages"),
        "--keep-original",
        "--limit",
        "9",
        "--overwrite",
        "--json",
    ]
    assert commands[0] == refine
    assert str(tmp_path / "packages.html") in commands[3]
    rows = [json.loads(line) for line in source.read_bytes().splitlines()]
    assert len(rows) >= 80
    assert (tmp_path / "input" / "packages.jsonl").stat().st_size > 0
    printed = capsys.readouterr().out
    assert f"$ hf-curation refine {source}" in printed
    assert "1,204          1      1,200          1          2      28.1%" in printed
    assert "unknown" in printed


def test_scores_are_shown_only_where_there_is_gold(demo, commands, tmp_path, capsys):
    demo.main(["--output", str(tmp_path)])
    printed = capsys.readouterr().out
    assert printed.count("word F1") == 1
    assert f"{'  all':<18}          4      0.500      0.750" in printed
    assert f"{'  spam':<18}          4      0.000          -" in printed


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("data/wcxb-dev.jsonl.gz", "wcxb-dev"),
        ("hf://datasets/org/name/data/", "data"),
        ("crawl/*.parquet", "input"),
        ("my pages.jsonl", "my-pages"),
        (".", "input"),
    ],
)
def test_an_input_of_the_users_goes_on_where_it_stopped(demo, commands, tmp_path, source, name):
    assert demo.main(["--input", source, "--output", str(tmp_path)]) == 0
    assert commands[0] == ["refine", source, str(tmp_path / name), "--keep-original", "--json"]
    assert len(commands) == 2
    demo.main(["--input", source, "--output", str(tmp_path), "--overwrite"])
    assert "--overwrite" in commands[2]


def test_a_command_that_fails_ends_the_demo_with_its_exit_code(demo, tmp_path, capsys):
    assert demo.main(["--input", str(tmp_path / "absent.jsonl"), "--output", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "absent.jsonl" in captured.err
    assert "documents" not in captured.out


@pytest.mark.slow
def test_the_demo_for_real_twice(demo, tmp_path, capsys):
    """The readme's table of scores is what the demo prints, the second time too."""
    for _ in range(2):
        assert demo.main(["--output", str(tmp_path)]) == 0
        printed = scores(capsys.readouterr().out)
        stated = scores((RECIPE / "README.md").read_text(encoding="utf-8"))
        assert len(printed) >= 11
        assert stated == {name: pytest.approx(figures, abs=0.002) for name, figures in printed.items()}
    for name in ("pages", "packages"):
        assert (tmp_path / f"{name}.html").stat().st_size > 10_000
        assert list((tmp_path / name / "data").glob("*.parquet"))


def scores(text):
    """Page type -> pages, word F1 before and after, from the lines of the demo's table."""
    rows = re.findall(r"^ +(\w+) +(\d+) +([01]\.\d{3}) +([01]\.\d{3})$", text, flags=re.MULTILINE)
    return {name: [float(figure) for figure in figures] for name, *figures in rows}
