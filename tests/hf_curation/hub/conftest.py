"""A Hub on this machine, and the Hub's own clients turned to it."""

import json
import re
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[2] / "minihub" / "server.py"


@dataclass
class Hub:
    url: str
    root: Path

    @property
    def environment(self):
        """Variables for a process of its own."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": "hf_test",
            "HF_HOME": str(self.root / "home"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
        }

    def requests(self):
        return [json.loads(line) for line in (self.root / "requests.log").read_text().splitlines()]

    def fail(self, method, path, status=None, **fault):
        """Let the next request of this kind fail; with `after=True` it takes effect and only its reply is lost.

        Without a status it is served, `delay_s` late.
        """
        self._faults("POST", json.dumps({"method": method, "path": path, "status": status, **fault}).encode())

    def faults(self):
        """Return the faults that wait for their requests."""
        return self._faults("GET")

    def clear_faults(self):
        self._faults("DELETE")

    def _faults(self, method, body=None):
        request = urllib.request.Request(f"{self.url}/_test/faults", body, method=method)  # noqa: S310
        with urllib.request.urlopen(request) as reply:  # noqa: S310
            return json.load(reply)


@pytest.fixture(scope="session")
def hub_server(tmp_path_factory):
    root = tmp_path_factory.mktemp("minihub")
    process = subprocess.Popen([sys.executable, SERVER, "--root", root], stdout=subprocess.PIPE, text=True)
    try:
        yield Hub(process.stdout.readline().split()[-1], root)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def hub(hub_server, monkeypatch, tmp_path):
    """The server, for clients in this process: they read the endpoint when they are imported, so it is set there."""
    from huggingface_hub import constants

    monkeypatch.setattr("hf_curation.hub.errors.FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(constants, "ENDPOINT", hub_server.url)
    template = hub_server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield hub_server
    hub_server.clear_faults()


BEGIN = "<!-- hf-curation: test -->"


class Repo:
    """A model repository of its own for each test, looked at with the Hub's client."""

    def __init__(self, hub, repo_id):
        self.hub, self.id = hub, repo_id

    @staticmethod
    def artifact(files, **options):
        from hf_curation.hub.cards import replace_section
        from hf_curation.hub.commits import Artifact

        data = {name: content if isinstance(content, bytes) else content.encode() for name, content in files.items()}
        return Artifact(
            title="Test", files=data, card=lambda existing: replace_section(existing or "", BEGIN, "ours"), **options
        )

    def send(self, files, **options):
        from hf_curation.hub.commits import push

        return push(self.artifact(files, **options), self.id, private=True)

    def history(self):
        """Titles, the newest first, without the repository's first commit."""
        from huggingface_hub import HfApi

        return [commit.title for commit in HfApi().list_repo_commits(self.id)][:-1]

    def content(self, name):
        from huggingface_hub import HfApi, hf_hub_download

        return Path(hf_hub_download(self.id, name, revision=HfApi().model_info(self.id).sha)).read_text("utf-8")

    def statuses(self, method, part):
        return [one["status"] for one in self.hub.requests() if one["method"] == method and part in one["path"]]

    def uploads(self):
        return [one["path"] for one in self.hub.requests() if one["method"] == "PUT" and "/_lfs/" in one["path"]]


@pytest.fixture
def repo(hub, request):
    return Repo(hub, "me/" + re.sub(r"[^a-z0-9]+", "-", request.node.name)[:80].strip("-"))
