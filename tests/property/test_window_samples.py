"""Laws of declared approximations: as near as they say, exact while there is little, the same bits however rows come.

WEIR_WINDOW_SAMPLES sets how many streams of 900 rows the error is measured on (default 10).
"""

import math
import os
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from engine.windows.kernels import layout as at
from engine.windows.kernels.sketches import level_of
from tests.oracles.windows import Declared, replay
from tests.windowing import Runner, busy_case, random_case

STREAMS = int(os.environ.get("WEIR_WINDOW_SAMPLES", "10"))
OF = {"argument": "merchant", "decimals": None}
DISTINCT = [
    Declared("count_distinct", ("account",), 12_000, **OF, approx=0.2),
    Declared("count_distinct", ("account",), 6_000, **OF, approx=0.15, filter=1),
    Declared("count_distinct", ("account",), 12_000, 3_000, prior=True, **OF, approx=0.2),
    Declared("count_distinct", ("account",), 25_000, **OF, approx=0.1, prior=True),
]
QUANTILES = [
    Declared("quantile", ("account",), 12_000, argument="amount", level="0.5", approx=0.1),
    Declared("quantile", ("account",), 20_000, argument="amount", level="0.9", approx=0.1),
    Declared("quantile", ("account",), 12_000, 3_000, True, "amount", level="0.3", approx=0.08),
]


def off_by(case, features):
    """By feature, how far results are off, in declared standard errors: root mean square, and mean, of each stream."""
    got = Runner(features, case.lateness).feed(case.rows)
    want = replay([replace(f, approx=0.0) for f in features], case.rows, case.lateness)
    counts = [Declared("count", f.keys, f.width, f.lag, f.prior, filter=f.filter) for f in features]
    held = replay(counts, case.rows, case.lateness)
    found = []
    for k, f in enumerate(features):
        level, off = float(f.level), []
        for i, row in enumerate(case.rows):
            if row.action not in ("event", "read") or held[i][k] < 1 / f.approx**2:
                continue
            if f.function == "count_distinct":
                off.append((got[i][k] / want[i][k] - 1) / f.approx)
            else:  # amounts are even up to 10**9, so a difference of amounts is one of ranks
                error = f.approx * 2 * math.sqrt(level * (1 - level))
                off.append((got[i][k] - want[i][k]) / 1e9 / error)
        found.append((np.mean(np.square(off)), np.mean(off)))
    return found


@pytest.mark.parametrize(
    ("features", "repeated"), [(DISTINCT, False), (DISTINCT, True), (QUANTILES, False)]
)
def test_results_are_off_by_the_declared_standard_error_at_most(features, repeated):
    """Over windows, lags, filters, late rows and updates; a quantile by its rank. And there is no bias."""
    streams = np.array(
        [
            off_by(busy_case([*DISTINCT, *QUANTILES], k, repeated=repeated), features)
            for k in range(STREAMS)
        ]
    )
    for feature, (mean_square, mean) in zip(features, streams.mean(axis=0), strict=True):
        assert 0.2 < math.sqrt(mean_square) < 1.15, feature
        assert abs(mean) < 3.0 / math.sqrt(STREAMS), feature


def test_levels_halve():
    """Of values and of numbers in a row: each level holds half of what the one before holds."""
    for identities in (range(2**16), np.random.default_rng(4).integers(0, 2**62, 2**16).tolist()):
        counts = np.bincount([level_of(int(k)) for k in identities])
        for level in range(8):
            want = 2.0 ** (15 - level)
            assert abs(counts[level] - want) < 5 * math.sqrt(want)


def test_while_there_is_little_a_sample_is_everything():
    """Up to 1 / approx**2 values in the window, however often they come back."""
    case = busy_case([], 5, repeated=True)
    case.features = [Declared("count_distinct", ("account",), 9_000, **OF, approx=0.08)]
    case.rows = [row for row in case.rows if row.action != "amend"]
    exact = Runner([replace(case.features[0], approx=0.0)], case.lateness)
    assert Runner(case.features, case.lateness).feed(case.rows) == exact.feed(case.rows)


@pytest.mark.parametrize("seed", range(6))
def test_cuts_saves_and_sweeps_change_no_bit_of_an_approximation(seed):
    case = busy_case([*DISTINCT, *QUANTILES], seed, repeated=seed % 2 == 1)
    rng = np.random.default_rng(seed)
    whole = Runner(case.features, case.lateness)
    results = whole.feed(case.rows)
    cut = Runner(case.features, case.lateness, reserved_bytes=1 << 16)
    ends = [0, *sorted(rng.integers(0, 900, 9).tolist()), 900]
    parts = []
    for a, b in pairwise(ends):
        again = Runner(case.features, case.lateness)
        again.windows.load(cut.windows.save())
        cut = again
        parts += cut.feed(case.rows[a:b])
    assert parts == results
    assert cut.saved() == whole.saved()
    never = Runner(case.features, case.lateness, sweep=(at.NEVER, 1, at.NEVER))
    assert never.feed(case.rows) == results


def test_a_log_holds_a_sample_and_no_more():
    """10,000 values in the window of one account, at 10 %: a few layers of 100 each; other accounts are not touched."""
    rng = np.random.default_rng(1)
    case = random_case(1, 2)
    case.features = [Declared("count_distinct", ("account",), 10_000, **OF, approx=0.1)]
    runner, template = Runner(case.features, 0), case.rows[0]
    for first in range(0, 25_000, 2_500):
        rows = []
        for k in range(first, first + 2_500):
            values = dict(template.values, merchant=int(rng.integers(0, 2**31 - 1)))
            keys = dict.fromkeys(template.keys, 1 if k % 500 == 0 else 0)
            rows.append(replace(template, seq=k, time=1_000 + k, action="event", keys=keys, values=values, passes=[True] * 5))  # fmt: skip
        seen = runner.feed(rows)
    log = runner.windows.logs["account.0"]
    n = int(log.state.note[at.SLOTS]) * log.width
    records = [r for r in log.state.record[:n].reshape(-1, log.width) if r[at.LENGTH]]
    quiet, busy_record = sorted(records, key=lambda r: int(r[at.LENGTH]))
    assert busy_record[at.LENGTH] < 1_200
    assert abs(seen[-2][0] / 9_980 - 1) < 0.3
    assert quiet[at.LENGTH] >= 20
    assert quiet[int(log.plan[at.S_AT])] == 0
