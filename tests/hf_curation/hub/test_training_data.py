"""A push of a training set is one commit with the card; what people wrote into the card stays."""

import huggingface_hub
import pytest
from huggingface_hub import DatasetCard
from huggingface_hub.errors import EntryNotFoundError

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.hub.training_data import push_training_set
from hf_curation.refiners.training import TrainingDataConfig, make_training_set, write_training_set

CONFIG = TrainingDataConfig()


class FakeHub:
    def __init__(self, card=None):
        self.card, self.calls = card, []

    def create_repo(self, repo_id, **options):
        self.calls.append(("create", repo_id, options))

    def create_commit(self, repo_id, operations, **options):
        self.calls.append(("commit", repo_id, options, {one.path_in_repo: one for one in operations}))
        return type("Commit", (), {"commit_url": "https://hub.example/commit/1"})

    def load(self, repo_id):
        if self.card is None:
            raise EntryNotFoundError("no card")
        return DatasetCard(self.card)


@pytest.fixture
def hub(monkeypatch):
    fake = FakeHub()
    monkeypatch.setattr(huggingface_hub, "HfApi", lambda: fake)
    monkeypatch.setattr(DatasetCard, "load", fake.load)
    return fake


@pytest.fixture
def folder(tmp_path):
    page = GoldPage("p", "Menu\nWhales sing for hours in the sea.", "Whales sing for hours in the sea.")
    write_training_set(make_training_set([page], CONFIG), tmp_path, CONFIG)
    (tmp_path / "answers.sqlite").write_bytes(b"what a teacher said")
    return tmp_path


def pushed_card(hub):
    return hub.calls[1][3]["README.md"].path_or_fileobj.decode()


def test_a_push_is_one_commit(hub, folder):
    done = push_training_set(folder, "you/whales")
    assert done.commit_url == "https://hub.example/commit/1"
    (_, repo_id, options), (_, _, commit, files) = hub.calls
    assert (repo_id, options) == ("you/whales", {"repo_type": "dataset", "private": True, "exist_ok": True})
    assert commit["repo_type"] == "dataset"
    names = {"README.md", "report.json", *(f"data/{split}.parquet" for split in ("train", "validation", "test"))}
    assert set(files) == names, "no answers of the teacher, no configuration with addresses"
    assert "# whales\n" in pushed_card(hub)


def test_a_dry_run_sends_nothing(hub, folder):
    done = push_training_set(folder, "you/whales", dry_run=True, private=False)
    assert hub.calls == []
    assert done.commit_url is None
    assert dict(done.files)["README.md"] == (folder / "README.md").stat().st_size


def test_what_people_wrote_stays(hub, folder):
    hub.card = "---\ntags: [whales]\nlicense: mit\n---\n# Mine\n\nAbout whales.\n"
    push_training_set(folder, "you/whales")
    once = pushed_card(hub)
    hub.card, hub.calls = f"{once}\nThanks to all.\n", []
    push_training_set(folder, "you/whales")
    again = pushed_card(hub)
    for text in (once, again):
        assert "license: mit" in text
        assert "# Mine\n\nAbout whales." in text
        assert text.count("## What is in it") == 1
        assert text.count("- whales\n") == text.count("- hf-curation\n") == 1
        assert "path: data/test.parquet" in text
    assert "Thanks to all." in again


def test_what_cannot_be_pushed(hub, folder, tmp_path_factory):
    with pytest.raises(ValueError, match="holds no training set"):
        push_training_set(tmp_path_factory.mktemp("empty"), "you/whales")
    for name in ("whales", "you/", "a/b/c"):
        with pytest.raises(ValueError, match="called you/data"):
            push_training_set(folder, name)
    assert hub.calls == []
