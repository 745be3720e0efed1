"""An event loop on a thread of its own, so that `write` can be an ordinary function everywhere.

`asyncio.run` inside `write` would fail where a loop runs already (a notebook, a rollout) and would throw the pooled
connections away with every batch: a handshake per request against a TLS server.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")

FAREWELL_S = 5.0
"""How long `stop` waits. The garbage collector may call it anywhere, also where the caller holds a lock that the
farewell needs (of imports, of a logger): without an end to the wait, each would wait for the other for ever."""


async def gather_all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return all results in order; if one raises, or the caller is cancelled, none of the others runs on."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class LoopThread:
    """A running event loop; coroutines of any number of threads run on it side by side."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._is_stopped = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True, name="server-refiner")
        self._thread.start()

    @property
    def is_usable(self) -> bool:
        """False in a forked child (a fork copies no threads) and after `stop`."""
        return self._pid == os.getpid() and not self._is_stopped

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end and return its result; an interrupt of the caller cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self, farewell: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `farewell`, for a while at most, then end loop and thread.

        Does nothing the second time, or in a forked child.
        """
        if not self.is_usable:
            return
        self._is_stopped = True

        async def end() -> None:
            try:
                await asyncio.wait_for(farewell(), FAREWELL_S)
            finally:
                self._loop.stop()

        asyncio.run_coroutine_threadsafe(end(), self._loop)
        # The garbage collector may call this on the loop's own thread, which cannot wait for itself.
        if threading.current_thread() is not self._thread:
            self._thread.join(FAREWELL_S)
            if not self._thread.is_alive():
                self._loop.close()
