"""What a run reads: a list of files, made once by the launcher and the same for every task.

A source is a file, a folder, a pattern, or any of these on another file system that fsspec knows
(`hf://datasets/NAME@REVISION/...`, `s3://...`). On the Hub it is read at one commit (`pins`), whatever is pushed
meanwhile, and with patience. A folder that a run of ours wrote is read by its manifests, never by a listing:
a file that an unfinished attempt left there is no data.

The fingerprint of a source changes when a file is added, removed, renamed or rewritten (`digests`).
"""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from hf_curation.files.addresses import check_address
from hf_curation.files.atomic import canonical_json
from hf_curation.files.digests import digest_local, digest_stream, tag_of
from hf_curation.files.pins import pin_url
from hf_curation.files.reading import (
    ShardError,
    is_parquet,
    is_readable,
    is_warc,
    open_lines,
    open_parquet,
    read_lines,
)
from hf_curation.files.warc import read_captures

_MAGIC_RE: Final = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class BadShard:
    """Why a file is left out."""

    reason: str
    """A key of `BAD_SHARD_REASONS`."""
    detail: str
    """What the decoder said, in one line."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source."""

    name: str
    """Relative to the root, with `/`; part of the ids of documents that bring none."""
    num_bytes: int
    digest: str = ""
    """`sha256:...`, `blocks:...` (of a large local file) or `tag:...` (remote); empty before `fingerprint`."""
    stop: int | None = None
    """Read only records whose index is below; None: all."""
    bad: BadShard | None = None
    """Left out, for this reason; see `bad_shards`."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where documents come from. Small and picklable: files are opened by name where they are read."""

    root: str
    """The folder that names are relative to: an absolute path, or a URL."""
    files: tuple[SourceFile, ...]
    """Sorted by name."""
    skipped: tuple[str, ...] = ()
    """Names of files that are no data by their suffix."""
    is_inspected: bool = False
    """Whether every file was read through, and the bad ones are marked."""

    @property
    def bad_shards(self) -> dict[str, BadShard]:
        """Name -> why, of the files that are left out."""
        return {file.name: file.bad for file in self.files if file.bad}

    @property
    def is_local(self) -> bool:
        """Whether the files lie on this machine's file systems."""
        return "://" not in self.root

    @property
    def num_bytes(self) -> int:
        """Bytes of all files, compressed as they are."""
        return sum(file.num_bytes for file in self.files)

    @property
    def fingerprint(self) -> str:
        """Hex digest over names, sizes, digests and limits of the files; root and marks do not count."""
        rows = [[file.name, file.num_bytes, file.digest, file.stop] for file in self.files]
        return sha256(canonical_json(rows)).hexdigest()

    def open(self, file: SourceFile) -> BinaryIO:
        """Open one file for reading, as it lies there."""
        if self.is_local:
            return Path(self.root, file.name).open("rb")
        from fsspec.core import url_to_fs  # noqa: PLC0415

        from hf_curation.hub.errors import patiently  # noqa: PLC0415

        def open_remote() -> BinaryIO:
            fs, path = url_to_fs(f"{self.root}/{file.name}")
            stream: BinaryIO = fs.open(path, "rb")
            return stream

        return patiently(open_remote, self.root)


def find_source(path: str | os.PathLike[str]) -> Source:
    """List what `path` holds.

    Raises:
        ValueError: if nothing is there, or nothing that can be read as documents, or the address carries a secret.
        OSError: if the store does not answer.
    """
    url = str(path)
    if "://" not in url:
        return _find(os.path.abspath(os.path.expanduser(url)), url)
    check_address(url)
    from hf_curation.hub.errors import one_line_errors, patiently  # noqa: PLC0415

    pinned = pin_url(url)
    try:
        with one_line_errors(url):
            return patiently(lambda: _find(pinned, url), url)
    except (ValueError, OSError, ImportError):
        raise
    except Exception as error:  # every store has its client, and every client its own errors
        raise OSError(f"{url} cannot be listed ({type(error).__name__}: {error})") from error


def _find(url: str, path: str) -> Source:
    from fsspec.core import url_to_fs  # noqa: PLC0415

    fs, stripped = url_to_fs(url)
    if _MAGIC_RE.search(stripped) and not fs.exists(stripped):
        found = fs.glob(stripped, detail=True)
        base = _MAGIC_RE.split(stripped, maxsplit=1)[0].rpartition("/")[0]
        return _source(fs, base, found, url, explicit=False)
    if not fs.exists(stripped):
        raise ValueError(f"there is nothing at {path}; give a file, a folder, a pattern or hf://datasets/NAME/FOLDER")
    if not fs.isdir(stripped):
        return _source(fs, stripped.rpartition("/")[0], {stripped: fs.info(stripped)}, url, explicit=True)
    names = _names_of_run(fs, stripped, url)
    found = fs.find(stripped, detail=True)
    if names is not None:
        found = _only(found, [f"{stripped}/{name}" for name in names], url)
    return _source(fs, stripped, found, url, explicit=False)


