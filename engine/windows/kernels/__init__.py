"""Kernels of the windows: arrays and scalars only. slide.py is the row loop; the others are what it calls."""
