"""One push is one commit, on the state that was read, with errors that say in one line what to do.

A commit names its parent, so that nobody's work is written over. Somebody else's commit in between is refused by the
Hub (412): where it left our files alone, ours is made again on top of it, with the card read again; otherwise the push
ends and says which file. A reply that got lost is no failure: the commits since are read, and if one holds our files
the push is done. Uploads go by content, so a push that was killed is repeated without sending whole files again.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha1
from pathlib import Path
from typing import Any, Final

from hf_curation.hub import errors
from hf_curation.hub.cards import CARD
from hf_curation.hub.errors import is_stale, is_transient, one_line_errors, patiently

Content = Path | bytes
MAX_ROUNDS: Final = 32
"""So often a commit is made anew on others' commits. Each time somebody got on, so 32 pushers all come through."""
_PATHS_A_REQUEST: Final = 500


@dataclass(frozen=True, slots=True)
class Head:
    """The state of a repository that a push starts from."""

    repo_id: str
    commit: str
    files: tuple[str, ...]
    repo_type: str = "model"
    private: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What a push sends."""

    title: str
    """Of the commit."""
    files: Mapping[str, Content]
    """Path in the repository -> what goes there, without the card."""
    card: Callable[[str | None], str]
    """From the card that is there to the new one."""
    repo_type: str = "model"
    space_sdk: str | None = None
    """Of a Space that is made."""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """What files must be, where that is known."""
    stale: Callable[[Head], Sequence[str]] = lambda head: ()
    """Files of the repository that go with this commit."""
    check: Callable[[Head], None] = lambda head: None
    """Refuses a repository that the artifact does not go into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What a push sent, or would send."""

    repo_id: str
    files: tuple[tuple[str, int], ...]
    """(name, bytes), the card among them."""
    card: str
    private: bool
    """Of the repository; after a dry run: of one that would be made."""
    repo_type: str = "model"
    commit: str | None = None
    """None after a dry run."""

    @property
    def url(self) -> str | None:
        """Address of the commit."""
        from huggingface_hub import constants  # noqa: PLC0415

        prefix = "" if self.repo_type == "model" else f"{self.repo_type}s/"
        return f"{constants.ENDPOINT}/{prefix}{self.repo_id}/commit/{self.commit}" if self.commit else None


def push(artifact: Artifact, repo_id: str, *, private: bool, dry_run: bool = False) -> Pushed:
    """Send an artifact as one commit; with nothing new in it no commit is made.

    Args:
        artifact: What to send.
        repo_id: `you/name`; made where it is not there.
        private: Of a repository that is made here.
        dry_run: Say what would be sent; the Hub is not asked.

    Raises:
        ValueError: if the token is wrong or may not write there, a file is not what it was, or somebody else has
            changed our files in the meantime.
        OSError: if the Hub does not answer, or asks for more patience than we have.
    """
    check_repo_id(repo_id)
    if dry_run:
        return _pushed(artifact, repo_id, artifact.card(None), private=private)
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415

    head = open_repo(repo_id, private=private, repo_type=artifact.repo_type, space_sdk=artifact.space_sdk)
    with one_line_errors(repo_id):
        additions = _additions(artifact)
        for round_number in range(MAX_ROUNDS):
            artifact.check(head)
            card, stale = artifact.card(read_card(head)), artifact.stale(head)
            files = {**additions, CARD: CommitOperationAdd(CARD, card.encode())}
            try:
                commit = _commit(head, files, stale, artifact.title)
            except Exception as error:
                if not is_stale(error) or round_number == MAX_ROUNDS - 1:
                    raise
                head = _later(head, additions, stale)
                time.sleep(random.uniform(0, errors.FIRST_WAIT_S * min(2**round_number, 8)))  # noqa: S311
                continue
            _check_whole(head, commit, files)
            return _pushed(artifact, repo_id, card, private=head.private, commit=commit)
    raise AssertionError("the last round returns or raises")


def open_repo(repo_id: str, *, private: bool, repo_type: str = "model", space_sdk: str | None = None) -> Head:
    """Return the state of a repository, which is made where it is not there.

    Raises:
        ValueError: if the token is wrong or may not write there.
        OSError: if the Hub does not answer.
    """
    check_repo_id(repo_id)
    from huggingface_hub import HfApi  # noqa: PLC0415

    def make() -> object:
        return HfApi().create_repo(repo_id, repo_type=repo_type, private=private, exist_ok=True, space_sdk=space_sdk)

    with one_line_errors(repo_id):
        patiently(make, repo_id)
        return read_head(repo_id, repo_type)


def read_head(repo_id: str, repo_type: str = "model") -> Head:
    """Return the state of a repository."""
    from huggingface_hub import HfApi  # noqa: PLC0415

    info: Any = patiently(lambda: HfApi().repo_info(repo_id, repo_type=repo_type), repo_id)
    files = tuple(sibling.rfilename for sibling in info.siblings or ())
    return Head(repo_id, str(info.sha), files, repo_type, bool(info.private))


def read_card(head: Head) -> str | None:
    """Return the text of the card that a repository has at a commit, or None.

    Whether there is one is known from the listing: a download that fails says nothing about it.
    """
    if CARD not in head.files:
        return None
    from huggingface_hub import hf_hub_download  # noqa: PLC0415

    def download() -> str:
        return hf_hub_download(head.repo_id, CARD, repo_type=head.repo_type, revision=head.commit)

    return Path(patiently(download, head.repo_id)).read_text(encoding="utf-8")


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


def _additions(artifact: Artifact) -> dict[str, Any]:
    """Return the operations that add files; made once, since each hashes its file."""
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415

    additions = {name: CommitOperationAdd(name, content) for name, content in artifact.files.items()}
    for name, digest in artifact.sha256.items():
        if additions[name].upload_info.sha256.hex() != digest:
            raise ValueError(f"{name} is not as the run wrote it (its SHA-256 is another one); make the run again")
    return additions


def _commit(head: Head, files: Mapping[str, Any], stale: Sequence[str], title: str) -> str:
    """Make the commit on top of `head`; return its id, also where only the reply to it was lost."""
    from huggingface_hub import CommitOperationDelete, HfApi  # noqa: PLC0415

    operations = [*files.values(), *(CommitOperationDelete(name, is_folder=False) for name in stale)]
    for attempt in range(1, errors.ATTEMPTS + 1):
        try:
            commit = HfApi().create_commit(
                head.repo_id, operations, repo_type=head.repo_type, commit_message=title, parent_commit=head.commit
            )
            return str(commit.oid)
        except Exception as error:
            if not (is_transient(error) or is_stale(error)):
                raise
            if found := _commit_with(files, stale, head):
                return found
            if is_stale(error) or attempt == errors.ATTEMPTS:
                raise
            errors.wait(error, head.repo_id, attempt)
    raise AssertionError("the last attempt returns or raises")


def _commit_with(files: Mapping[str, Any], stale: Sequence[str], head: Head) -> str | None:
    """Return the first commit since `head` that holds all our files and none of the stale ones."""
    from huggingface_hub import HfApi  # noqa: PLC0415

    def list_commits() -> list[Any]:
        return HfApi().list_repo_commits(head.repo_id, repo_type=head.repo_type)

    since: list[str] = []
    for commit in patiently(list_commits, head.repo_id):
        if commit.commit_id == head.commit:
            break
        since.append(commit.commit_id)
    for commit_id in reversed(since):
        found = _entries(head, commit_id, [*files, *stale])
        if not found.keys() & set(stale) and all(_is_same(found.get(name), one) for name, one in files.items()):
            return commit_id
    return None


def _later(head: Head, files: Mapping[str, Any], stale: Sequence[str]) -> Head:
    """Return the repository's new state, if what was committed in between left our files alone.

    Raises:
        ValueError: if it changed one, and not to what we send.
    """
    later = read_head(head.repo_id, head.repo_type)
    names = [*files, *stale]
    was, now = _entries(head, head.commit, names), _entries(head, later.commit, names)
    for name in names:
        before, after = was.get(name), now.get(name)
        is_untouched = (before and before.blob_id) == (after and after.blob_id)
        if not is_untouched and not (_is_same(after, files[name]) if name in files else after is None):
            raise ValueError(
                f"{head.repo_id} got another commit while we made ours (412), with another {name}; nothing was sent: "
                "look at it, then push again"
            )
    return later


def _check_whole(head: Head, commit: str, files: Mapping[str, Any]) -> None:
    """Check that a commit holds every file: the client leaves out what the repository's `.gitignore` names.

    Raises:
        ValueError: names a file that is missing.
    """
    if missing := sorted(files.keys() - _entries(head, commit, list(files)).keys()):
        raise ValueError(
            f"{head.repo_id} did not take {missing[0]} (of {len(missing)}): mend its .gitignore, then push again"
        )


def _entries(head: Head, commit: str, names: Sequence[str]) -> dict[str, Any]:
    """Return name -> entry of those files that a commit holds."""
    from huggingface_hub import HfApi  # noqa: PLC0415

    def ask(first: int) -> list[Any]:
        part = list(names[first : first + _PATHS_A_REQUEST])
        return HfApi().get_paths_info(head.repo_id, part, repo_type=head.repo_type, revision=commit)

    firsts = range(0, len(names), _PATHS_A_REQUEST)
    found = [entry for first in firsts for entry in patiently(partial(ask, first), head.repo_id)]
    return {entry.path: entry for entry in found if hasattr(entry, "blob_id")}


def _is_same(entry: Any, addition: Any) -> bool:  # noqa: ANN401 - the client's
    """Return whether what lies in the repository is what an operation adds."""
    if entry is None:
        return False
    if entry.lfs is not None:
        return bool(entry.lfs.sha256 == addition.upload_info.sha256.hex())
    with addition.as_file() as file:
        data = file.read()
    return bool(entry.blob_id == sha1(b"blob %d\0" % len(data) + data).hexdigest())  # noqa: S324 - as git does


def _pushed(artifact: Artifact, repo_id: str, card: str, *, private: bool, commit: str | None = None) -> Pushed:
    sizes = {
        name: len(content) if isinstance(content, bytes) else content.stat().st_size
        for name, content in {**artifact.files, CARD: card.encode()}.items()
    }
    files = tuple(sorted(sizes.items()))
    return Pushed(
        repo_id=repo_id, files=files, card=card, private=private, repo_type=artifact.repo_type, commit=commit
    )
