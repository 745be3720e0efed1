"""A real HTTP server on localhost that misbehaves on command."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hf_curation.programs.model import Scope
from hf_curation.refiners.base import Window
from hf_curation.refiners.server import ServerPolicy, ServerRefiner


@dataclass
class Seen:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        return self.body.get("prompt") or "".join(turn["content"] for turn in self.body["messages"])


@dataclass
class Reply:
    """What to answer; `hang` sends no byte, `drop` cuts the connection, `drip_s` waits before every byte."""

    body: bytes | dict[str, Any] = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0
    drip_s: float = 0.0
    hang: bool = False
    drop: bool = False
    cut_at: int | None = None

    @property
    def payload(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def answer(text: object, *, finish_reason: str | None = "stop", chat: bool = False, **more: Any) -> Reply:
    choice: dict[str, Any] = {"index": 0, "finish_reason": finish_reason}
    choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
    return Reply({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}, **more)


class ScriptedServer:
    """`script` decides what each POST is answered; everything asked is kept in `seen`."""

    def __init__(self) -> None:
        self.script: Callable[[Seen], Reply] = lambda seen: answer("keep_chunk()", chat="messages" in seen.body)
        self.models_status = 200
        self.seen: list[Seen] = []
        self.in_flight = self.most_in_flight = 0
        self.released = threading.Event()
        self.lock = threading.Lock()
        self._http: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self._http = _Http(("127.0.0.1", self.port), _Handler)
        self._http.owner = self
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        """Close the door and cut every connection."""
        if self._http is not None:
            http, self._http = self._http, None
            http.shutdown()
            http.server_close()
            for connection in list(http.connections):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128
    owner: ScriptedServer

    def __init__(self, *args: Any) -> None:
        self.connections: set[Any] = set()
        super().__init__(*args)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that go away are part of the play


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Http

    def log_message(self, *args: Any) -> None:
        pass

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def do_GET(self) -> None:
        self._send(Reply({"object": "list", "data": []}, status=self.server.owner.models_status))

    def do_POST(self) -> None:
        owner = self.server.owner
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        seen = Seen(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        with owner.lock:
            owner.seen.append(seen)
            owner.in_flight += 1
            owner.most_in_flight = max(owner.most_in_flight, owner.in_flight)
            reply = owner.script(seen)
        try:
            self._send(reply)
        finally:
            with owner.lock:
                owner.in_flight -= 1

    def _send(self, reply: Reply) -> None:
        released = self.server.owner.released
        if reply.hang:
            released.wait(10)
        if reply.hang or reply.drop:
            self.close_connection = True
            return
        released.wait(reply.delay_s)
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(reply.payload)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if reply.cut_at is not None:
            self.wfile.write(reply.payload[: reply.cut_at])
            self.close_connection = True
        elif reply.drip_s:
            for byte in reply.payload:
                if released.wait(reply.drip_s):
                    break
                self.wfile.write(bytes([byte]))
        else:
            self.wfile.write(reply.payload)


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    scripted = ScriptedServer()
    yield scripted
    scripted.released.set()
    scripted.stop()


@pytest.fixture
def fast() -> Callable[..., ServerPolicy]:
    """A policy in which everything takes tenths of a second."""

    def make(**changes: Any) -> ServerPolicy:
        defaults = {
            "max_concurrency": 8,
            "timeout_s": 5.0,
            "deadline_s": 5.0,
            "retries": 3,
            "backoff_s": 0.01,
            "max_backoff_s": 0.05,
            "retry_after_cap_s": 2.0,
            "breaker_failures": 4,
            "give_up_s": 0.6,
            "failures_allowed": 3,
        }
        return ServerPolicy(**(defaults | changes))

    return make


@pytest.fixture
def refiner(server: ScriptedServer, fast: Callable[..., ServerPolicy]) -> Iterator[Callable[..., ServerRefiner]]:
    """Make refiners for the scripted server; options of the policy go into `policy`."""
    made: list[ServerRefiner] = []

    def make(policy: dict[str, Any] | None = None, **options: Any) -> ServerRefiner:
        options = {"preset": "prox-web-chunk"} | options
        made.append(ServerRefiner(server.url, "tiny", policy=fast(**(policy or {})), **options))
        return made[-1]

    yield make
    server.released.set()
    for one in made:
        one.close()


@pytest.fixture
def windows() -> Callable[[int], list[Window]]:
    """Windows with one line each: `page 0`, `page 1`, ..."""

    def make(num: int) -> list[Window]:
        return [Window(f"page {i}", i, Scope(i * 10, i * 10 + 6, i)) for i in range(num)]

    return make


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@pytest.fixture
def answers() -> Callable[..., Reply]:
    return answer
