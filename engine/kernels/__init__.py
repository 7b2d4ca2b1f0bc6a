"""Kernels of the stages: arrays and scalars only. Those of the windows stand in engine/windows/kernels/."""
