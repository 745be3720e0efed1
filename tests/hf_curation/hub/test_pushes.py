"""The commit protocol against a server that stumbles: one push is one commit, whole, and nobody's work is lost."""

import os
import random
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import import_module

import pytest
from huggingface_hub import HfApi, hf_hub_download
from huggingface_hub.utils import get_session

from hf_curation.hub import errors
from hf_curation.hub.cards import replace_section
from hf_curation.hub.commits import Artifact, open_repo, push

BEGIN = "<!-- hf-curation: test -->"


@pytest.fixture
def repo_id(request):
    return "me/" + re.sub(r"[^a-z0-9]+", "-", request.node.name)[:80].strip("-")


def artifact(files, card="ours", **options):
    return Artifact(
        title="Test",
        files={name: content if isinstance(content, bytes) else content.encode() for name, content in files.items()},
        card=lambda existing: replace_section(existing or "", BEGIN, card),
        **options,
    )


def send(repo_id, files, **options):
    return push(artifact(files, **options), repo_id, private=True)


def history(repo_id):
    """Titles, the newest first, without the repository's first commit."""
    return [commit.title for commit in HfApi().list_repo_commits(repo_id)][:-1]


def content(repo_id, name):
    with open(hf_hub_download(repo_id, name, revision=HfApi().model_info(repo_id).sha), encoding="utf-8") as file:
        return file.read()


def statuses(hub, method, part):
    return [line["status"] for line in hub.requests() if line["method"] == method and part in line["path"]]


def test_a_push_is_one_commit_and_the_same_again_is_none(hub, repo_id):
    done = send(repo_id, {"a.txt": "a", "model.safetensors": "weights"})
    again = send(repo_id, {"a.txt": "a", "model.safetensors": "weights"})
    assert history(repo_id) == ["Test"]
    assert done.commit == again.commit == HfApi().model_info(repo_id).sha
    assert done.private
    assert dict(done.files) == {"a.txt": 1, "model.safetensors": 7, "README.md": len(done.card)}


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_lost_reply_to_a_commit_that_went_through_is_no_failure(hub, repo_id, status):
    hub.fail("POST", f"{repo_id}/commit/", status, after=True)
    assert send(repo_id, {"a.txt": "a"}).commit == HfApi().model_info(repo_id).sha
    assert statuses(hub, "POST", f"{repo_id}/commit/") == [status], "it was not sent again"


def test_a_lost_reply_and_then_a_commit_of_somebody_else(hub, repo_id, monkeypatch):
    """The commit that is told is ours, not the newest one that holds our files as well."""
    client, create_commit, ours = import_module(type(get_session()).__module__.split(".")[0]), HfApi.create_commit, []

    def create_and_break(self, *args, **options):
        done = create_commit(self, *args, **options)
        if not ours:
            ours.append(done.oid)
            self.upload_file(path_or_fileobj=b"x", path_in_repo="x.txt", repo_id=repo_id)
            raise client.ReadTimeout("no reply")
        return done

    monkeypatch.setattr(HfApi, "create_commit", create_and_break)
    assert send(repo_id, {"a.txt": "a"}).commit == ours[0] != HfApi().model_info(repo_id).sha


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_commit_that_did_not_go_through_is_made_again(hub, repo_id, status):
    hub.fail("POST", f"{repo_id}/commit/", status, times=2)
    send(repo_id, {"a.txt": "a"})
    assert statuses(hub, "POST", f"{repo_id}/commit/") == [status, status, 200]
    assert history(repo_id) == ["Test"]


def test_a_hub_that_stays_down_is_one_line(hub, repo_id):
    hub.fail("POST", f"{repo_id}/commit/", 503, times=errors.ATTEMPTS)
    with pytest.raises(OSError, match=f"{repo_id}: .*503") as caught:
        send(repo_id, {"a.txt": "a"})
    assert "\n" not in str(caught.value)
    assert history(repo_id) == []


def test_retry_after_is_honoured(hub, repo_id):
    hub.fail("POST", f"{repo_id}/commit/", 429, headers={"Retry-After": "1"})
    start = time.monotonic()
    send(repo_id, {"a.txt": "a"})
    assert time.monotonic() - start >= 1
    assert history(repo_id) == ["Test"]


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/repos/create$"), ("GET", "/api/models/[^/]+/[^/]+$"), ("POST", "/paths-info/")]
)
def test_what_is_asked_before_and_after_the_commit_is_asked_again(hub, repo_id, method, path):
    hub.fail(method, path, 429, headers={"Retry-After": "0"})
    hub.fail(method, path, 503, times=2)
    send(repo_id, {"a.txt": "a"})
    assert hub.faults() == []
    assert history(repo_id) == ["Test"]


