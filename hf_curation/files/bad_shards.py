"""Shards that cannot be decoded, left out on request: which ones, found by their content before anything runs.

Without `--allow-bad-shards` a bad shard fails the tasks that read it. With it, the launcher reads every file through
once, and up to so many that cannot be decoded are left out.

- A shard is left out as a whole, the rows before the damage too. How many of them come through depends on the format,
  and on which task reads which part: the output would depend on the number of tasks, and a shard that is fetched again
  could not be added without doubling what was taken from it.
- What is left out follows from the bytes alone, so it is the same for every task, pass, number of workers and launch.
  A file that cannot be got at (permission, network, disk) is no bad shard but an error, because that may pass.
- The plan stays that of all files, dealt as if all were sound. So a run that failed over a bad shard goes on with the
  option: what is finished stays, but for tasks that have read a part of the shard, and what was made of theirs.
- More bad shards than are allowed: none is left out, and their tasks fail, as without the option.

`OUTPUT/bad_shards.json` names them, and spares the next launch the reading. A processor reads through 180 MB of text a
second in gzip, 450 in zstd, 780 in Parquet, 2,300 as plain lines; all processors of the launcher take part.
"""

import io
import logging
from collections.abc import Callable, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from hf_curation.files.atomic import write_json
from hf_curation.files.left_out import listed
from hf_curation.files.manifest import Manifest
from hf_curation.files.plans import BAD_SHARDS, SCHEMA_VERSION, read_json
from hf_curation.files.reading import ShardError, is_parquet, is_warc, open_lines, open_parquet, read_lines, read_rows
from hf_curation.files.sources import BadShard, Source, SourceFile, fingerprint, limit_records
from hf_curation.files.warc import read_captures

logger = logging.getLogger(__name__)

_BUFFER_BYTES: Final = 2**20


def prepare_source(
    found: Source, output: Path, *, allow_bad_shards: int = 0, limit: int | None = None, text_key: str = "text"
) -> Source:
    """Return the input of a run: cut to its limit, fingerprinted, and with a mark at each file that is left out.

    Args:
        found: What `find_source` listed.
        output: The run's folder, where an earlier launch may have written down which shards are bad.
        allow_bad_shards: How many may be left out; 0 looks at none.
        limit: The most records; those of shards that are left out do not count.
        text_key: The column of the text, without which Parquet is a bad shard.

    Raises:
        ValueError: if every shard is bad, or `limit` is below 1.
        ShardError: if shards are bad before the limit, and none or not as many are allowed.
        OSError: if a file cannot be got at.
    """
    if not allow_bad_shards:
        return fingerprint(found if limit is None else limit_records(found, limit))
    inspect = partial(inspect_shard, found, text_key=text_key)
    if limit is None:
        source = fingerprint(found)
        written = _as_written(source, output, text_key)
        source = _mark(source, inspect, source.files if written is None else written)
    else:
        source = fingerprint(limit_records(found, limit, inspect=inspect))
    bad = source.bad_shards
    if len(bad) == len(source.files):
        raise ValueError(f"every shard of {found.root} is bad: {_told(bad)}; there is nothing to read")
    if len(bad) > allow_bad_shards:
        logger.warning(
            "%d shards cannot be read, and %d may be left out, so their tasks will fail: %s",
            *(len(bad), allow_bad_shards, _told(bad)),
        )
        return fingerprint(found if limit is None else limit_records(found, limit))
    for name, shard in bad.items():
        logger.warning("%s is left out (%s): %s", name, shard.reason, shard.detail)
    return replace(source, is_inspected=True)


def inspect_shard(source: Source, file: SourceFile, *, text_key: str = "text") -> BadShard | None:
    """Read a file through, up to its limit; return why it cannot be decoded, None if it can.

    A shard is only bad when two readings find so: a store may cut a transfer short without a word.

    Raises:
        OSError: if it cannot be got at.
    """
    first = _read_through(source, file, text_key)
    return first if first is None else _read_through(source, file, text_key)


def settle_bad_shards(output: Path, source: Source, *, text_key: str = "text", passes: Sequence[str] = ("",)) -> None:
    """Write down what a run leaves out, and have tasks run again that have read of it before.

    Call it when the folder is claimed, and before what is finished is looked for.

    Args:
        output: The run's folder.
        source: From `prepare_source`.
        text_key: As there.
        passes: The passes that read the source or build on it, in order, by the folders of their manifests.

    Raises:
        ValueError: if an earlier launch has left out shards that this one is to read.
    """
    bad = source.bad_shards
    if before := sorted(read_bad_shards(output).keys() - bad.keys()):
        raise ValueError(
            f"{output} was begun without the shards {', '.join(before[:3])}, and this launch would read them: give "
            f"--allow-bad-shards {len(before) + len(bad)} if they still cannot be decoded, or --overwrite"
        )
    if source.is_inspected:
        shards = [
            {"name": file.name, "num_bytes": file.num_bytes, "digest": file.digest, **asdict(file.bad)}
            for file in source.files
            if file.bad
        ]
        facts = {"schema_version": SCHEMA_VERSION, "input_fingerprint": source.fingerprint, "text_key": text_key}
        write_json(output / BAD_SHARDS, facts | {"shards": shards})
    _forget_readers(output, bad.keys(), passes)


