"""The deterministic core and the shells that run it: sources, sinks, metrics, command line."""

from config import numba_settings

numba_settings.name_locator()  # before anything below imports numba
