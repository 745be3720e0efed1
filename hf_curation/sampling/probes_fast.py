# mypy: disable-error-code="untyped-decorator,no-any-return"
"""Character n-grams in compiled code, from UTF-8 bytes; twin of `CharNgrams._count_numpy`."""

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from hf_curation.sampling.characters import NUM_FOLDED, SPACE, Codes, Counts, character_table
from hf_curation.sampling.leakage_fast import decode, mix_word
from hf_curation.sampling.leakage_words import BASE
from hf_curation.sampling.utf8 import utf8_of

_BASE, _U0, _U1, _U32 = np.uint64(BASE), np.uint64(0), np.uint64(1), np.uint64(32)


def count_fast(texts: Any, n: int, counts_B: Counts) -> None:  # noqa: ANN401 - Sequence[str] or Arrow
    """Add the n-grams of `texts` to `counts_B`, as `CharNgrams.count`."""
    gone = np.uint64(pow(BASE, n, 2**64))
    for data, offsets in utf8_of(texts):
        _count(data, offsets, character_table(), n, gone, counts_B)


@numba.njit(cache=True, nogil=True)
def _count(
    data: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    folded: Codes,
    n: int,
    factor: np.uint64,
    counts_B: Counts,
) -> None:
    ring = np.zeros(32, np.uint64)
    num_buckets = np.uint64(counts_B.size)
    for text in range(offsets.size - 1):
        at, num_read, rolled, was_space = offsets[text], 0, _U0, False
        while at < offsets[text + 1]:
            code, width = decode(data, at)
            at += width
            symbol = folded[code] if code < NUM_FOLDED else np.uint32(code)
            is_space = symbol == SPACE
            if is_space and was_space:
                continue
            was_space = is_space
            value = np.uint64(symbol) + _U1
            rolled = rolled * _BASE + value
            if num_read >= n:
                rolled -= ring[(num_read - n) & 31] * factor
            ring[num_read & 31] = value
            num_read += 1
            if num_read >= n:
                counts_B[((mix_word(rolled) >> _U32) * num_buckets) >> _U32] += 1