def fingerprint(source: Source) -> Source:
    """Return the source with the digest of every file filled in."""
    if source.is_local:
        digests = [digest_local(Path(source.root, file.name)) for file in source.files]
    else:
        from hf_curation.hub.errors import patiently  # noqa: PLC0415

        digests = [patiently(partial(_digest_remote, source, file), source.root) for file in source.files]
    return replace(source, files=tuple(replace(file, digest=d) for file, d in zip(source.files, digests, strict=True)))


def limit_records(
    source: Source, limit: int, *, inspect: Callable[[SourceFile], BadShard | None] | None = None
) -> Source:
    """Return the source cut to its first `limit` records, in the order of names and lines.

    The cut is the same for any number of tasks, which a limit per task is not. Lines are counted up to the limit;
    blank ones do not count, nor do those of a file in which `inspect` finds a fault; that is marked.

    Raises:
        ValueError: if `limit` is below 1.
        ShardError: if a file is damaged before the limit is reached, and nobody inspects.
    """
    if limit < 1:
        raise ValueError(f"the limit must be at least 1 document, got {limit}")
    files: list[SourceFile] = []
    for file in source.files:
        if file.bad:
            files.append(file)
            continue
        try:
            stop, left = _count_records(source, file, limit)
        except ShardError:
            if inspect is None or (bad := inspect(file)) is None:
                raise
            stop = None
        else:
            bad = inspect(replace(file, stop=stop)) if inspect else None
        files.append(replace(file, stop=stop, bad=bad))
        if bad is None:
            limit = left
        if limit == 0:
            break
    return replace(source, files=tuple(files))


def _count_records(source: Source, file: SourceFile, limit: int) -> tuple[int | None, int]:
    """Return where to stop in this file (None: at its end) and what then is left of the limit."""
    with source.open(file) as raw:
        if is_parquet(file.name):
            rows = open_parquet(raw, file.name).metadata.num_rows
            return (limit, 0) if rows >= limit else (None, limit - rows)
        if is_warc(file.name):
            num_captures = sum(1 for _ in islice(read_captures(open_lines(raw, file.name), file.name), limit))
            return (limit, 0) if num_captures == limit else (None, limit - num_captures)
        for index, line, _ in read_lines(open_lines(raw, file.name), file.name):
            limit -= bool(line.strip())
            if limit == 0:
                return index + 1, 0
    return None, limit


def _source(fs: Any, base: str, found: dict[str, Any], url: str, *, explicit: bool) -> Source:  # noqa: ANN401
    """Build a source from a listing; `base` is the folder, stripped of the protocol, that names are relative to."""
    files: list[SourceFile] = []
    skipped: list[str] = []
    for path, info in found.items():
        name = path.removeprefix(base).lstrip("/")
        if not _is_file(path, info) or any(part.startswith((".", "_")) for part in name.split("/")[:-1]):
            continue
        if explicit or (is_readable(name) and not Path(name).name.startswith((".", "_"))):
            files.append(SourceFile(name, int(info.get("size") or 0)))
        else:
            skipped.append(name)
    if not files:
        seen = f"; it holds {', '.join(sorted(skipped)[:5])}" if skipped else ""
        raise ValueError(f"no .jsonl, .jsonl.gz, .jsonl.zst, .parquet or .warc.gz file at {url}{seen}")
    root = base if "://" not in url else str(fs.unstrip_protocol(base))
    return Source(root, tuple(sorted(files, key=lambda file: file.name)), tuple(sorted(skipped)))


def _is_file(path: str, info: dict[str, Any]) -> bool:
    """Return whether a listed path is a file; a listing calls symbolic links neither file nor folder.

    Raises:
        ValueError: for a link to a folder, whose files the listing leaves out, or to nothing.
    """
    if not info.get("islink"):
        return bool(info["type"] == "file")
    if os.path.isdir(path):
        raise ValueError(f"{path} is a link to a folder, and links to folders are not followed; name that folder")
    if not os.path.isfile(path):
        raise ValueError(f"{path} is a link that leads nowhere; mend or remove it")
    return True


def _names_of_run(fs: Any, folder: str, url: str) -> list[str] | None:  # noqa: ANN401
    """Return the data files that the manifests in a folder list, or None where no run of ours wrote the folder."""
    if not fs.exists(f"{folder}/plan.json"):
        return None
    manifests = [orjson.loads(fs.cat_file(path)) for path in sorted(fs.glob(f"{folder}/manifests/*.json"))]
    world_size = orjson.loads(fs.cat_file(f"{folder}/plan.json"))["world_size"]
    if len(manifests) != world_size:
        raise ValueError(f"{url} holds {len(manifests)} of {world_size} finished tasks; finish that run first")
    return [
        output["name"]
        for manifest in manifests
        for output in manifest["outputs"]
        if output["name"].startswith("data/")
    ]


def _only(found: dict[str, Any], paths: Sequence[str], url: str) -> dict[str, Any]:
    if missing := [path for path in paths if path not in found]:
        raise ValueError(f"{url}: {Path(missing[0]).name} is in a manifest and not in the folder")
    return {path: found[path] for path in paths}


def _digest_remote(source: Source, file: SourceFile) -> str:
    from fsspec.core import url_to_fs  # noqa: PLC0415

    fs, path = url_to_fs(f"{source.root}/{file.name}")
    if tag := tag_of(fs.info(path)):
        return tag
    with source.open(file) as stream:
        return digest_stream(stream)
