"""The deterministic core and the shells that run it: sources, sinks, metrics, command line."""
