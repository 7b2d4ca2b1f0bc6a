"""What carries outcomes of a live engine to other systems: commands to core banking, restrictions to Redis.

Each is a process beside the engine that follows streams of the output folder; in a cluster one process follows those of
all partitions (engine/cluster/carrier.py). A replay has none, and cannot have one:
nothing in replay/, and nothing that replay/ imports, may import this room (the import contracts in pyproject.toml).
"""
