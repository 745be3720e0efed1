"""A refiner that starts its server: once, in an environment of its own, and never left behind."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from datatrove.data import Document

from datatrove_steps.node_server import NodeServerRefiner, ServerLaunch, server_of
from datatrove_steps.refine import RefineChunks
from hf_curation.refiners.server import ServerDown, ServerPolicy

SERVER = Path(__file__).with_name("scripted_server.py")
HASTY = ServerPolicy(give_up_s=0.2, backoff_s=0.01, max_backoff_s=0.02)


@pytest.fixture
def launch(tmp_path):
    """How a scripted server is started; it is gone at the end."""

    def launch(*options):
        command = f"{sys.executable} {SERVER} {tmp_path / 'notes'} {' '.join(options)}"
        return ServerLaunch(command=command, environment={"MINE": "yes"}, logs=str(tmp_path / "logs"), ready_s=120)

    yield launch
    for note in notes(tmp_path):
        if is_there(note["pid"]):
            os.kill(note["pid"], signal.SIGKILL)


def notes(folder):
    path = folder / "notes"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def is_there(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pages():
    return [
        Document(text=f"menu home\nWhales sing of the sea, verse {i}, and others hear it.", id=str(i))
        for i in range(6)
    ]


def test_the_server_is_started_once_and_asked(launch, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "of/ours")
    refiner = NodeServerRefiner(launch(), "tiny", preset="generic-chunk")
    assert not notes(tmp_path), "nothing is started before it is asked"
    assert "tiny (generic-chunk" in refiner.name
    assert "127.0.0.1" not in refiner.name, "equal runs elsewhere have equal manifests"
    for copy in (refiner, pickle.loads(pickle.dumps(refiner))):  # noqa: S301
        documents = list(RefineChunks(copy)(pages()))
        assert [doc.text.split(",")[0] for doc in documents] == ["Whales sing of the sea"] * 6
    (note,) = notes(tmp_path)
    assert (note["PYTHONPATH"], note["MINE"]) == (None, "yes")


def test_a_server_that_does_not_start_is_told_with_its_last_line(tmp_path):
    command = f"{sys.executable} -c 'raise SystemExit(\"no such model\")'"
    launch = ServerLaunch(command=command, logs=str(tmp_path / "logs"))
    refiner = NodeServerRefiner(launch, "tiny", preset="generic-chunk")
    with pytest.raises(ServerDown, match=r"does not start: .* its last line: no such model \(.*\.log\)"):
        list(RefineChunks(refiner)(pages()))


def test_a_command_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ServerDown, match="/nowhere/python: No such file or directory"):
        server_of(ServerLaunch(command="/nowhere/python -m x", logs=str(tmp_path / "logs")))


def test_a_server_that_dies_ends_the_task(launch, tmp_path):
    refiner = NodeServerRefiner(launch("--dies-after", "2"), "tiny", preset="generic-chunk", policy=HASTY)
    with pytest.raises(ServerDown, match="its last line: out of memory"):
        list(RefineChunks(refiner)(pages()))


def test_the_next_task_has_another_server(launch, tmp_path):
    made = launch()
    refiner = NodeServerRefiner(made, "tiny", preset="generic-chunk")
    expected = [doc.text for doc in RefineChunks(refiner)(pages())]
    server = server_of(made)
    os.kill(notes(tmp_path)[0]["pid"], signal.SIGKILL)
    until(lambda: not server.is_alive)
    assert [doc.text for doc in RefineChunks(refiner)(pages())] == expected
    assert len({note["pid"] for note in notes(tmp_path)}) == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
@pytest.mark.parametrize("end", [signal.SIGKILL, None])
def test_no_server_is_left_behind(end, launch, tmp_path):
    code = (
        "import sys; from datatrove_steps.node_server import ServerLaunch, server_of\n"
        f"server_of(ServerLaunch(command={launch().command!r}))\n"
        "print('up', flush=True); sys.stdin.readline()"
    )
    worker = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert worker.stdout.readline() == "up\n"
    (note,) = notes(tmp_path)
    assert is_there(note["pid"])
    if end is None:
        worker.communicate("\n", timeout=60)
        assert worker.returncode == 0
    else:
        worker.send_signal(end)
        worker.communicate(timeout=60)
    until(lambda: not is_there(note["pid"]))


@pytest.mark.parametrize("wrong", [{"command": ""}, {"command": "x", "ready_s": 0}])
def test_a_launch_without_command_or_time_is_refused(wrong):
    with pytest.raises(ValueError, match="needs a command and ready_s above 0"):
        ServerLaunch(**wrong)