def test_the_hubs_own_rate_limit_header_is_honoured(hub, repo_id, monkeypatch):
    naps = []
    monkeypatch.setattr(errors.time, "sleep", naps.append)
    hub.fail("POST", f"{repo_id}/commit/", 429, headers={"RateLimit": '"api";r=0;t=55'})
    send(repo_id, {"a.txt": "a"})
    assert naps == [56]


def test_more_patience_than_we_have_is_told(hub, repo_id):
    hub.fail("POST", f"{repo_id}/commit/", 429, headers={"Retry-After": "3600"})
    with pytest.raises(OSError, match=r"asks for 3,600 s of patience \(429\); run again then") as caught:
        send(repo_id, {"a.txt": "a"})
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
def test_an_upload_that_stumbles_is_sent_again(hub, repo_id, method, path, fault):
    hub.fail(method, path, **fault)
    send(repo_id, {"model.safetensors": f"weights of {repo_id}"})
    assert content(repo_id, "model.safetensors") == f"weights of {repo_id}"
    assert history(repo_id) == ["Test"]


def test_an_address_is_told_without_its_signature():
    told = errors.first_line(ValueError("503 for url: https://store.example/a/b?X-Signature=s3cret&x=1 (try)\nmore"))
    assert told == "503 for url: https://store.example/a/b?... (try)"


def test_a_card_that_cannot_be_read_just_now_is_not_taken_for_none(hub, repo_id):
    send(repo_id, {"a.txt": "a"})
    HfApi().upload_file(path_or_fileobj=b"About whales.\n", path_in_repo="README.md", repo_id=repo_id)
    hub.fail("HEAD", "/resolve/.*README.md", 503, times=2)
    send(repo_id, {"a.txt": "b"})
    assert content(repo_id, "README.md").startswith("About whales.\n")


def uploads(hub):
    return [line["path"] for line in hub.requests() if line["method"] == "PUT" and "/_lfs/" in line["path"]]


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
def test_a_commit_in_between_that_leaves_our_files_alone_stays(hub, repo_id, name, times):
    open_repo(repo_id, private=True)
    ours = Artifact(title="Test", files={"a.txt": b"a"}, card=Meddler(repo_id, name, times))
    push(ours, repo_id, private=True)
    assert statuses(hub, "POST", f"{repo_id}/commit/").count(412) == times
    assert content(repo_id, name).startswith(f"theirs {times}\n")
    assert content(repo_id, "a.txt") == "a"
    assert history(repo_id)[0] == "Test"


def test_a_commit_in_between_that_changed_our_file_is_not_written_over(hub, repo_id):
    open_repo(repo_id, private=True)
    with pytest.raises(
        ValueError, match=r"another commit while we made ours \(412\), with another a\.txt; nothing"
    ) as e:
        push(Artifact(title="Test", files={"a.txt": b"a"}, card=Meddler(repo_id, "a.txt")), repo_id, private=True)
    assert "\n" not in str(e.value)
    assert content(repo_id, "a.txt") == "theirs 1\n"


def test_a_file_that_the_repository_ignores_is_told(hub, repo_id, monkeypatch):
    create_commit = HfApi.create_commit

    def without_a(self, repo, operations, **options):  # what the client does with what .gitignore names
        return create_commit(self, repo, [one for one in operations if one.path_in_repo != "a.txt"], **options)

    monkeypatch.setattr(HfApi, "create_commit", without_a)
    with pytest.raises(ValueError, match=r"did not take a\.txt .*\.gitignore"):
        send(repo_id, {"a.txt": "a", "b.txt": "b"})


def test_a_file_that_changed_since_it_was_made_is_refused(hub, repo_id):
    with pytest.raises(ValueError, match=r"a\.txt is not as the run wrote it"):
        send(repo_id, {"a.txt": "a"}, sha256={"a.txt": "0" * 64})
    assert history(repo_id) == []


@pytest.mark.parametrize(
    ("token", "owner", "message"),
    [
        ("hf_wrong", "me", r"does not take this token for me/.* \(401\)"),
        ("hf_read", "me", r"may not write to me \(403\)"),
        ("hf_test", "other", r"may not write to other \(403\)"),
        (None, "me", "no token|401"),
    ],
)
def test_a_token_that_may_not_is_one_line(hub, monkeypatch, tmp_path, token, owner, message):
    if token is None:
        monkeypatch.delenv("HF_TOKEN")
        monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    else:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ValueError, match=message) as caught:
        send(f"{owner}/whales", {"a.txt": "a"})
    assert "\n" not in str(caught.value)
    assert (token or "hf_") not in str(caught.value)


