"""Sort keys of documents: noise that is a function of (seed, stream, document id) and of nothing else.

A draw without replacement in proportion to weights is a sort: key = log weight + standard Gumbel noise, largest first
(https://huggingface.co/papers/1903.06059, section 2). With noise from a stable hash of the id the draw is the same for
any order of files, number of tasks and machine, and the first documents of a small draw are the first of a large one.

    id -> 64-bit BLAKE2b -> mixed with two words of (seed, stream) -> u in (0, 1) -> -ln(-ln u)

The logarithm is our own (`exact_log`), for numpy's differs in a last bit between processors: the document at the
threshold would be kept by one node of a cluster and dropped by the next. A key costs 45 ns on one core, and 20 ns
where numba is installed (`keys_fast`: the same bits), by recipes/benchmarks/selection_keys.py.

Keys are compared as unsigned integers in the same order as the floats (`sortable`), so that a threshold goes through
JSON exactly and can be found digit by digit (`search`).
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from hf_curation.sampling.exact_log import exact_log

Number = TypeVar("Number", np.uint64, np.float64)

HASH_VERSION: Final = "blake2b-64/1"
"""Goes into plans: another value means other documents for the same seed."""

DEFAULT_TEMPERATURE: Final = 0.03
"""Nats per n-gram; why: `importance`."""

_MULTIPLIERS: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS: Final = (np.uint64(30), np.uint64(27), np.uint64(31))
_TOP_BIT: Final = np.uint64(1 << 63)
_MAX_SCORE: Final = 1e300
_PLAIN_KEYS: Final = 1 << 25  # of a process, before numba is loaded: they take as long as loading
_BLOCK: Final = 1 << 14  # temporaries of a block stay in the cache: 3 times as fast as whole arrays


def stable_hash64(ids: Iterable[str]) -> NDArray[np.uint64]:
    """Return the 64-bit BLAKE2b of every id in UTF-8 (lone surrogates pass), read as a big-endian integer.

    The same on every machine and version; about 1 us an id, so keep it beside the id when it is needed again.

    >>> [hex(h) for h in stable_hash64(["", "page/0"]).tolist()]
    ['0xe4a6a0577479b2b4', '0xf8281b031d7a3d5b']
    """
    digests = b"".join(blake2b(i.encode("utf-8", "surrogatepass"), digest_size=8).digest() for i in ids)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64)


def mixed(hashes: NDArray[np.uint64], seed: int, stream: str = "") -> NDArray[np.uint64]:
    """Return 64 random bits for every hash: a bijection of 64-bit words, chosen by seed and stream.

    Two rounds of the splitmix64 finaliser m: `m(m(hash ^ a) + b)`, where a and b are the two halves, big-endian, of
    the 16-byte BLAKE2b of the seed in decimal, a zero byte and the stream's name. After one round, draws with two
    seeds would be tied by the difference of their words.
    """
    return _in_blocks(partial(_mix, words=_stream_words(seed, stream)), hashes, np.uint64)


def uniforms(hashes: NDArray[np.uint64], seed: int, stream: str = "") -> NDArray[np.float64]:
    """Return a number of the open interval (0, 1) for every hash: odd multiples of 2^-53, never 0 or 1."""
    return _uniform(mixed(hashes, seed, stream))


def gumbel_keys(
    log_weights: NDArray[np.float64],
    hashes: NDArray[np.uint64],
    seed: int,
    *,
    temperature: float = DEFAULT_TEMPERATURE,
    clip: float | None = None,
    stream: str = "",
) -> NDArray[np.float64]:
    """Return `clip(s / temperature) + G(seed, stream, hash)`; the k largest are a draw of k without replacement.

    Args:
        log_weights: float64[N], s in nats, finite; weights of any size do not overflow, for nothing is exponentiated.
        hashes: uint64[N], of `stable_hash64`.
        seed: any integer.
        temperature: above 0, in the unit of s. Small: the best documents; large: a random sample.
        clip: scaled scores are held within plus and minus this many nats; None for no limit.
        stream: draws in differently named streams are independent.
    """
    bound = _MAX_SCORE if clip is None else clip
    with np.errstate(over="ignore"):
        scaled = np.clip(log_weights / temperature, -bound, bound)
    return np.asarray(scaled + _noise(hashes, _stream_words(seed, stream)), dtype=np.float64)


def sortable(keys: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Return unsigned integers in the order of the floats; -0.0 and 0.0 are one.

    >>> sortable(np.array([-1.5, 0.0, 2.0])).argsort().tolist()
    [0, 1, 2]
    """
    bits = (keys + 0.0).view(np.uint64)
    return np.where(bits >= _TOP_BIT, ~bits, bits | _TOP_BIT)


@dataclass(slots=True)
class _Noise:
    """Standard Gumbel noise, compiled as soon as it pays."""

    num_plain: int = 0
    compiled: Callable[[NDArray[np.uint64], np.uint64, np.uint64], NDArray[np.float64]] | None = None

    def __call__(self, hashes: NDArray[np.uint64], words: tuple[np.uint64, np.uint64]) -> NDArray[np.float64]:
        if self.compiled is None and self.num_plain > _PLAIN_KEYS:
            self.compiled = _compiled_noise()
        if self.compiled is not None:
            return self.compiled(hashes, *words)
        self.num_plain += len(hashes)
        return plain_noise(hashes, *words)


_noise = _Noise()


def plain_noise(hashes: NDArray[np.uint64], first: np.uint64, second: np.uint64) -> NDArray[np.float64]:
    """Return standard Gumbel noise, float64[N], for hashes and the two words of a stream."""

    def noise(part: NDArray[np.uint64]) -> NDArray[np.float64]:
        return -exact_log(-exact_log(_uniform(_mix(part, (first, second)))))

    return _in_blocks(noise, hashes, np.float64)


def _compiled_noise() -> Callable[[NDArray[np.uint64], np.uint64, np.uint64], NDArray[np.float64]]:
    try:
        from hf_curation.sampling.keys_fast import compiled_noise  # noqa: PLC0415 - numba takes 0.3 s
    except ImportError:
        logging.getLogger(__name__).info("numba is not installed: keys of documents take twice the time")
        return plain_noise
    return compiled_noise


def _stream_words(seed: int, stream: str) -> tuple[np.uint64, np.uint64]:
    words = blake2b(f"{seed}\0{stream}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return np.uint64(int.from_bytes(words[:8], "big")), np.uint64(int.from_bytes(words[8:], "big"))


def _mix(hashes: NDArray[np.uint64], words: tuple[np.uint64, np.uint64]) -> NDArray[np.uint64]:
    return _finalise(_finalise(hashes ^ words[0]) + words[1])


def _uniform(bits: NDArray[np.uint64]) -> NDArray[np.float64]:
    return ((bits >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52


def _finalise(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    z = (z ^ (z >> _SHIFTS[0])) * _MULTIPLIERS[0]
    z = (z ^ (z >> _SHIFTS[1])) * _MULTIPLIERS[1]
    return z ^ (z >> _SHIFTS[2])


def _in_blocks(
    function: Callable[[NDArray[np.uint64]], NDArray[Number]], values: NDArray[np.uint64], dtype: type[Number]
) -> NDArray[Number]:
    out = np.empty(len(values), dtype=dtype)
    for start in range(0, len(values), _BLOCK):
        out[start : start + _BLOCK] = function(values[start : start + _BLOCK])
    return out
