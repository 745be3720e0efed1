"""The loop's thread ends when it is asked to, whatever the farewell does."""

import asyncio
import threading
import time

import pytest

from hf_curation.refiners.server import loop as loop_module
from hf_curation.refiners.server.loop import LoopThread


async def nothing():
    return None


def test_coroutines_run_until_it_is_stopped():
    thread = LoopThread()
    assert thread.run(asyncio.sleep(0, "done")) == "done"
    thread.stop(nothing)
    assert not thread.is_usable
    assert not thread._thread.is_alive()
    thread.stop(nothing)


@pytest.mark.parametrize("blocks", [False, True], ids=["waits", "blocks its thread"])
def test_a_farewell_without_end_holds_nobody_up(monkeypatch, blocks):
    """As where the collector calls `stop` while its thread holds a lock that the farewell needs."""
    monkeypatch.setattr(loop_module, "FAREWELL_S", 0.1)
    thread, lock = LoopThread(), threading.Lock()

    async def farewell():
        if blocks:
            lock.acquire()
        await asyncio.Event().wait()

    with lock:
        begun = time.monotonic()
        thread.stop(farewell)
        assert time.monotonic() - begun < 5
    thread._thread.join(5)
    assert not thread._thread.is_alive(), "it ends as soon as it can"
