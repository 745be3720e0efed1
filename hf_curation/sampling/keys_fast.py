# mypy: disable-error-code="untyped-decorator,no-any-return"
"""Gumbel noise in compiled code, twice as fast as in numpy and equal to the bit.

The same additions, multiplications and divisions in the same order; numba without `fastmath` neither joins nor
reorders them. Mixing and logarithm are two loops over a block, so that the compiler can use vectors for each.
"""

from typing import Any, Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

from hf_curation.sampling.exact_log import ATANH, LN2_HIGH, LN2_LOW

_BLOCK: Final = 2048
_MANTISSA: Final = np.uint64((1 << 52) - 1)
_SQRT_HALF: Final = np.uint64(0x6A09E667F3BCD)  # the mantissa's bits of sqrt(1/2)
_HALF: Final = np.uint64(0x3FE << 52)
_ONE: Final = np.uint64(0x3FF << 52)


def compiled_noise(hashes: NDArray[np.uint64], first: np.uint64, second: np.uint64) -> NDArray[np.float64]:
    """Return standard Gumbel noise, float64[N]; see `hf_curation.sampling.keys.plain_noise`."""
    noise = np.empty(len(hashes), dtype=np.float64)
    _fill(np.ascontiguousarray(hashes), first, second, noise)
    return noise


@njit(cache=True, nogil=True)
def _fill(hashes: Any, first: Any, second: Any, noise: Any) -> None:  # noqa: ANN401
    for start in range(0, hashes.size, _BLOCK):
        block = noise[start : start + _BLOCK]
        for i in range(block.size):
            bits = _finalise(_finalise(hashes[start + i] ^ first) + second)
            block[i] = (np.float64(bits >> np.uint64(12)) + 0.5) * 2.0**-52
        _to_minus_log(block)
        _to_minus_log(block)


@njit(cache=True, nogil=True, inline="always")
def _finalise(z: Any) -> Any:  # noqa: ANN401
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True, nogil=True)
def _to_minus_log(values: Any) -> None:  # noqa: ANN401
    """Replace positive normal numbers by minus their logarithms."""
    words = values.view(np.uint64)
    for i in range(values.size):
        exponent = np.int64(words[i] >> np.uint64(52)) - 1022
        mantissa = words[i] & _MANTISSA
        is_low = mantissa < _SQRT_HALF
        powers = np.float64(exponent - 1 if is_low else exponent)
        words[i] = mantissa | (_ONE if is_low else _HALF)
        less_one = values[i] - 1.0
        t = less_one / (less_one + 2.0)
        square = t * t
        series = ATANH[0]
        for k in range(1, len(ATANH)):
            series = series * square + ATANH[k]
        values[i] = -(powers * LN2_HIGH + (2.0 * t + (t * square * series + powers * LN2_LOW)))
