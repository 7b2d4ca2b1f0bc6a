"""Statistical models as a library: score columns, learn, explain, save; never data classes of the domain."""

from config import kernel_cache

kernel_cache.use()  # before anything below imports numba
