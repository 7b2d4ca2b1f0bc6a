"""The deterministic core and the shells that run it: sources, sinks, metrics, command line."""

from config import kernel_cache

kernel_cache.use()  # before anything below imports numba
