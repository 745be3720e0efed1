"""A refiner whose server is started by the task that asks it: one server a node, on Slurm or here.

datatrove's `InferenceServer` finds a port, starts the server, waits until it answers, tries once more if it does not,
and stops it. Requests are `ServerRefiner`'s: what holds for a server that somebody else runs holds for this one.

The server is any command that takes `--host` and `--port`, of any environment: vLLM's pins contradict ours, and it is
not imported here. That is why datatrove's own `VLLMServer` is not used, which looks for vLLM beside this code; it also
starts it with `--trust-remote-code`. The output goes to a file, not through a pipe: a server that writes a long line
without an end, as progress bars are, could not be read any more, and would stand still once the pipe is full.

A process has one server for one command, which all ranks of a job share (`tasks_per_job`), and which ends with the
process, even one that is killed.
"""

import asyncio
import atexit
import os
import socket
import sys
import threading
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import split
from typing import Any, Final

from datatrove.pipeline.inference.servers.base import InferenceServer
from datatrove.pipeline.inference.types import ServerError

from hf_curation.refiners.base import Draft, Window
from hf_curation.refiners.prompts import Preset
from hf_curation.refiners.server import ServerDown, ServerPolicy, ServerRefiner
from hf_curation.refiners.server.loop import LoopThread

_GUARD: Final = Path(__file__).with_name("with_parent.py")
_OF_THIS_PYTHON: Final = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
_PROBE_EVERY_S: Final = 0.5
_TAIL_BYTES: Final = 4000


@dataclass(frozen=True, kw_only=True)
class ServerLaunch:
    """How a server is started.

    Raises:
        ValueError: if there is no command, or no time.
    """

    command: str
    """With its arguments, quoted as in a shell, which is not used; `--host` and `--port` are added."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of its own; the others are this process's, but for those that are about this Python."""
    ready_s: float = 1800.0
    """How long it may take until it answers."""
    logs: str | None = None
    """Folder for its output, a file per process; None: it is lost."""

    def __post_init__(self) -> None:
        if not self.words or self.ready_s <= 0:
            raise ValueError(f"a server needs a command and ready_s above 0, got {self.command!r}, {self.ready_s}")

    @property
    def words(self) -> list[str]:
        """The command, word by word."""
        return split(self.command)


class NodeServerRefiner(ServerRefiner):
    """A `ServerRefiner` that starts its server at the first window.

    >>> launch = ServerLaunch(command="/opt/vllm/bin/python -m vllm.entrypoints.openai.api_server --model MODEL ...")
    >>> refine_pipeline(RefineConfig(..., chunk_refiner=NodeServerRefiner(launch, "refiner", preset="generic-chunk")))
    """

    def __init__(
        self,
        launch: ServerLaunch,
        model: str,
        *,
        preset: str | Preset,
        policy: ServerPolicy | None = None,
        **options: Any,  # noqa: ANN401 - of ServerRefiner
    ) -> None:
        """Describe the server; nothing is started yet.

        Args:
            launch: how it is started.
            model: the name by which it serves its model.
            preset: as in `ServerRefiner`.
            policy: by default one that gives a server up that has answered nobody for a minute.
            options: further arguments of `ServerRefiner`.
        """
        policy = policy or ServerPolicy(give_up_s=60.0)
        super().__init__("http://127.0.0.1", model, preset=preset, policy=policy, **options)
        self.launch = launch

    def write(self, windows: Sequence[Window]) -> list[Draft]:
        """Start the server unless it runs, and ask it.

        Raises:
            ServerDown: if it does not start, or is gone; with the end of its output.
            ServerFailure: as `ServerRefiner.write`.
        """
        if not windows:
            return []
        server = server_of(self.launch)
        if self.base_url != (address := f"{server.get_base_url()}/v1"):
            self.close()  # connections to one that has died
            self.base_url = address
        try:
            return super().write(windows)
        except ServerDown as error:
            raise ServerDown(f"{error}{server.last_words()}") from error


class CommandServer(InferenceServer):  # type: ignore[misc]
    """datatrove's server, started by a command; made, entered and left on an event loop."""

    def __init__(self, launch: ServerLaunch) -> None:
        """Find a port later; nothing is started yet."""
        from datatrove.pipeline.inference.run_inference import InferenceConfig  # noqa: PLC0415 - half a second

        config = InferenceConfig(
            server_type="custom",
            model_name_or_path="",
            server_ready_max_attempts=max(1, round(launch.ready_s / _PROBE_EVERY_S)),
            server_ready_delay_sec=_PROBE_EVERY_S,
        )
        super().__init__(config, int(os.environ.get("SLURM_ARRAY_TASK_ID", "0")))
        self.launch = launch
        self.log = None if launch.logs is None else Path(launch.logs, f"{socket.gethostname()}-{os.getpid()}.log")

    def get_base_url(self) -> str:
        """Return its address; by number, since `localhost` may be looked for at an address that it does not hear."""
        return f"http://127.0.0.1:{self._port}"

    async def is_ready(self) -> bool:
        """Tell whether it lists its models; asked directly, whatever proxy the cluster has."""
        import httpx  # noqa: PLC0415 - of an extra

        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            return (await client.get(f"{self.get_base_url()}/v1/models")).status_code == 200

    async def start_server(self) -> Process:
        """Start the command."""
        words = [sys.executable, str(_GUARD), str(os.getpid()), *self.launch.words]
        words += ["--host", "127.0.0.1", "--port", str(self._port)]
        environment = {name: value for name, value in os.environ.items() if name not in _OF_THIS_PYTHON}
        environment |= self.launch.environment
        if self.log is None:
            return await asyncio.create_subprocess_exec(*words, stdout=DEVNULL, stderr=DEVNULL, env=environment)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as file:
            return await asyncio.create_subprocess_exec(*words, stdout=file, stderr=STDOUT, env=environment)

    async def monitor_health(self) -> None:
        """Return when it ends."""
        if self._server_process is not None:
            await self._server_process.wait()

    @property
    def is_alive(self) -> bool:
        """Whether its process is there."""
        return self._server_process is not None and self._server_process.returncode is None

    async def ready(self) -> None:
        """Wait until it answers.

        Raises:
            ServerError: if it does not.
        """
        await self._server_ready

    def last_words(self) -> str:
        """Return the last line of its output and where the rest is, to be added to an error."""
        if self.log is None:
            return ""
        lines = self.log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace").split("\n") if self.log.exists() else []
        last = next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing")
        return f"; its last line: {last[-300:]} ({self.log})"


_LOCK: Final = threading.Lock()
_SERVERS: Final[dict[tuple[int, str], CommandServer]] = {}


def server_of(launch: ServerLaunch) -> CommandServer:
    """Return this process's server for a command, started and answering; in place of one that has died, a new one.

    Raises:
        ServerDown: if it does not start.
    """
    key = os.getpid(), repr(launch)  # a forked child has no threads of its parent's, and so no server
    with _LOCK:
        if key not in _SERVERS or not _SERVERS[key].is_alive:
            _SERVERS[key] = _start(launch)
        return _SERVERS[key]


def _start(launch: ServerLaunch) -> CommandServer:
    loop = LoopThread()

    async def make() -> CommandServer:
        return CommandServer(launch)

    server = loop.run(make())

    async def enter() -> None:
        await server.__aenter__()
        await server.ready()

    async def leave() -> None:
        await server.__aexit__(None, None, None)

    try:
        loop.run(enter())
    except ServerError as error:
        loop.stop(leave)
        raise ServerDown(f"the server does not start: {error}{server.last_words()}") from error
    atexit.register(loop.stop, leave)
    return server
