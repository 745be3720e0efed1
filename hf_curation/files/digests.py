"""What an input file is known by: bytes that another file does not share, or a store's own word for them.

A remote file is known by the store's tag (blob id, ETag), a local one by SHA-256. Of a local file over 64 MiB only 64
blocks of 64 KiB spread over it and its size are hashed, 4 MiB instead of all of it, which an edit of a few bytes in
place may escape.
"""

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

_WHOLE_BYTES: Final = 64 * 2**20
_BLOCK_BYTES: Final = 64 * 2**10
_NUM_BLOCKS: Final = 64
_REMOTE_TAGS: Final = ("blob_id", "ETag", "etag", "md5Hash", "checksum")


def digest_local(path: Path) -> str:
    """Return `sha256:...` of a file, of a large one `blocks:...`."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size <= _WHOLE_BYTES:
            file.seek(0)
            return digest_stream(file)
        digest = sha256(str(size).encode())
        for i in range(_NUM_BLOCKS):
            file.seek((size - _BLOCK_BYTES) * i // (_NUM_BLOCKS - 1))
            digest.update(file.read(_BLOCK_BYTES))
        return f"blocks:{digest.hexdigest()}"


def digest_stream(stream: BinaryIO) -> str:
    """Return `sha256:...` of the bytes from here to the end."""
    digest = sha256()
    while block := stream.read(2**20):
        digest.update(block)
    return f"sha256:{digest.hexdigest()}"


def tag_of(info: Mapping[str, Any]) -> str | None:
    """Return `tag:...` by which a store tells one content from another; None where it has no such thing."""
    return next((f"tag:{info[key]}" for key in _REMOTE_TAGS if info.get(key)), None)