def read_bad_shards(output: Path) -> dict[str, str]:
    """Return name -> reason of the shards that a run leaves out."""
    path = output / BAD_SHARDS
    shards = read_json(path)["shards"] if path.exists() else []
    return {shard["name"]: shard["reason"] for shard in shards}


def _as_written(source: Source, output: Path, text_key: str) -> list[SourceFile] | None:
    """Return the files that an earlier launch found bad; None if there was none, or it was another source."""
    path = output / BAD_SHARDS
    if not path.exists():
        return None
    facts = read_json(path)
    if (facts["input_fingerprint"], facts["text_key"]) != (source.fingerprint, text_key):
        return None
    names = {shard["name"] for shard in facts["shards"]}
    return [file for file in source.files if file.name in names]


def _mark(source: Source, inspect: Callable[[SourceFile], BadShard | None], suspects: Sequence[SourceFile]) -> Source:
    """Return the source with a mark at each of the suspects that is bad.

    What was bad before is looked at again: a large file that was mended may have the digest that it had.
    """
    with ThreadPoolExecutor() as pool:  # Arrow decodes without holding the interpreter's lock
        found = dict(zip((file.name for file in suspects), pool.map(inspect, suspects), strict=True))
    return replace(source, files=tuple(replace(file, bad=found.get(file.name)) for file in source.files))


def _told(bad: dict[str, BadShard]) -> str:
    return listed({name: shard.reason for name, shard in bad.items()}, most=5)


def _read_through(source: Source, file: SourceFile, text_key: str) -> BadShard | None:
    with source.open(file) as opened:
        raw = _Watched(opened)
        try:
            _decode(io.BufferedReader(raw, _BUFFER_BYTES), file, text_key)
        except ShardError as error:
            if raw.error is not None:
                raise OSError(f"{file.name} could not be read to its end: {raw.error}") from raw.error
            return BadShard(error.reason, str(error).removeprefix(f"{file.name}: "))
    return None


def _decode(raw: BinaryIO, file: SourceFile, text_key: str) -> None:
    """Decode what tasks will decode, with the functions by which they do."""
    if is_parquet(file.name):
        parquet = open_parquet(raw, file.name)
        if text_key not in parquet.schema_arrow.names:
            columns = ", ".join(parquet.schema_arrow.names)
            raise ShardError(f"{file.name}: has no column {text_key!r}, but {columns}", "no_text_column")
        num_rows = parquet.metadata.num_rows
        stop = num_rows if file.stop is None else min(file.stop, num_rows)
        for _ in read_rows(parquet, file.name, start=0, stop=stop):
            pass
    elif is_warc(file.name):
        for capture in read_captures(open_lines(raw, file.name), file.name):
            if file.stop is not None and capture.index >= file.stop:
                return
    else:
        for index, _, _ in read_lines(open_lines(raw, file.name), file.name):
            if file.stop is not None and index >= file.stop:
                return


class _Watched(io.RawIOBase):
    """A file that remembers whether reading it failed: what could not be read is not what could not be decoded."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__()
        self.error: Exception | None = None
        self._raw = raw

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any buffer; the stubs' Buffer is Python 3.12
        try:
            return int(self._raw.readinto(buffer))  # type: ignore[attr-defined]
        except Exception as error:
            self.error = error
            raise

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._raw.seek(offset, whence)

    def tell(self) -> int:
        return self._raw.tell()


def _forget_readers(output: Path, names: Set[str], passes: Sequence[str]) -> None:
    """Remove what tasks published that have read a part of a shard which is left out, and what was built on that."""
    stale: list[tuple[Path, Manifest]] = []
    for name in passes if names else ():
        paths = sorted((output / "manifests" / name).glob("*.json"))
        is_built_on_stale = bool(stale)
        manifests = [(path, Manifest.read(path)) for path in paths]
        stale += [pair for pair in manifests if is_built_on_stale or _has_read(pair[1], names)]
    # The last pass first, a manifest behind its files: whoever is killed on the way finds the rest stale again.
    for path, manifest in reversed(stale):
        for file in manifest.outputs:
            (output / file.name).unlink(missing_ok=True)
        path.unlink()


def _has_read(manifest: Manifest, names: Set[str]) -> bool:
    """Return whether a task has read a part of one of these files; a span of records stands in [] behind its name."""
    return any(
        not share.left_out and not names.isdisjoint({share.name, share.name.rpartition("[")[0]})
        for share in manifest.inputs
    )
