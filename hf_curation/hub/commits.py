"""One push is one commit, on the state that was read, with errors that say in one line what to do.

The Hub's client tries an upload again when the server stumbles, but not the commit itself: its reply may be lost after
it went through. Then the head is read again, and if it holds our files the push is done.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest, sha1
from pathlib import Path
from typing import Any, Final

_LOST_REPLY: Final = (500, 502, 503, 504)
_STALE: Final = (409, 412)
_CLIENTS: Final = ("httpx", "httpcore")
"""Libraries below the Hub's client (and their second versions), whose errors come through as they are."""


@dataclass(frozen=True, slots=True)
class Head:
    """The state of a repository that a push starts from."""

    repo_id: str
    commit: str
    files: tuple[str, ...]


def open_repo(repo_id: str, *, private: bool) -> Head:
    """Return the state of a model repository, which is made where it is not there.

    Raises:
        ValueError: if the token is wrong or may not write there.
        OSError: if the Hub does not answer.
    """
    check_repo_id(repo_id)
    from huggingface_hub import HfApi  # noqa: PLC0415

    with one_line_errors(repo_id):
        api = HfApi()
        api.create_repo(repo_id, private=private, exist_ok=True)
        info = api.model_info(repo_id)
        return Head(repo_id, str(info.sha), tuple(sibling.rfilename for sibling in info.siblings or ()))


def commit_files(head: Head, files: Mapping[str, Path | bytes], title: str) -> str:
    """Send files as one commit on top of `head`; return the commit's id.

    Raises:
        ValueError: if the token may not write there, or the repository got another commit in the meantime.
        OSError: if the Hub does not answer.
    """
    from huggingface_hub import CommitOperationAdd, HfApi  # noqa: PLC0415

    operations = [CommitOperationAdd(name, content) for name, content in files.items()]
    with one_line_errors(head.repo_id):
        try:
            commit = HfApi().create_commit(head.repo_id, operations, commit_message=title, parent_commit=head.commit)
        except Exception as error:
            if _may_be_through(error) and (found := _commit_with(files, head)):
                return found
            raise
        return str(commit.oid)


def check_repo_id(repo_id: str) -> None:
    """Raise a ValueError unless it is `you/name`."""
    from huggingface_hub.errors import HFValidationError  # noqa: PLC0415
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # noqa: PLC0415

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ValueError(f"{repo_id!r} is no name on the Hub ({str(error).splitlines()[0]})") from error
    if repo_id.count("/") != 1:
        raise ValueError(f"a repository on the Hub is called you/name, got {repo_id!r}")


@contextmanager
def one_line_errors(repo_id: str) -> Iterator[None]:
    """Turn what the Hub's client raises into a ValueError (ours to mend) or an OSError, of one line."""
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError  # noqa: PLC0415

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise ValueError("no token: log in with `hf auth login`, or set HF_TOKEN") from error
    except HfHubHTTPError as error:
        raise _explained(error, repo_id) from error
    except Exception as error:
        if not _is_from_client(error):
            raise
        raise OSError(f"the Hub does not answer ({type(error).__name__}: {_first_line(error)})") from error


def _explained(error: Any, repo_id: str) -> Exception:  # noqa: ANN401
    status = _status(error)
    if status == 401:
        return ValueError(f"the Hub does not take this token for {repo_id} (401): `hf auth login`, or set HF_TOKEN")
    if status == 403:
        owner = repo_id.partition("/")[0]
        return ValueError(f"this token may not write to {owner} (403); use one that may, or a name of your own")
    if status in _STALE:
        return ValueError(f"{repo_id} got another commit while we made ours ({status}); nothing was sent: push again")
    return OSError(f"{repo_id}: {_first_line(error)}")


def _may_be_through(error: Exception) -> bool:
    """Return whether the reply may be what was lost, and not the commit."""
    return _is_from_client(error) or _status(error) in _LOST_REPLY


def _is_from_client(error: Exception) -> bool:
    return type(error).__module__.startswith(_CLIENTS)


def _commit_with(files: Mapping[str, Path | bytes], head: Head) -> str | None:
    """Return the newest commit if it came after ours began and holds all our files."""
    from huggingface_hub import HfApi  # noqa: PLC0415

    commit = str(HfApi().model_info(head.repo_id).sha)
    if commit == head.commit:
        return None
    found = {entry.path: entry for entry in HfApi().get_paths_info(head.repo_id, list(files), revision=commit)}
    return commit if all(name in found and _is_same(found[name], files[name]) for name in files) else None


def _is_same(entry: Any, content: Path | bytes) -> bool:  # noqa: ANN401
    if entry.lfs is not None and isinstance(content, Path):
        with content.open("rb") as file:
            return bool(entry.lfs.sha256 == file_digest(file, "sha256").hexdigest())
    data = content if isinstance(content, bytes) else content.read_bytes()
    return bool(entry.blob_id == sha1(b"blob %d\0" % len(data) + data).hexdigest())  # noqa: S324 - as git does


def _status(error: Any) -> int:  # noqa: ANN401
    return getattr(getattr(error, "response", None), "status_code", 0)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
