"""A push of a training set is one commit with the card; what people wrote into the card stays."""

import os
import subprocess
import sys

import pytest
from huggingface_hub import HfApi, hf_hub_download

from hf_curation.evaluation.gold_pages import GoldPage
from hf_curation.hub.training_data import push_training_set
from hf_curation.refiners.training import TrainingDataConfig, make_training_set, write_training_set

CONFIG = TrainingDataConfig()
FILES = {"README.md", "report.json", "data/train.parquet", "data/test.parquet"}


@pytest.fixture
def folder(tmp_path):
    return write_set(tmp_path / "set", [None, "https://site2.example/"])


def write_set(folder, urls):
    pages = [GoldPage(f"p{i}", f"Menu {i}\nWhales sing.", "Whales sing.", url) for i, url in enumerate(urls)]
    write_training_set(make_training_set(pages, CONFIG), folder, CONFIG)
    (folder / "answers.sqlite").write_bytes(b"what a teacher said")
    return folder


@pytest.fixture
def no_test_folder(tmp_path):
    return write_set(tmp_path / "smaller", [None])


@pytest.fixture
def repo(hub, request):
    name = "".join(char if char.isalnum() else "-" for char in request.node.name)
    return f"me/{name}"


def card_on_hub(repo):
    with open(hf_hub_download(repo, "README.md", repo_type="dataset", force_download=True), encoding="utf-8") as file:
        return file.read()


def write_card(repo, text):
    api = HfApi()
    api.upload_file(path_or_fileobj=text.encode(), path_in_repo="README.md", repo_id=repo, repo_type="dataset")


def test_a_push_is_one_commit_to_a_private_dataset(repo, folder):
    done = push_training_set(folder, repo)
    info = HfApi().dataset_info(repo)
    assert info.private is True
    assert {one.rfilename for one in info.siblings} - {".gitattributes"} == FILES, "no answers, no addresses"
    assert done.commit == info.sha
    mine = [c for c in HfApi().list_repo_commits(repo, repo_type="dataset") if "Training set" in c.title]
    assert len(mine) == 1
    assert f"# {repo.split('/')[1]}\n" in card_on_hub(repo)


@pytest.mark.slow
def test_the_pushed_set_is_a_data_set(repo, hub, folder):
    push_training_set(folder, repo)
    code = (
        f"import datasets; d = datasets.load_dataset({repo!r});"
        "print(sorted(d)); print(sorted(d['train']['kind'])); print(len(d['test']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **hub.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.strip().split("\n")
    assert lines == ["['test', 'train']", "['edit', 'keep']", "1"]


def test_a_split_that_is_empty_now_goes(repo, folder, no_test_folder):
    push_training_set(folder, repo)
    push_training_set(no_test_folder, repo)
    names = HfApi().list_repo_files(repo, repo_type="dataset")
    assert set(names) - {".gitattributes"} == FILES - {"data/test.parquet"}
    assert "data/test.parquet" not in card_on_hub(repo)


def test_a_dry_run_sends_nothing(hub, repo, folder):
    before = len(hub.requests())
    done = push_training_set(folder, repo, dry_run=True, private=False)
    assert len(hub.requests()) == before
    assert done.commit is None
    assert dict(done.files)["README.md"] == len(done.card.encode())


def test_what_people_wrote_stays(repo, folder):
    HfApi().create_repo(repo, repo_type="dataset")
    write_card(repo, "---\ntags: [whales]\nlicense: mit\n---\n# Mine\n\nAbout whales.\n")
    push_training_set(folder, repo)
    once = card_on_hub(repo)
    write_card(repo, f"{once}\nThanks to all.\n")
    push_training_set(folder, repo)
    again = card_on_hub(repo)
    for text in (once, again):
        assert "license: mit" in text
        assert "# Mine\n\nAbout whales." in text
        assert text.count("## What is in it") == 1
        assert text.count("- whales\n") == text.count("- hf-curation\n") == 1
        assert "path: data/test.parquet" in text
    assert "Thanks to all." in again


def test_somebody_elses_commit_meanwhile_is_not_overwritten(repo, folder, monkeypatch):
    from hf_curation.hub import training_data

    push_training_set(folder, repo)
    real, edits = training_data._card, ["# Edited meanwhile\n"]

    def slowly(*args):
        card = real(*args)
        if edits:
            write_card(repo, edits.pop())
        return card

    monkeypatch.setattr(training_data, "_card", slowly)
    push_training_set(folder, repo)
    assert "# Edited meanwhile\n" in card_on_hub(repo), "the card was read again"
    assert "## What is in it" in card_on_hub(repo)


def test_what_cannot_be_pushed(hub, folder, tmp_path):
    before = len(hub.requests())
    with pytest.raises(ValueError, match="holds no training set"):
        push_training_set(tmp_path, "me/whales")
    for name in ("whales", "me/", "a/b/c"):
        with pytest.raises(ValueError, match="Hub"):
            push_training_set(folder, name)
    assert len(hub.requests()) == before
