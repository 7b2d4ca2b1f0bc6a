"""The rule language as a library: read, check, compile and evaluate over columns."""

from config import kernel_cache

kernel_cache.use()  # before anything below imports numba
