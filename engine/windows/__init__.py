"""Exact aggregates over sliding windows: see plan.py for what they mean and kernels/layout.py for how they are kept."""
