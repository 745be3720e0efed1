"""What the audit of dependencies makes of pip-audit's report: known, clean, or nothing known."""

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / ".ci" / "audit.py"


@pytest.fixture(scope="module")
def audit():
    spec = importlib.util.spec_from_file_location("audit_of_dependencies", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CLEAN = {"name": "numpy", "version": "2.0", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI and could not be audited: torch (2.13.0)"}
ENTRY = {"id": "GHSA-xxxx", "aliases": ["CVE-2026-1"], "fix_versions": ["1.1"], "description": "bad"}
HIT = {"name": "old", "version": "1.0", "vulns": [ENTRY]}


def test_a_known_vulnerability_fails(audit):
    code, said = audit.judge({"dependencies": [CLEAN, HIT, SKIPPED]})
    assert code == 1
    assert "2 of 3 packages looked up" in said
    assert "old 1.0: GHSA-xxxx, fixed in 1.1" in said


def test_none_is_fine_and_packages_that_nobody_knows_are_counted(audit):
    assert audit.judge({"dependencies": [CLEAN, CLEAN]}) == (
        0,
        "audit: 2 of 2 packages looked up, no known vulnerability",
    )
    assert audit.judge({"dependencies": [CLEAN, SKIPPED]})[1].startswith("audit: 1 of 2 packages looked up")


def test_no_answer_is_not_called_clean(audit):
    code, said = audit.judge({"dependencies": [SKIPPED, SKIPPED]})
    assert code == 0
    assert "nothing is known" in said
    assert "no known vulnerability" not in said


@pytest.mark.parametrize("name", ["GHSA-xxxx", "CVE-2026-1"])
def test_what_was_accepted_with_a_reason(audit, name, monkeypatch):
    monkeypatch.setitem(audit.ACCEPTED, name, "not reachable from here")
    assert audit.judge({"dependencies": [HIT]})[0] == 0


def test_a_service_that_cannot_be_reached_is_no_failure(audit, tmp_path, monkeypatch):
    calls = []

    class Done:
        returncode, stderr = 0, "ERROR: connection refused"

    monkeypatch.setattr(audit.venv, "create", lambda folder, with_pip: None)
    monkeypatch.setattr(audit, "_call", lambda *command: calls.append(command) or Done())
    assert audit.run(tmp_path / "pins.txt", tmp_path) == (0, "audit: nothing is known, ERROR: connection refused")
    assert len(calls) == 2
    monkeypatch.setattr(Done, "returncode", 1)
    assert audit.run(tmp_path / "pins.txt", tmp_path)[0] == 0
    assert audit.main([str(tmp_path / "none.txt")]) == 1, "no pins are a mistake of ours"
