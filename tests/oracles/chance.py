"""SplitMix64 in plain whole numbers."""

MASK = 2**64 - 1


def stirred(z):
    """The generator's output for state `z`."""
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def chance(seed, n):
    """Number `n` of the sequence `seed`, in [0, 1)."""
    return (stirred(stirred(seed) ^ n) >> 11) / 2**53
