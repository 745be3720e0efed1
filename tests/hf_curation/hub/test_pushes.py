"""The commit protocol against a server that stumbles: one push is one commit, whole, and nobody's work is lost."""

import time
from importlib import import_module

import pytest
from huggingface_hub import HfApi
from huggingface_hub.utils import get_session

from hf_curation.hub import errors
from hf_curation.hub.cards import replace_section
from hf_curation.hub.commits import Artifact, open_repo, push

BEGIN = "<!-- hf-curation: test -->"


def test_a_push_is_one_commit_and_the_same_again_is_none(hub, repo):
    done = repo.send({"a.txt": "a", "model.safetensors": "weights"})
    again = repo.send({"a.txt": "a", "model.safetensors": "weights"})
    assert repo.history() == ["Test"]
    assert done.commit == again.commit == HfApi().model_info(repo.id).sha
    assert done.private
    assert dict(done.files) == {"a.txt": 1, "model.safetensors": 7, "README.md": len(done.card)}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_lost_reply_to_a_commit_that_went_through_is_no_failure(hub, repo, status):
    hub.fail("POST", f"{repo.id}/commit/", status, after=True)
    assert repo.send({"a.txt": "a"}).commit == HfApi().model_info(repo.id).sha
    assert repo.statuses("POST", f"{repo.id}/commit/") == [status], "it was not sent again"


def test_a_lost_reply_and_then_a_commit_of_somebody_else(hub, repo, monkeypatch):
    """The commit that is told is ours, not the newest one that holds our files as well."""
    client, create_commit, ours = import_module(type(get_session()).__module__.split(".")[0]), HfApi.create_commit, []

    def create_and_break(self, *args, **options):
        done = create_commit(self, *args, **options)
        if not ours:
            ours.append(done.oid)
            self.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo.id)
            raise client.ReadTimeout("no reply")
        return done

    monkeypatch.setattr(HfApi, "create_commit", create_and_break)
    assert repo.send({"a.txt": "a"}).commit == ours[0] != HfApi().model_info(repo.id).sha


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_commit_that_did_not_go_through_is_made_again(hub, repo, status):
    hub.fail("POST", f"{repo.id}/commit/", status, times=2)
    repo.send({"a.txt": "a"})
    assert repo.statuses("POST", f"{repo.id}/commit/") == [status, status, 200]
    assert repo.history() == ["Test"]


def test_a_hub_that_stays_down_is_one_line(hub, repo):
    hub.fail("POST", f"{repo.id}/commit/", 503, times=errors.ATTEMPTS)
    with pytest.raises(OSError, match=f"{repo.id}: .*503") as caught:
        repo.send({"a.txt": "a"})
    assert "\n" not in str(caught.value)
    assert repo.history() == []


def test_retry_after_is_honoured(hub, repo):
    hub.fail("POST", f"{repo.id}/commit/", 429, headers={"Retry-After": "1"})
    start = time.monotonic()
    repo.send({"a.txt": "a"})
    assert time.monotonic() - start >= 1
    assert repo.history() == ["Test"]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/repos/create$"), ("GET", "/api/models/[^/]+/[^/]+$"), ("POST", "/paths-info/")]
)
def test_what_is_asked_before_and_after_the_commit_is_asked_again(hub, repo, method, path):
    hub.fail(method, path, 429, headers={"Retry-After": "0"})
    hub.fail(method, path, 503, times=2)
    repo.send({"a.txt": "a"})
    assert hub.faults() == []
    assert repo.history() == ["Test"]


def test_the_hubs_own_rate_limit_header_is_honoured(hub, repo, monkeypatch):
    naps = []
    monkeypatch.setattr(errors.time, "sleep", naps.append)
    hub.fail("POST", f"{repo.id}/commit/", 429, headers={"RateLimit": '"api";r=0;t=55'})
    repo.send({"a.txt": "a"})
    assert naps == [56]


def test_more_patience_than_we_have_is_told(hub, repo):
    hub.fail("POST", f"{repo.id}/commit/", 429, headers={"Retry-After": "3600"})
    with pytest.raises(OSError, match=r"asks for 3,600 s of patience \(429\); run again then") as caught:
        repo.send({"a.txt": "a"})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("method", "path", "fault"),
    [
        ("PUT", "/_lfs/", {"status": 503}),
        ("PUT", "/_lfs/", {"status": 503, "after": True}),
        ("POST", "/_lfs/verify", {"status": 503, "after": True}),
        ("POST", "/preupload/", {"status": 429, "headers": {"Retry-After": "0"}}),
    ],
)
def test_an_upload_that_stumbles_is_sent_again(hub, repo, method, path, fault):
    hub.fail(method, path, **fault)
    repo.send({"model.safetensors": f"weights of {repo.id}"})
    assert repo.content("model.safetensors") == f"weights of {repo.id}"
    assert repo.history() == ["Test"]


