import json

import pytest

from hf_curation.cli.main import main


def test_it_writes_the_file_and_says_what_happened(small_run, tmp_path, capsys):
    target = tmp_path / "new" / "report.html"
    code = main(["report", str(small_run.write()), "--html", str(target), "--title", "Whales", "--sample", "4"])
    assert code == 0
    html = target.read_text(encoding="utf-8")
    assert "<title>Whales</title>" in html
    assert html.count('<details class="page"') == 4
    out, err = capsys.readouterr()
    assert out.startswith("✓ 14 documents, ")
    assert "2 kept, 6 edited, 1 fallback, 2 dropped, 3 quarantined" in out
    assert f"Hint: open {target}" in err
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_json_is_all_that_goes_to_stdout(small_run, tmp_path, capsys):
    assert main(["report", str(small_run.write()), "--json", "--html", str(tmp_path / "r.html")]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["outcomes"]["edited"] == 6
    assert "✓ 14 documents" in err


def test_json_alone_needs_no_jinja(small_run, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "jinja2", None)
    path = str(small_run.write())
    assert main(["report", path, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["documents"] == 14
    assert main(["report", path, "--html", "never.html"]) == 1
    assert "pip install 'hf-curation[report]'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --html FILE, --json, or both"),
        (["--json", "--sample", "3"], "--sample chooses pages for --html"),
        (["--html", "x.html", "--sample", "999"], "sample must be 0 to 200, got 999"),
    ],
)
def test_misuse_is_said_in_one_line(small_run, capsys, arguments, message):
    assert main(["report", str(small_run.write()), *arguments]) == 1
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_folder_that_is_no_run(tmp_path, capsys):
    assert main(["report", str(tmp_path), "--json"]) == 1
    assert "holds no data/*.parquet" in capsys.readouterr().err
