"""Many pushers at once, and pushers that are killed: every push is one commit, and no file is lost.

`PUSH_KILLS=200` kills so many pushes at random moments instead of eight.
"""

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from huggingface_hub import HfApi

from hf_curation.hub.cards import replace_section
from hf_curation.hub.commits import Artifact, open_repo, push


def test_eight_threads_at_once_each_get_their_commit(hub, repo):
    open_repo(repo.id, private=True)
    HfApi().upload_file(path_or_fileobj=b"About whales.\n", path_in_repo="README.md", repo_id=repo.id)

    def one(i):
        ours = Artifact(
            title=f"Push {i}",
            files={f"{i}/a.txt": f"{i}".encode(), f"{i}/model.safetensors": f"weights {i}".encode()},
            card=lambda existing: replace_section(existing or "", f"<!-- hf-curation: {i} -->", f"part {i}"),
        )
        return push(ours, repo.id, private=True).commit

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(one, range(8)))
    assert len(set(made)) == 8
    assert sorted(repo.history()[:8]) == [f"Push {i}" for i in range(8)]
    assert {f"{i}/{name}" for i in range(8) for name in ("a.txt", "model.safetensors")} <= {
        *HfApi().list_repo_files(repo.id)
    }
    card = repo.content("README.md")
    assert "About whales." in card
    assert all(f"part {i}" in card for i in range(8))


def test_eight_threads_with_the_same_push_make_one_repository_and_one_commit(repo):
    with ThreadPoolExecutor(8) as pool:
        made = {done.commit for done in pool.map(lambda _: repo.send({"a.txt": "a"}), range(8))}
    assert repo.history() == ["Test"]
    assert made == {HfApi().model_info(repo.id).sha}


def start_push(repo, files, title="Test"):
    """Push in a process of its own, forked so that it need not import for seconds; return its id."""
    if (pid := os.fork()) == 0:
        code = 1
        try:
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, 2)
            ours = repo.artifact(files)
            push(replace(ours, title=title), repo.id, private=True)
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
def test_killed_half_way_and_run_again(hub, repo, method, path, skip):
    files = {f"{i}.safetensors": f"{repo.id} {i}" * 1000 for i in range(8)}
    hub.fail(method, path, skip=skip, delay_s=0.5, times=8)
    pid, deadline = start_push(repo, files), time.monotonic() + 30
    while hub.faults()[0]["times"] == 8 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ended(pid, kill=True) == -signal.SIGKILL
    hub.clear_faults()
    time.sleep(0.6)  # what the server is still at
    sent = repo.uploads()
    assert repo.history() in ([], ["Test"])
    assert ended(start_push(repo, files)) == 0
    assert repo.history() == ["Test"]
    assert {*HfApi().list_repo_files(repo.id)} == {*files, "README.md", ".gitattributes"}
    assert all(repo.content(name) == text for name, text in files.items())
    assert sent
    assert not {*sent} & {*repo.uploads()[len(sent) :]}, "what had arrived was not sent again"


def test_killed_at_any_moment(repo):
    """Kill a push at a random moment, let it run again, and find one commit with all files; so often."""
    chance = random.Random(0)  # noqa: S311
    for i in range(int(os.environ.get("PUSH_KILLS", "8"))):
        files = {f"{name}.safetensors": f"{repo.id} {i} {name}" * 100 for name in range(3)} | {"a.txt": str(i)}
        pid = start_push(repo, files, title=f"Test {i}")
        time.sleep(chance.uniform(0, 0.4))
        ended(pid, kill=True)
        time.sleep(0.05)  # a commit that was sent is made, though nobody waits for the reply
        assert ended(start_push(repo, files, title=f"Test {i}")) == 0
        assert repo.history() == [f"Test {n}" for n in range(i, -1, -1)], "one commit for each, none twice"
        assert all(repo.content(name) == text for name, text in files.items())
