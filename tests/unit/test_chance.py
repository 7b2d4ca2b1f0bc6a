"""Chance from integers: the published numbers of SplitMix64, and no visible pattern."""

import numpy as np

from models.kernels.chance import chance, mixed
from tests.oracles import chance as oracle

GOLDEN = 0x9E3779B97F4A7C15  # what SplitMix64 adds to its state before each output


def test_it_gives_the_published_numbers():
    """The first outputs of the reference implementation for seed 1234567 (prng.di.unimi.it/splitmix64.c)."""
    state, found = 1234567, []
    for _ in range(3):
        found.append(int(mixed(np.uint64(state))))
        state = (state + GOLDEN) % 2**64
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_it_equals_whole_number_arithmetic():
    for seed, n in [(0, 0), (1, 0), (0, 1), (7, 12345), (2**40, 2**50)]:
        assert chance(seed, n) == oracle.chance(seed, n)


def test_neighbours_have_nothing_in_common():
    """Mean, spread and correlation of neighbours are those of independent draws, of seeds as of numbers."""
    for draws in (
        np.array([chance(1, n) for n in range(20_000)]),
        np.array([chance(seed, 1) for seed in range(20_000)]),
    ):
        assert abs(draws.mean() - 0.5) < 0.01
        assert abs(draws.std() - 12**-0.5) < 0.01
        assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.02