def test_eight_threads_at_once_each_get_their_commit(hub, repo_id):
    open_repo(repo_id, private=True)
    HfApi().upload_file(path_or_fileobj=b"About whales.\n", path_in_repo="README.md", repo_id=repo_id)

    def one(i):
        ours = Artifact(
            title=f"Push {i}",
            files={f"{i}/a.txt": f"{i}".encode(), f"{i}/model.safetensors": f"weights {i}".encode()},
            card=lambda existing: replace_section(existing or "", f"<!-- hf-curation: {i} -->", f"part {i}"),
        )
        return push(ours, repo_id, private=True).commit

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(one, range(8)))
    assert len(set(made)) == 8
    assert sorted(history(repo_id)[:8]) == [f"Push {i}" for i in range(8)]
    assert {f"{i}/{name}" for i in range(8) for name in ("a.txt", "model.safetensors")} <= {
        *HfApi().list_repo_files(repo_id)
    }
    card = content(repo_id, "README.md")
    assert "About whales." in card
    assert all(f"part {i}" in card for i in range(8))


def test_eight_threads_with_the_same_push_make_one_commit(hub, repo_id):
    open_repo(repo_id, private=True)
    with ThreadPoolExecutor(8) as pool:
        made = {done.commit for done in pool.map(lambda _: send(repo_id, {"a.txt": "a"}), range(8))}
    assert history(repo_id) == ["Test"]
    assert made == {HfApi().model_info(repo_id).sha}


def start_push(repo_id, files, title="Test"):
    """Push in a process of its own, forked so that it need not import for seconds; return its id."""
    if (pid := os.fork()) == 0:
        code = 1
        try:
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, 2)
            ours = artifact(files)
            push(replace(ours, title=title), repo_id, private=True)
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid, *, kill=False):
    """Return how a process ended: an exit code, or minus the signal."""
    if kill:
        os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize(
    ("method", "path", "skip"), [("PUT", "/_lfs/", 3), ("POST", "/commit/", 0)], ids=["in an upload", "in the commit"]
)
def test_killed_half_way_and_run_again(hub, repo_id, method, path, skip):
    files = {f"{i}.safetensors": f"{repo_id} {i}" * 1000 for i in range(8)}
    hub.fail(method, path, skip=skip, delay_s=0.5, times=8)
    pid, deadline = start_push(repo_id, files), time.monotonic() + 30
    while hub.faults()[0]["times"] == 8 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ended(pid, kill=True) == -signal.SIGKILL
    hub.clear_faults()
    time.sleep(0.6)  # what the server is still at
    sent = uploads(hub)
    assert history(repo_id) in ([], ["Test"])
    assert ended(start_push(repo_id, files)) == 0
    assert history(repo_id) == ["Test"]
    assert {*HfApi().list_repo_files(repo_id)} == {*files, "README.md", ".gitattributes"}
    assert all(content(repo_id, name) == text for name, text in files.items())
    assert sent
    assert not {*sent} & {*uploads(hub)[len(sent) :]}, "what had arrived was not sent again"


def test_killed_at_any_moment(hub, repo_id):
    kill_at_random(hub, repo_id, rounds=int(os.environ.get("PUSH_KILLS", "8")))


def kill_at_random(hub, repo_id, rounds):
    """Kill a push at a random moment, let it run again, and find one commit with all files; so often."""
    chance = random.Random(0)  # noqa: S311
    for i in range(rounds):
        files = {f"{name}.safetensors": f"{repo_id} {i} {name}" * 100 for name in range(3)} | {"a.txt": str(i)}
        pid = start_push(repo_id, files, title=f"Test {i}")
        time.sleep(chance.uniform(0, 0.4))
        ended(pid, kill=True)
        time.sleep(0.05)  # a commit that was sent is made, though nobody waits for the reply
        assert ended(start_push(repo_id, files, title=f"Test {i}")) == 0
        assert history(repo_id) == [f"Test {n}" for n in range(i, -1, -1)], "one commit for each, none twice"
        assert all(content(repo_id, name) == text for name, text in files.items())


def test_a_dry_run_asks_nobody(hub, repo_id):
    before = len(hub.requests())
    done = push(artifact({"a.txt": "a"}), repo_id, private=True, dry_run=True)
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
