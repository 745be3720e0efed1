"""The HTTP connection: which addresses are taken, how the key gets into the headers, how much is read.

The key is read from the environment when the connection is opened and lives in the HTTP client's headers only. It is
no attribute or local variable of a frame that can raise: loguru prints the values of variables in tracebacks.
"""

import os
import re
import ssl
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from hf_curation.refiners.server.failures import KeyUnusable
from hf_curation.refiners.server.policy import ServerPolicy

if TYPE_CHECKING:
    import httpx

_NAME: Final = re.compile(r"[A-Z0-9_]{1,40}|[a-z0-9_]{1,40}")
"""Of a variable; keys mix the cases or hold hyphens."""
MAX_ANSWER_BYTES: Final = 8 * 2**20
"""Cap on the size of one answer; a program is a few hundred bytes."""


def check_base_url(base_url: str) -> str:
    """Return `base_url` without a trailing slash, and with `/v1` where it has no path.

    Raises:
        ValueError: if it is no http(s) address, or carries a user name, a query or a fragment (places for secrets).
    """
    try:
        parts = urlsplit(base_url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address:
        shown = base_url.rpartition("@")[2].partition("?")[0].partition("#")[0]
        raise ValueError(f"base_url must be like 'http://localhost:8000/v1', got {shown!r}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            f"base_url of {parts.hostname} carries a user name, a query or a fragment; put the key into an "
            "environment variable and name it in api_key_env"
        )
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or '/v1'}"


def open_http(base_url: str, policy: ServerPolicy, api_key_env: str | None) -> "httpx.AsyncClient":
    """Return the HTTP client for one server: it follows no redirects and takes no compressed answers.

    Raises:
        ImportError: if `httpx` is missing.
        KeyUnusable: if the environment variable for the key is unset or holds something that cannot be a key.
    """
    try:
        import httpx  # noqa: PLC0415
    except ImportError:
        raise ImportError("`httpx` is needed to talk to a server: pip install 'hf-curation[serve]'") from None

    return httpx.AsyncClient(
        base_url=base_url,
        # A compressed answer could unpack to far more than the cap before anybody looks.
        headers={"Accept-Encoding": "identity", "Content-Type": "application/json"} | _authorization(api_key_env),
        timeout=httpx.Timeout(policy.timeout_s, pool=None),
        limits=httpx.Limits(max_connections=policy.max_concurrency, max_keepalive_connections=policy.max_concurrency),
        follow_redirects=False,
        # A cluster's proxy settings are honoured, but a local server is never looked for behind a proxy.
        trust_env=not _is_loopback(urlsplit(base_url).hostname or ""),
    )


def _authorization(api_key_env: str | None) -> dict[str, str]:
    if api_key_env is None:
        return {}
    if not os.environ.get(api_key_env):
        # Whoever puts the key itself there must not find it in a log.
        shown = repr(api_key_env) if _NAME.fullmatch(api_key_env) else "named"
        raise KeyUnusable(
            f"the environment variable {shown} (api_key_env) is not set; api_key_env takes the NAME of a variable, "
            "and the key is exported in that"
        )
    if not (os.environ[api_key_env].isascii() and os.environ[api_key_env].isprintable()):
        raise KeyUnusable(f"the environment variable {api_key_env!r} holds characters that no key has (a newline?)")
    return {"Authorization": f"Bearer {os.environ[api_key_env]}"}


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_untrusted(error: BaseException | None) -> bool:
    """Return whether a failed connection failed because the server's certificate does not verify."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


async def read_capped(response: "httpx.Response") -> bytes | None:
    """Return the body, or None once it exceeds `MAX_ANSWER_BYTES`."""
    chunks, size = [], 0
    async for chunk in response.aiter_bytes():
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            return None
        chunks.append(chunk)
    return b"".join(chunks)
