"""Recorded traffic through the same core: generate, feed, compare; never a second engine."""
