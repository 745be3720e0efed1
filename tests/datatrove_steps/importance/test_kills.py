"""A selection that is killed at any write ends, when it is run again, with the bytes of one that was not.

Every file of a run is written beside its place, synced, and renamed. Here a child process is killed at the n-th of
these calls, before or after it, for n over the whole run. `HF_CURATION_KILLS=200` tries that many moments; without it
a few, spread over all passes.
"""

import os
import random
import signal
import sys

import pytest

NUM_KILLS = int(os.environ.get("HF_CURATION_KILLS", "6"))
CALLS = ("fsync", "replace")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked"),
]


@pytest.fixture
def run(select, corpus):
    def run(name):
        return select(name, tasks=2, budget="20%", held_out=[str(corpus / "held_out.jsonl")], source_key="source")

    return run


class Trap:
    """Counts the calls that make files safe, and kills this process at one of them."""

    def __init__(self, monkeypatch, kill_at=None, *, after=False):
        self.num_calls = 0
        for name in CALLS:
            monkeypatch.setattr(os, name, self._wrapped(getattr(os, name), kill_at, after))

    def _wrapped(self, call, kill_at, after):
        def wrapped(*args):
            self.num_calls += 1
            if self.num_calls == kill_at and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = call(*args)
            if self.num_calls == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return wrapped


def killed(run, name, monkeypatch, kill_at, after):
    """Run in a child that is killed on the way; return whether it was."""
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        try:
            Trap(monkeypatch, kill_at, after=after)
            run(name)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_run_that_is_killed_ends_like_one_that_is_not(run, contents, monkeypatch):
    with monkeypatch.context() as patch:
        trap = Trap(patch)
        clean = contents(run("clean"))
        num_calls = trap.num_calls
    assert num_calls > 40, "a run of two tasks writes files and manifests in every pass"
    rng = random.Random(int(os.environ.get("HF_CURATION_KILL_SEED", "0")))  # noqa: S311
    for number in range(NUM_KILLS):
        name = f"killed{number}"
        moment = 1 + (number * num_calls // NUM_KILLS + rng.randrange(num_calls // NUM_KILLS + 1)) % num_calls
        assert killed(run, name, monkeypatch, moment, after=bool(number % 2))
        if number % 3 == 0:  # and again, somewhere in what is left
            killed(run, name, monkeypatch, 1 + rng.randrange(20), after=False)
        folder = run(name)
        assert contents(folder) == clean, f"killed at call {moment} of {num_calls}"
