"""The hash of our own features, defined exactly: `mix64`, version 1.

All numbers are unsigned, modulo 2^64.

    A = 0x9E3779B97F4A7C15        C = 0xD6E8FEB86659FD93
    mix(x):         x ^= x >> 32;  x *= C;  x ^= x >> 29
    word(bytes):    h = A * (number of bytes + 1); for every 8 bytes b, read little-endian, the last ones padded with
                    zeros:  h = mix(h ^ b);  last of all  h = mix(h)         bytes: the UTF-8 of the token
    token id(i):    mix(mix(A * (i + 1)))
    n-gram:         g = hash of the first token; for every further token t:  g = mix(g * A + t)
    bucket(h, m):   ((h >> 32) * m) >> 32                           m: the number of buckets, below 2^32

It is the same on every machine, in every process and for any number of tasks, which Python's own `hash` is not
(RedPajama-V2's published weights hold for one PYTHONHASHSEED only). SHA-256, which DSIR takes, is as stable and costs
three quarters of DSIR's time; one multiplication for eight bytes and a multiply-shift instead of a division cost next
to nothing, and buckets of real words fill evenly (tests/hf_curation/sampling/test_mix64.py measures it). It is no
defence against a page that is written to collide. Rejected: one multiplication for short words, and 32 for both
shifts, which cancel where two mixes meet: decimal numbers then fill 1,000 buckets with a chi-square of 550.

What is here is the slow twin in Python's integers, and a numpy form; `kernels` has the fast one. `MIX64_VERSION` is
part of every plan and model: change the arithmetic, change the version.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

MIX64_VERSION: Final = "mix64-1"
MULTIPLIER_A: Final = 0x9E3779B97F4A7C15
MULTIPLIER_C: Final = 0xD6E8FEB86659FD93
_MASK: Final = (1 << 64) - 1

Hashes = np.ndarray[Any, np.dtype[np.uint64]]
Buckets = np.ndarray[Any, np.dtype[np.int64]]


def mix(x: int) -> int:
    """Return the finalizer of `x`, a bijection of the 64-bit numbers."""
    x ^= x >> 32
    x = x * MULTIPLIER_C & _MASK
    return x ^ (x >> 29)


def word_hash(utf8: bytes) -> int:
    """Return the hash of a token given by its UTF-8 bytes."""
    h = MULTIPLIER_A * (len(utf8) + 1) & _MASK
    for start in range(0, len(utf8), 8):
        h = mix(h ^ int.from_bytes(utf8[start : start + 8], "little"))
    return mix(h)


def id_hash(token_id: int) -> int:
    """Return the hash of a token given by its id in a vocabulary."""
    return mix(mix(MULTIPLIER_A * (token_id + 1) & _MASK))


def ngram_hash(token_hashes: Sequence[int]) -> int:
    """Return the hash of the n-gram of these tokens, one or more; of one token it is the token's own."""
    g = token_hashes[0]
    for t in token_hashes[1:]:
        g = mix((g * MULTIPLIER_A + t) & _MASK)
    return g


def bucket_of(h: int, num_buckets: int) -> int:
    """Return the bucket of a hash, in [0, num_buckets)."""
    return (h >> 32) * num_buckets >> 32


def combine_hashes(prefix_N: Hashes, token_N: Hashes) -> Hashes:
    """Return the hashes of n-grams one token longer: `prefix_N` followed by `token_N`."""
    with np.errstate(over="ignore"):
        return _mix(prefix_N * np.uint64(MULTIPLIER_A) + token_N)


def id_hashes(ids_N: np.ndarray[Any, np.dtype[np.uint32]]) -> Hashes:
    """Return `id_hash` of every id."""
    with np.errstate(over="ignore"):
        return _mix(_mix((ids_N.astype(np.uint64) + np.uint64(1)) * np.uint64(MULTIPLIER_A)))


def buckets_of(hashes_N: Hashes, num_buckets: int) -> Buckets:
    """Return `bucket_of` every hash."""
    return ((hashes_N >> np.uint64(32)) * np.uint64(num_buckets) >> np.uint64(32)).astype(np.int64)


def _mix(hashes_N: Hashes) -> Hashes:
    x = hashes_N ^ (hashes_N >> np.uint64(32))
    x *= np.uint64(MULTIPLIER_C)
    return np.asarray(x ^ (x >> np.uint64(29)))
