"""Our exp and log against 60-digit decimals, and against their own bits."""

import math
from decimal import Decimal, getcontext

import numpy as np
import pytest

from models.kernels import exp_log

getcontext().prec = 60
RNG = np.random.default_rng(0)


def ulps(ours, exact, values):
    """Largest distance in units in the last place."""
    worst = Decimal(0)
    for value in values:
        right = exact(Decimal(value))
        worst = max(worst, abs(Decimal(ours(value)) - right) / Decimal(math.ulp(float(right))))
    return float(worst)


@pytest.mark.parametrize("span", [1e-9, 1.0, 700.0])
def test_exp_is_within_two_units_in_the_last_place(span):
    values = RNG.uniform(-span, span, 500).tolist()
    assert ulps(exp_log.exp, Decimal.exp, values) < 2


@pytest.mark.parametrize("span", [1e-6, 1.0, 700.0])
def test_log_is_within_one_unit_in_the_last_place(span):
    values = np.exp(RNG.uniform(-span, span, 500)).tolist()
    assert ulps(exp_log.log, Decimal.ln, values) <= 1


def test_signed_log1p_is_within_two_units_for_small_and_large():
    values = np.exp(RNG.uniform(-60, 200, 500)).tolist()
    assert ulps(exp_log.signed_log1p, lambda v: (1 + v).ln(), values) < 2
    assert [exp_log.signed_log1p(-v) for v in values] == [-exp_log.signed_log1p(v) for v in values]


def test_edges_are_what_the_docstrings_say():
    assert exp_log.exp(0.0) == 1.0
    assert exp_log.exp(1e9) == exp_log.exp(708.0) < math.inf
    assert exp_log.exp(-1e9) == exp_log.exp(-708.0) > 0.0
    assert exp_log.log(1.0) == 0.0
    assert exp_log.signed_log1p(0.0) == 0.0
    assert math.isnan(exp_log.signed_log1p(math.nan))
    assert 0.0 < exp_log.sigmoid(-1e300) < exp_log.sigmoid(1e300) < 1.0
    assert exp_log.sigmoid(0.0) == 0.5


def test_sigmoid_rises():
    values = np.sort(RNG.uniform(-35, 35, 2_000))
    assert (np.diff([exp_log.sigmoid(v) for v in values]) >= 0).all()


def test_bits_are_pinned():
    """The same bits on every CPU: this sum of bit patterns came out with AVX-512 and with plain SSE2."""
    values = [k / 7 - 30 for k in range(420)]
    bits = [np.float64(exp_log.exp(v)).view(np.int64) for v in values]
    bits += [np.float64(exp_log.signed_log1p(v * 1e5)).view(np.int64) for v in values]
    assert sum(int(b) for b in bits) % 2**61 == 672037011598254706
