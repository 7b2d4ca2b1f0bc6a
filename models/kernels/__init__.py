"""Compiled loops over arrays: the only place in this package where numba is imported."""
