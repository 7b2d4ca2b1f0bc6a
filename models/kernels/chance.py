"""Chance that is no state: the n-th number of a seed, from integers alone, the same on every machine.

A model that draws keeps a counter in its state (labels learned, rows seen) and asks for the number of that counter:
snapshots, batch cuts and restarts then cannot disturb the sequence.
"""

import numpy as np
from numba import njit


@njit(cache=True, fastmath=False, error_model="numpy")
def mixed(z: int | np.uint64) -> np.uint64:
    """Return the 64 bits of `z`, well stirred: neighbours have nothing in common.

    z : int or uint64  any

    The finaliser of SplitMix64: Steele, Lea and Flood 2014, doi:10.1145/2660193.2660195.
    """
    u = np.uint64(z) + np.uint64(0x9E3779B97F4A7C15)
    u = (u ^ (u >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    u = (u ^ (u >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return u ^ (u >> np.uint64(31))


@njit(cache=True, fastmath=False, error_model="numpy")
def chance(seed: int, n: int) -> float:
    """Return number `n` of the sequence `seed`, in [0, 1).

    seed : int  at least 0
    n    : int  at least 0

    53 random bits.
    """
    return np.float64(mixed(mixed(seed) ^ np.uint64(n)) >> np.uint64(11)) * (
        1.0 / 9007199254740992.0
    )
