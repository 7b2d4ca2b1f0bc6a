"""How fast is this machine? The canonical workload (design.md, section 6) and what `weir bench` measures with it."""
