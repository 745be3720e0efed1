"""How kernels are compiled: once a machine, without fastmath (sums must be the plain ones), and off the GIL."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function at its first call for the types of its arguments, and keep the result on disk if we can."""
    try:
        return cast("Function", njit(cache=True, nogil=True)(function))
    except RuntimeError:  # neither this folder nor the user's cache can be written
        return cast("Function", njit(nogil=True)(function))
