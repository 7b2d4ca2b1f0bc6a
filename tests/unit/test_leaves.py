"""engine/durable/leaves.py: the leaves of a batch are those of its records, one by one."""

import random
from hashlib import sha256

import pytest

from engine.durable.leaves import LONG_BYTES, MANY, NONE, leaves_of_batch
from engine.joined import join
from engine.kernels.sha256 import LANES


def leaves_one_by_one(salts, lines):
    """The definition."""
    return b"".join(
        sha256(salts[16 * k : 16 * k + 16] + line).digest() for k, line in enumerate(lines)
    )


def batch(rng, lengths):
    return rng.randbytes(16 * len(lengths)), [rng.randbytes(length) for length in lengths]


def test_every_length_up_to_a_long_one_has_the_leaf_that_hashlib_gives():
    salts, lines = batch(random.Random(1), range(LONG_BYTES + 70))
    assert leaves_of_batch(salts, lines) == leaves_one_by_one(salts, lines)


@pytest.mark.parametrize("n", [1, MANY - 1, MANY, MANY + 1, 3 * LANES - 1, 3 * LANES, 4_096])
@pytest.mark.parametrize("longest", [0, 1, 60, 250, 5_000])
def test_any_number_of_lines_of_mixed_lengths_has_the_leaves_that_hashlib_gives(n, longest):
    rng = random.Random(7 * n + longest)
    salts, lines = batch(rng, [rng.randint(0, longest) for _ in range(n)])
    assert leaves_of_batch(salts, lines) == leaves_one_by_one(salts, lines)


def test_a_batch_of_long_lines_only_has_the_leaves_that_hashlib_gives():
    salts, lines = batch(random.Random(3), [LONG_BYTES + 1 + k for k in range(MANY)])
    assert leaves_of_batch(salts, lines) == leaves_one_by_one(salts, lines)


def test_lines_that_were_put_together_before_have_the_same_leaves():
    """Line feeds inside change nothing, and neither does what stands behind the last line."""
    salts, lines = batch(random.Random(4), [k % 90 for k in range(2 * MANY)])
    lines[7] = b"\n" + lines[7] + b"\n\n"
    for spare in (bytes(8), b"\n" * 50):
        found = leaves_of_batch(salts, lines, NONE, join(lines, spare))
        assert found == leaves_one_by_one(salts, lines)


def test_salts_that_are_too_few_are_refused():
    with pytest.raises(AssertionError, match="a salt a line"):
        leaves_of_batch(bytes(16), [b"a", b"b"])
