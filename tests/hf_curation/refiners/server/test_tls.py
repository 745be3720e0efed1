"""A server whose certificate nobody vouches for is not talked to; one that speaks no TLS is as good as down."""

import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from hf_curation.refiners.server import ServerDown, ServerRefiner, ServerRefused

KEY = "sk-canary-2468"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.server.seen.append(dict(self.headers))

    def log_message(self, *args: Any) -> None:
        pass


class Server(HTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # clients that break off the handshake are what this is about


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_that_nobody_vouches_for_ends_the_run(tmp_path: Any, fast: Any, monkeypatch: Any) -> None:
    pem = tmp_path / "own.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject]
    subprocess.run([*command, "-keyout", pem, "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    pem.write_text(pem.read_text() + (tmp_path / "cert.pem").read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server = Server(("127.0.0.1", 0), Handler)
    server.seen = []
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("MY_KEY", KEY)
    url = f"https://127.0.0.1:{server.server_address[1]}/v1"
    try:
        refiner = ServerRefiner(url, "tiny", preset="prox-web-chunk", api_key_env="MY_KEY", policy=fast())
        with refiner, pytest.raises(ServerRefused, match="certificate") as caught:
            refiner.write(refiner.windows("A page."))
        assert KEY not in str(caught.value)
        assert server.seen == [], "no request, and no key, went through"
    finally:
        server.shutdown()
        server.server_close()


def test_a_server_that_speaks_no_tls_is_down(server: Any, fast: Any) -> None:
    url = server.url.replace("http:", "https:")
    with ServerRefiner(url, "tiny", preset="prox-web-chunk", policy=fast()) as refiner, pytest.raises(ServerDown):
        refiner.write(refiner.windows("A page."))
    assert server.seen == []
