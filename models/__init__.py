"""Statistical models as a library: score columns, learn, explain, save; never data classes of the domain."""

from config import numba_settings

numba_settings.name_locator()  # before anything below imports numba