def test_an_address_is_told_without_its_signature():
    told = errors.first_line(ValueError("503 for url: https://store.example/a/b?X-Signature=s3cret&x=1 (try)\nmore"))
    assert told == "503 for url: https://store.example/a/b?... (try)"


def test_a_card_that_cannot_be_read_just_now_is_not_taken_for_none(hub, repo):
    repo.send({"a.txt": "a"})
    HfApi().upload_file(path_or_fileobj=b"About whales.\n", path_in_repo="README.md", repo_id=repo.id)
    hub.fail("HEAD", "/resolve/.*README.md", 503, times=2)
    repo.send({"a.txt": "b"})
    assert repo.content("README.md").startswith("About whales.\n")


class Meddler:
    """Commits something of its own right after our push has read the card, `times` times."""

    def __init__(self, repo_id, name, times=1):
        self.repo_id, self.name, self.times, self.seen = repo_id, name, times, 0

    def __call__(self, existing):
        if self.seen < self.times:
            self.seen += 1
            data = f"theirs {self.seen}\n".encode()
            HfApi().upload_file(path_or_fileobj=data, path_in_repo=self.name, repo_id=self.repo_id)
        return replace_section(existing or "", BEGIN, "ours")


@pytest.mark.parametrize(("name", "times"), [("x.txt", 3), ("README.md", 2)])
def test_a_commit_in_between_that_leaves_our_files_alone_stays(hub, repo, name, times):
    open_repo(repo.id, private=True)
    ours = Artifact(title="Test", files={"a.txt": b"a"}, card=Meddler(repo.id, name, times))
    push(ours, repo.id, private=True)
    assert repo.statuses("POST", f"{repo.id}/commit/").count(412) == times
    assert repo.content(name).startswith(f"theirs {times}\n")
    assert repo.content("a.txt") == "a"
    assert repo.history()[0] == "Test"


def test_a_commit_in_between_that_changed_our_file_is_not_written_over(hub, repo):
    open_repo(repo.id, private=True)
    with pytest.raises(
        ValueError, match=r"another commit while we made ours \(412\), with another a\.txt; nothing"
    ) as e:
        push(Artifact(title="Test", files={"a.txt": b"a"}, card=Meddler(repo.id, "a.txt")), repo.id, private=True)
    assert "\n" not in str(e.value)
    assert repo.content("a.txt") == "theirs 1\n"


def test_a_file_that_the_repository_ignores_is_told(hub, repo, monkeypatch):
    create_commit = HfApi.create_commit

    def without_a(self, repo, operations, **options):  # what the client does with what .gitignore names
        return create_commit(self, repo, [one for one in operations if one.path_in_repo != "a.txt"], **options)

    monkeypatch.setattr(HfApi, "create_commit", without_a)
    with pytest.raises(ValueError, match=r"did not take a\.txt .*\.gitignore"):
        repo.send({"a.txt": "a", "b.txt": "b"})


def test_a_file_that_changed_since_it_was_made_is_refused(hub, repo):
    with pytest.raises(ValueError, match=r"a\.txt is not as the run wrote it"):
        repo.send({"a.txt": "a"}, sha256={"a.txt": "0" * 64})
    assert repo.history() == []


@pytest.mark.parametrize(
    ("token", "owner", "message"),
    [
        ("hf_wrong", "me", r"does not take this token for me/.* \(401\)"),
        ("hf_read", "me", r"may not write to me \(403\)"),
        ("hf_test", "other", r"may not write to other \(403\)"),
        (None, "me", "no token|401"),
    ],
)
def test_a_token_that_may_not_is_one_line(repo, monkeypatch, tmp_path, token, owner, message):
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ValueError, match=message) as caught:
        push(repo.artifact({"a.txt": "a"}), f"{owner}/whales", private=True)
    assert "\n" not in str(caught.value)
    assert (token or "hf_") not in str(caught.value)


def test_a_dry_run_asks_nobody(hub, repo):
    before = len(hub.requests())
    done = push(repo.artifact({"a.txt": "a"}), repo.id, private=True, dry_run=True)
    assert done.commit is None
    assert done.url is None
    assert len(hub.requests()) == before


def test_waits_grow_and_end(monkeypatch):
    naps = []
    monkeypatch.setattr(errors.time, "sleep", naps.append)
    monkeypatch.setattr(errors, "FIRST_WAIT_S", 1)
    client = import_module(type(get_session()).__module__.split(".")[0])

    def fail():
        raise client.ConnectError("refused")

    with pytest.raises(client.ConnectError):
        errors.patiently(fail, "me/x")
    assert len(naps) == errors.ATTEMPTS - 1
    assert all(2**i / 2 <= nap <= 2**i for i, nap in enumerate(naps))
