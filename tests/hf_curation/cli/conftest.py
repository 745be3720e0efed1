import pytest


@pytest.fixture(autouse=True)
def no_lines_on_the_way(monkeypatch):
    """On a busy machine a run takes longer than the time between two lines of progress; no test depends on that."""
    monkeypatch.setattr("hf_curation.cli.watching._LINE_EVERY_S", 1e9)
