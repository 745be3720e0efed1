"""Kernels compiled by numba, once a machine: cached on disk beside this package (or where NUMBA_CACHE_DIR says)."""
