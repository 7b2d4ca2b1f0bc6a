"""The rule language as a library: read, check, compile and evaluate over columns."""

from config import numba_settings

numba_settings.name_locator()  # before anything below imports numba
