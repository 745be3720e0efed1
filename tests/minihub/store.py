"""Repositories, commits and files of the test Hub in `server.py`. Knows nothing about HTTP.

Repositories are kept in memory and end with the process; file contents are kept on disk, one file per blob,
named by the git blob id or, for LFS, by the sha256 of the content.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOKENS = {"hf_test": ("me", "write"), "hf_read": ("me", "read"), "hf_other": ("other", "write")}
"""Accepted tokens: user name and role."""
ORGANIZATIONS = {"me": ("org",), "other": ()}
"""Namespaces of each user besides their own."""

LFS_SUFFIXES = (".arrow", ".bin", ".gz", ".model", ".npz", ".parquet", ".pt", ".safetensors", ".zst")
LFS_MIN_BYTES = 10 * 2**20
LFS_POINTER_BYTES = 134
GIT_ATTRIBUTES = "".join(f"*{suffix} filter=lfs diff=lfs merge=lfs -text\n" for suffix in LFS_SUFFIXES).encode()


class HubError(Exception):
    """A refusal. Clients choose their own exception by `status` and `code` (the header `X-Error-Code`)."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())


def git_oid(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324 - as git does


def uses_lfs(path: str, size: int) -> bool:
    return size >= LFS_MIN_BYTES or path.endswith(LFS_SUFFIXES)


@dataclass(frozen=True, slots=True)
class User:
    name: str = ""
    """Empty for an anonymous request."""
    role: str = "read"

    @property
    def namespaces(self) -> tuple[str, ...]:
        return (self.name, *ORGANIZATIONS[self.name]) if self.name else ()

    def check_write(self, namespace: str) -> None:
        if not self.name:
            raise HubError(401, "Invalid username or password.")
        if self.role != "write" or namespace not in self.namespaces:
            raise HubError(403, f"You don't have the rights to write to the namespace {namespace}")


def user_of(authorization: str | None) -> User:
    """The user of an `Authorization` header. An unknown token is an error even where none is needed."""
    if authorization is None:
        return User()
    token = authorization.removeprefix("Bearer ")
    if token not in TOKENS:
        raise HubError(401, "Invalid credentials in Authorization header")
    return User(*TOKENS[token])


@dataclass(frozen=True, slots=True)
class File:
    oid: str
    """Git blob id: of the content, or of the pointer if the file is in LFS."""
    size: int
    lfs: str | None = None
    """sha256 of the content if the file is in LFS."""

    @property
    def blob(self) -> str:
        """Name of the content in the blob folder; also the `ETag` and the id that uploads compare."""
        return self.lfs or self.oid


@dataclass(frozen=True, slots=True)
class Commit:
    parent: str | None
    files: dict[str, File]
    title: str
    message: str = ""
    date: str = field(default_factory=now)

    def folders(self) -> set[str]:
        return {"/".join(path.split("/")[:i]) for path in self.files for i in range(1, path.count("/") + 1)}


@dataclass(slots=True)
class Repo:
    kind: str
    id: str
    private: bool
    created: str = field(default_factory=now)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)

    def sha(self, revision: str) -> str:
        """Commit id of a branch, a tag or a commit id."""
        name = re.sub(r"^refs/(heads|tags)/", "", revision)
        sha = self.branches.get(name) or self.tags.get(name) or (name if name in self.commits else None)
        if sha is None:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha

    def add_commit(self, branch: str, commit: Commit) -> str:
        sha = hashlib.sha1(f"{self.id} {len(self.commits)} {time.time_ns()} {commit}".encode()).hexdigest()  # noqa: S324
        self.commits[sha] = commit
        self.branches[branch] = sha
        return sha

    def history(self, sha: str | None) -> Iterator[tuple[str, Commit]]:
        """The commit `sha` and its ancestors, newest first."""
        while sha:
            yield sha, self.commits[sha]
            sha = self.commits[sha].parent

    def entry(self, sha: str, path: str) -> dict[str, Any]:
        """A file or folder of commit `sha` as the listings show it."""
        commit = self.commits[sha]
        file = commit.files.get(path)
        if file is None:
            return {"type": "directory", "path": path, "oid": git_oid(path.encode()), "size": 0}
        last_commit = {"id": sha, "title": commit.title, "date": commit.date}
        lfs = {"lfs": {"oid": file.lfs, "size": file.size, "pointerSize": LFS_POINTER_BYTES}} if file.lfs else {}
        return {"type": "file", "path": path, "oid": file.oid, "size": file.size, "lastCommit": last_commit, **lfs}

    def tree(self, sha: str, folder: str, *, recursive: bool) -> list[dict[str, Any]]:
        """Entries of a folder ("" is the top), parents before their children."""
        prefix = f"{folder}/" if folder else ""
        entries: dict[str, dict[str, Any]] = {}
        for path in sorted(p for p in self.commits[sha].files if p.startswith(prefix)):
            parts = path.removeprefix(prefix).split("/")
            for depth in range(1, len(parts) + 1 if recursive else 2):
                shown = prefix + "/".join(parts[:depth])
                entries.setdefault(shown, self.entry(sha, shown))
        if folder and not entries:
            raise HubError(404, f"{folder} does not exist", "EntryNotFound")
        return list(entries.values())


