"""A whole bank to practise on: who lives there, what they do, what is done to them, and the recording of it."""

from config import numba_settings

numba_settings.name_locator()  # before anything below imports numba
