"""Recorded traffic through the same core: generate, feed, compare; never a second engine."""

from config import kernel_cache

kernel_cache.use()  # before anything below imports numba
