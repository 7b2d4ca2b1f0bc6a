"""A whole bank to practise on: who lives there, what they do, what is done to them, and the recording of it."""

from config import kernel_cache

kernel_cache.use()  # before kernels.py imports numba
