"""Laws of window features, against an oracle that looks at the whole history.

WEIR_WINDOW_PLANS sets how many random plans each law is tried on, 400 rows each (default 150);
WEIR_WINDOW_DECLARATIONS how many random declarations are held to the oracle over 2,000 rows each (default 7).
"""

import math
import os
from bisect import bisect_left
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.windows.kernels.exact import deviation, fixed_point, quotient
from engine.windows.kernels.quantile import (
    capacity,
    first_not_below,
    place_of,
    put_in,
    resize_order,
    take_out,
)
from tests.oracles.windows import Declared, Near, Sampled, fixed, replay
from tests.windowing import Runner, busy_case, random_case

PLANS = int(os.environ.get("WEIR_WINDOW_PLANS", "150"))
DECLARATIONS = int(os.environ.get("WEIR_WINDOW_DECLARATIONS", "7"))
SEEDS = st.integers(0, 2**32)
many = settings(max_examples=PLANS, deadline=None)
some = settings(max_examples=max(PLANS // 3, 1), deadline=None)
LIMB = 2**32


def agrees(feature, got, want):
    """Equal, but for approximations; a standard deviation up to 2 units in the last place, what fades up to 1e-9 of what was added up."""
    if feature.function == "entropy" and isinstance(got, float) and isinstance(want, float):
        return abs(got - want) <= 2e-9
    if isinstance(want, Near) and got is None:
        return want.may_miss
    if isinstance(want, Near) and isinstance(got, float):
        return abs(got - want) <= 1e-9 * want.size
    if feature.function == "stddev" and isinstance(got, float) and isinstance(want, float):
        return abs(got - want) <= 4.5e-16 * abs(want)
    if isinstance(want, Sampled):
        return want.low == -math.inf if got is None else want.low <= got <= want.high
    return got == want and type(got) is type(want)


def runner(case, reserved_bytes=1 << 12):
    return Runner(case.features, case.lateness, case.zone, case.updates, reserved_bytes)


def assert_as_declared(case, got):
    want = replay(case.features, case.rows, case.lateness, case.zone, case.updates)
    for i, (g, w) in enumerate(zip(got, want, strict=True)):
        for feature, a, b in zip(case.features, g, w, strict=True):
            assert agrees(feature, a, b), (
                f"row {i} ({case.rows[i].action}): {feature} is {a}, must be {b}"
            )


@many
@given(SEEDS, st.integers(1, 400) | st.just(400))
def test_every_feature_is_what_its_declaration_says(seed, n_rows):
    """Late, tied, amended and too late rows; missing keys and arguments; ages of exactly one window."""
    case = random_case(seed, n_rows, approximate=True)
    assert_as_declared(case, runner(case).feed(case.rows))


def test_declarations_hold_over_long_streams():
    """The same over 2,000 rows, which no shrinking could follow."""
    n_declared = n_values = seed = 0
    while n_declared < DECLARATIONS:
        case = random_case(seed, 2_000)
        got = runner(case).feed(case.rows)
        assert_as_declared(case, got)
        n_declared, seed = n_declared + len(case.features), seed + 1
        n_values += sum(map(len, got))
    print(
        f"\n{n_declared:,} declarations on {seed:,} streams of 2,000 rows: {n_values:,} values, 0 differences"
    )


@some
@given(SEEDS, st.lists(st.integers(0, 400), max_size=8))
def test_batch_cuts_change_no_result_and_no_byte_of_state(seed, cuts):
    case = random_case(seed, approximate=True)
    whole, cut = runner(case), runner(case, 1 << 16)
    at = [0, *sorted(cuts), 400]
    parts = [cut.feed(case.rows[a:b]) for a, b in pairwise(at)]
    assert [row for part in parts for row in part] == whole.feed(case.rows)
    assert cut.saved() == whole.saved()


@settings(max_examples=max(PLANS // 15, 1), deadline=None)
@given(SEEDS)
def test_rows_one_by_one_are_as_one_batch(seed):
    case = random_case(seed, 120, approximate=True)
    whole, single = runner(case), runner(case)
    assert [single.feed([row])[0] for row in case.rows] == whole.feed(case.rows)
    assert single.saved() == whole.saved()


@some
@given(SEEDS, st.integers(0, 400))
def test_saved_and_loaded_windows_go_on_as_if_nothing_had_happened(seed, cut):
    case = random_case(seed, approximate=True)
    calm, before = runner(case), runner(case)
    after = runner(case)
    calm.feed(case.rows[:cut])
    before.feed(case.rows[:cut])
    after.windows.load(before.windows.save())
    assert after.saved() == calm.saved()
    assert after.feed(case.rows[cut:]) == calm.feed(case.rows[cut:])
    assert after.saved() == calm.saved()


@settings(max_examples=max(PLANS // 10, 1), deadline=None)
@given(SEEDS)
def test_busy_entities_with_many_values_are_exact_too(seed):
    """Long enough for tables of distinct values and chains of extremes to grow, to lose values, and to go."""
    rng = np.random.default_rng(seed)
    case = random_case(seed, 900)
    for row in case.rows:
        row.keys = dict.fromkeys(row.keys, 0)
        if row.values["merchant"] is not None and row.action != "amend":
            row.values["merchant"] = int(rng.integers(0, 300))
        if rng.random() < 0.9:  # mostly falling, so that chains of maxima are long
            row.values["amount"] = float(10_000 - 10 * row.seq + int(rng.integers(0, 30)))
    width, lag = int(rng.integers(60, 400)) * 10, int(rng.integers(1, 19)) * 10
    of = {"argument": "merchant", "decimals": None}
    case.features = [
        Declared("count_distinct", ("account",), width, **of),
        Declared("count_distinct", ("account",), width // 2 // 10 * 10, filter=1, **of),
        Declared("count_distinct", ("account",), width, lag, prior=True, **of),
        Declared("count_distinct", ("account",), 20, **of),
        Declared("quantile", ("account",), width, argument="amount", level="0.95"),
        Declared("max", ("account",), width, argument="amount"),
        Declared("entropy", ("account",), width, lag, prior=True, **of),
        Declared("max", ("account",), width // 3 // 10 * 10, lag, prior=True, argument="amount"),
        Declared("max", ("account",), 200, argument="amount", filter=1),
        Declared("min", ("account",), width, argument="amount", prior=True),
        Declared("count_distinct", ("account",), width, **of, approx=0.1),
        Declared("count_distinct", ("account",), width, **of, approx=0.3),
        Declared("count_distinct", ("account",), width, lag, prior=True, **of, approx=0.2),
    ]
    assert_as_declared(case, runner(case).feed(case.rows))


@settings(max_examples=max(PLANS // 75, 1), deadline=None)
@given(SEEDS, st.booleans())
def test_windows_with_hundreds_of_values_are_exact_for_late_rows_too(seed, repeated):
    """So many that sorted values stand in blocks, and that a late row follows links from value to value."""
    of, by = {"argument": "merchant", "decimals": None}, {"argument": "amount"}
    case = busy_case([], seed, repeated=repeated, n=1_000)
    case.features = [
        Declared("quantile", ("account",), 40_000, level="0.5", **by),
        Declared("quantile", ("account",), 20_000, 5_000, True, level="0.95", filter=1, **by),
        Declared("entropy", ("account",), 25_000, **of),
        *(Declared("count_distinct", ("account",), w, **of) for w in (150, 900, 8_000, 40_000)),
        Declared("count_distinct", ("account",), 30_000, 170, True, filter=1, **of),
        Declared("count_distinct", ("account",), 300, prior=True, filter=2, **of),
    ]
    assert_as_declared(case, runner(case, 1 << 16).feed(case.rows))


@given(st.integers(0, 2**32), st.integers(1, 2_000))
@settings(max_examples=max(PLANS // 20, 1), deadline=None)
def test_sorted_values_in_blocks_stand_as_in_a_sorted_list(seed, most):
    """While they grow to `most` and shrink again, with ties; an update may take any of them out."""
    rng = np.random.default_rng(seed)
    record, pool, note = np.zeros(3, np.int64), np.zeros(1 << 15, np.int64), np.zeros(200, np.int64)
    values, grows = [], True
    for _ in range(3 * most):
        n, grows = len(values), grows and len(values) < most
        if not values or rng.random() < (0.9 if grows else 0.3):
            if record[1] == 0 or n == capacity(record[1]):
                resize_order(record, pool, note, 0, max(int(record[1]) + 1, 2))
            value = int(rng.integers(-most, most))
            k = first_not_below(pool, record[0], record[1], n, value)
            assert k == bisect_left(values, value)
            put_in(pool, record[0], record[1], n, k, value)
            values.insert(k, value)
        else:
            k = int(rng.integers(0, n))
            take_out(pool, record[0], record[1], n, k)
            values.pop(k)
        record[2] = len(values)
    start, klass = int(record[0]), int(record[1])
    assert [pool[place_of.py_func(pool, start, klass, k)] for k in range(len(values))] == values


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 9))
def test_fixed_point_rounds_the_exact_product_to_even(value, decimals):
    want = fixed(value, decimals)
    assert fixed_point(value, 10.0**decimals) == (-(2**63) if want is None else want)


@given(st.integers(-(2**20), 2**20), st.integers(0, 9), st.integers(1, 2**20))
def test_fixed_point_tells_ties_from_near_ties(whole, decimals, step):
    for value in (
        whole + 0.5,
        np.nextafter(whole + 0.5, 0),
        whole / 2**20,
        (whole + 0.5) / 10**decimals,
        step / 7,
    ):
        assert fixed_point(float(value), 10.0**decimals) == fixed(float(value), decimals)


@given(
    st.integers(-(2**61) + 1, 2**61 - 1) | st.integers(-(2**22), 2**22),
    st.integers(0, 2**63 - 1),
    st.integers(1, 2**62 - 1) | st.integers(1, 1000) | st.sampled_from([10**d for d in range(10)]),
)
def test_quotients_are_rounded_once(high, low, divisor):
    if abs(high) < 2**60:
        assert quotient(high, low, divisor) == (high * LIMB + low) / divisor


@given(
    st.lists(st.integers(-(2**62) + 1, 2**62 - 1) | st.integers(-100, 100), min_size=1, max_size=9)
)
def test_deviations_come_from_exact_sums(values):
    n, total, squares = len(values), sum(values), [v * v for v in values]
    limbs = [sum((s >> 32 * k) % LIMB for s in squares) for k in range(4)]
    high, low = sum(v >> 32 for v in values), sum(v % LIMB for v in values)
    radicand = n * sum(squares) - total**2
    want = float(np.sqrt(float(radicand))) / n
    assert deviation(n, high, low, *limbs, 1.0) == want
