"""Recorded traffic through the same core: generate, feed, compare; never a second engine."""

from config import numba_settings

numba_settings.name_locator()  # before anything below imports numba
