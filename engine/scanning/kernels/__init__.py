"""Kernels of the scanner: arrays and scalars only. scan.py reads messages, codes.py gives texts their codes."""