class Store:
    """All repositories, and the blobs they share."""

    def __init__(self, root: Path) -> None:
        self.blobs = root / "blobs"
        self.blobs.mkdir(parents=True, exist_ok=True)
        self.repos: dict[tuple[str, str], Repo] = {}

    def find(self, kind: str, repo_id: str, user: User) -> Repo:
        """A repository; a private one does not exist for those who may not read it."""
        repo = self.repos.get((kind, repo_id))
        if repo is None or (repo.private and repo_id.split("/")[0] not in user.namespaces):
            raise HubError(404 if user.name else 401, "Repository not found", "RepoNotFound")
        return repo

    def create(self, kind: str, repo_id: str, *, private: bool) -> Repo:
        repo = self.repos[kind, repo_id] = Repo(kind, repo_id, private)
        repo.add_commit("main", Commit(None, {".gitattributes": self.add_file(GIT_ATTRIBUTES)}, "initial commit"))
        return repo

    def delete(self, kind: str, repo_id: str) -> None:
        if self.repos.pop((kind, repo_id), None) is None:
            raise HubError(404, "Repository not found", "RepoNotFound")

    def add_file(self, content: bytes) -> File:
        file = File(git_oid(content), len(content))
        (self.blobs / file.blob).write_bytes(content)
        return file

    def add_lfs(self, sha256: str, content: bytes) -> None:
        if hashlib.sha256(content).hexdigest() != sha256:
            raise HubError(400, f"The content does not have the sha256 {sha256}")
        (self.blobs / sha256).write_bytes(content)

    def lfs_size(self, sha256: str) -> int | None:
        """Bytes of an uploaded LFS object, None if it is not here."""
        path = self.blobs / sha256
        return path.stat().st_size if path.exists() else None

    def commit(self, repo: Repo, branch: str, header: dict[str, Any], operations: Iterable[dict[str, Any]]) -> str:
        """Apply all operations to the head of `branch`, or none: an error leaves the branch as it was."""
        if branch not in repo.branches:
            raise HubError(404, f"Invalid rev id: {branch}", "RevisionNotFound")
        head = repo.branches[branch]
        if not head.startswith(header.get("parentCommit") or ""):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        files = dict(repo.commits[head].files)
        for operation in operations:
            self._apply(files, operation["key"], operation["value"])
        return repo.add_commit(branch, Commit(head, files, header["summary"], header.get("description", "")))

    def _apply(self, files: dict[str, File], key: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if key == "file":
            files[path] = self.add_file(base64.b64decode(value["content"]))
        elif key == "lfsFile":
            size = self.lfs_size(value["oid"])
            if size is None:
                raise HubError(400, f"LFS pointer pointed to a file that does not exist: {value['oid']}")
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{value['oid']}\nsize {size}\n"
            files[path] = File(git_oid(pointer.encode()), size, value["oid"])
        elif key == "deletedFile":
            if files.pop(path, None) is None:
                raise HubError(404, f"A file with the name {path} does not exist", "EntryNotFound")
        elif key == "deletedFolder":
            for inside in [p for p in files if p.startswith(path.rstrip("/") + "/")]:
                del files[inside]
        else:
            raise HubError(400, f"Unknown operation {key}")
