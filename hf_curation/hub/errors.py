"""What the Hub's client raises, as errors of one line that say what to do; and waiting where waiting helps.

The client itself tries listings, downloads and uploads again (408, 429, 5xx; `Retry-After`), but not what this package
also depends on: what a repository's head is, making a repository, opening a file, and the commit.
"""

import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

T = TypeVar("T")
logger = logging.getLogger(__name__)

ATTEMPTS: Final = 6
FIRST_WAIT_S: Final = 0.5
MAX_WAIT_S: Final = 300.0
"""Longest wait that is sat out, five minutes; the Hub's limit of commits is counted by the hour."""
_TRANSIENT: Final = (408, 429, 500, 502, 503, 504)
_STALE: Final = (409, 412)
_QUERY_RE: Final = re.compile(r"(https?://[^\s?'\"]+)\?[^\s'\"]*")
_CLIENTS: Final = ("httpx", "httpcore")
"""Libraries below the Hub's client (and their second versions), whose errors come through as they are."""


@contextmanager
def one_line_errors(repo_id: str, *, revision: str | None = None) -> Iterator[None]:
    """Turn what the Hub's client raises into a ValueError (ours to mend) or an OSError, of one line."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, LocalTokenNotFoundError  # noqa: PLC0415

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise ValueError("no token: log in with `hf auth login`, or set HF_TOKEN") from error
    except HfHubHTTPError as error:
        raise _explained(error, repo_id, revision) from error
    except LocalEntryNotFoundError as error:  # what a download says that could not reach the Hub
        raise OSError(f"{repo_id} cannot be read: {first_line(error)}") from error
    except Exception as error:
        if not is_from_client(error):
            raise
        raise OSError(f"the Hub does not answer ({type(error).__name__}: {first_line(error)})") from error


def patiently(call: Callable[[], T], what: str) -> T:
    """Return what `call` returns, which may be repeated without harm; try again while the Hub stumbles.

    Args:
        call: Asks the Hub.
        what: The repository, for the log.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return call()
        except Exception as error:
            if not is_transient(error):
                raise
            wait(error, what, attempt)
    return call()


def wait(error: Exception, what: str, attempt: int) -> None:
    """Sleep as long as the Hub asks for, else a time that doubles with each attempt, of which chance takes up to half.

    Raises:
        OSError: if the Hub asks for more than `MAX_WAIT_S`.
    """
    asked = _asked_wait_s(error)
    if asked is not None and asked > MAX_WAIT_S:
        raise OSError(
            f"{what}: the Hub asks for {asked:,.0f} s of patience ({status_of(error)}); run again then, "
            "what was uploaded is not sent again"
        ) from error
    seconds = FIRST_WAIT_S * 2 ** (attempt - 1) * random.uniform(0.5, 1) if asked is None else asked  # noqa: S311
    logger.warning("%s: %s; trying again in %.1f s", what, first_line(error), seconds)
    time.sleep(seconds)


def is_transient(error: Exception) -> bool:
    """Return whether the same request may well succeed in a moment."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled  # noqa: PLC0415

    if isinstance(error, OfflineModeIsEnabled):
        return False
    if isinstance(error, LocalEntryNotFoundError):
        cause = error.__cause__
        return isinstance(cause, Exception) and is_transient(cause)
    return is_from_client(error) or status_of(error) in _TRANSIENT


def is_stale(error: Exception) -> bool:
    """Return whether a commit was refused because the head is another one now."""
    return status_of(error) in _STALE


def is_from_client(error: BaseException) -> bool:
    """Return whether an error is one of the connection, not an answer."""
    return type(error).__module__.startswith(_CLIENTS)


def status_of(error: Any) -> int:  # noqa: ANN401
    """Return the HTTP status of an error, 0 where it has none."""
    return getattr(getattr(error, "response", None), "status_code", 0)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type's name; addresses without what may sign them."""
    return _QUERY_RE.sub(r"\1?...", (str(error).strip() or type(error).__name__).splitlines()[0])


def _explained(error: Any, repo_id: str, revision: str | None) -> Exception:  # noqa: ANN401
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError  # noqa: PLC0415

    status, owner = status_of(error), repo_id.partition("/")[0]
    if isinstance(error, GatedRepoError):
        return ValueError(f"{repo_id} is gated ({status}): ask for access on its page, with the account of the token")
    if isinstance(error, RepositoryNotFoundError):
        return ValueError(
            f"{repo_id} is not on the Hub, or not for this token ({status}): check the name, or `hf auth login`, "
            "or set HF_TOKEN"
        )
    if isinstance(error, RevisionNotFoundError):
        return ValueError(f"{repo_id} has no revision {revision or 'main'!r} ({status})")
    if status == 401:
        return ValueError(f"the Hub does not take this token for {repo_id} (401): `hf auth login`, or set HF_TOKEN")
    if status == 403:
        return ValueError(f"this token may not write to {owner} (403); use one that may, or a name of your own")
    if status in _STALE:
        return ValueError(f"{repo_id} got another commit while we made ours ({status}); nothing was sent: push again")
    return OSError(f"{repo_id}: {first_line(error)}")


def _asked_wait_s(error: Any) -> float | None:  # noqa: ANN401
    """Return the seconds of `Retry-After`, or of the Hub's own `RateLimit`, or None."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    if str(asked := headers.get("retry-after", "")).isdigit():
        return float(asked)
    for part in str(headers.get("ratelimit", "")).split(";"):
        name, _, value = part.strip().partition("=")
        if name == "t" and value.isdigit() and status_of(error) == 429:
            return float(value) + 1
    return None
