"""Code that changed under a run that is half done: its other half would be made by other rules, so it is refused."""

import pytest

LINES = b'{"text": "Whales sing for hours."}\n{"text": "Their songs travel far."}\n'


@pytest.mark.parametrize(
    ("verb", "module"),
    [
        ("refine", "datatrove_steps.refine_plan"),
        ("select", "datatrove_steps.importance.plan"),
        ("tokenize", "datatrove_steps.tokenize_pipeline"),
    ],
)
def test_changed_code_is_refused(verb, module, tmp_path, launch, contents, monkeypatch, capsys):
    (tmp_path / "in.jsonl").write_bytes(LINES)
    assert launch(verb, tmp_path / "in.jsonl", tmp_path / "out") == 0
    before = contents(tmp_path / "out")
    capsys.readouterr()
    monkeypatch.setattr(f"{module}.versions_of", lambda code, packages: {"hf_curation": "0", "code_sha256": "1"})
    assert launch(verb, tmp_path / "in.jsonl", tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "code_sha256" in err
    assert contents(tmp_path / "out") == before
    assert launch(verb, tmp_path / "in.jsonl", tmp_path / "out", "--overwrite") == 0
