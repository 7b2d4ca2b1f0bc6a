"""The isolation forest, the consensus and the deviation against twins in plain Python, and what each is there for."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.consensus import Consensus
from models.deviation import Deviation
from models.isolation_forest import IsolationForest
from models.prequential import roc_auc
from tests.oracles.detectors import NaiveConsensus, NaiveDeviation, NaiveIsolation


def played(model, x):
    """The scores of a stream, each row learned after it."""
    out, ones = np.empty(len(x)), np.ones(len(x), np.int8)
    model.process(np.ascontiguousarray(x, np.float64), ones, ones, out)
    return out


def twinned(twin, x):
    scores = []
    for row in x.tolist():
        scores.append(twin.score(row))
        twin.learn(row)
    return scores


def traffic(seed, n, f):
    """Heavy tails, some missing, one column that is nearly constant."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(1.0, 100.0, (n, f)) - rng.gamma(1.0, 20.0, (n, f))
    x[:, 0] = rng.random(n) < 0.02
    x[rng.random((n, f)) < 0.1] = np.nan
    return x


@given(
    st.integers(0, 10**6),
    st.integers(1, 5),
    st.sampled_from([(8, 64), (32, 64), (100, 200)]),
    st.sampled_from([1, 3, 50]),
)
def test_the_forest_equals_its_naive_twin(seed, depth, sizes, every):
    """The same pool, the same trees, the same scores."""
    params = {"depth": depth, "sample": sizes[0], "pool": sizes[1], "every": every}
    model = IsolationForest(3, trees=3, memory_rows=300, seed=seed, **params)
    x = traffic(seed, 330, 3)
    np.testing.assert_allclose(played(model, x), twinned(NaiveIsolation(model), x), atol=1e-12)


def test_a_burst_does_not_become_the_normal():
    """600 anomalies in a row, all alike: the last scores as high as the first."""
    rng = np.random.default_rng(6)
    x = rng.normal(0.0, 1.0, (20_000, 3))
    x[19_000:19_600] = rng.normal(6.0, 0.1, (600, 3))
    out = played(IsolationForest(3, seed=1), x)
    assert out[19_500:19_600].min() > np.quantile(out[5_000:19_000], 0.99)


def test_the_forest_follows_a_change_for_good():
    """What is usual from now on is usual after a few times the memory of the pool."""
    rng = np.random.default_rng(7)
    x = rng.normal(0.0, 1.0, (30_000, 3))
    x[10_000:] += 8.0
    out = played(IsolationForest(3, pool=512, memory_rows=2_000, every=32, seed=1), x)
    assert np.median(out[10_000:10_100]) > 2 * np.median(out[9_000:10_000])
    assert np.median(out[-1_000:]) < 1.1 * np.median(out[9_000:10_000])


@given(
    st.integers(1, 4),
    st.sampled_from([0.0, 1.0, 100.0]),
    st.integers(0, 10**6),
    st.sampled_from([64, 80]),
)
def test_the_consensus_equals_its_naive_twin(members, alone, seed, kept):
    """Ranks in a sorted array that lets go by chance are ranks in a list that is counted through."""
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(0.0, 2.0, (220, members)), 1)  # ties
    x[rng.random(x.shape) < 0.2] = np.nan
    model = Consensus(members, kept=kept, memory_rows=150, alone=alone, seed=seed)
    np.testing.assert_allclose(played(model, x), twinned(NaiveConsensus(model), x), atol=1e-12)


FAILURES = {
    "no member fails": lambda rng, member: member,
    "missing": lambda rng, member: np.full(len(member), np.nan),
    "constant": lambda rng, member: np.zeros(len(member)),
    "stuck at 1 from the middle on": lambda rng, member: np.where(
        np.arange(len(member)) < len(member) // 2, member, 1.0
    ),
    "now and then missing": lambda rng, member: np.where(
        rng.random(len(member)) < 0.5, np.nan, member
    ),
    "noise": lambda rng, member: rng.normal(size=len(member)),
    "wild": lambda rng, member: rng.standard_cauchy(len(member)) * 1e9,
    "infinite": lambda rng, member: rng.choice([np.inf, -np.inf], len(member)),
    "upside down": lambda rng, member: -member,
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_no_single_member_sinks_the_consensus(failure, failing):
    """Three detectors of AUC 0.96; whatever one of them does, the two others are still heard."""
    rng = np.random.default_rng(3)
    label = (rng.random(20_000) < 0.02).astype(np.int8)
    x = rng.normal(0.0, 1.0, (20_000, 3)) + 2.5 * label[:, None]
    x[:, 1] = 1.0 / (1.0 + np.exp(-x[:, 1]))  # each in a unit of its own
    x[:, 2] = np.exp(2.0 * x[:, 2])
    x[:, failing] = FAILURES[failure](rng, x[:, failing])
    score = played(Consensus(3, seed=1), x)
    assert np.isfinite(score).all()
    floor = {"no member fails": 0.996, "upside down": 0.965}.get(failure, 0.98)
    assert roc_auc(label, score) > floor


def test_the_consensus_is_made_of_its_members():
    """A member that is absent or limited adds no more than it counts for."""
    rng = np.random.default_rng(4)
    model = Consensus(3, alone=1.0, seed=2)
    model.learn(rng.normal(size=(3_000, 3)), np.zeros(3_000, np.int8))
    parts = model.explain(np.array([9.0, 0.0, np.nan]))
    assert parts[2] == 0.0
    assert parts[0] > parts[1] > 0.0
    lone = model.explain(np.array([9.0, 0.0, 0.0]))
    assert lone[0] == pytest.approx(max(lone[1:]) + 1.0 / 3.0)


@given(
    st.lists(
        st.tuples(
            *[
                st.sampled_from([0.0, 1.0, -3.0, 10.0, 1e6, math.nan]),
                st.sampled_from([0.0, 1.0, -2.0, 50.0, math.nan]),
                st.sampled_from([0.0, 0.5, 7.0, math.nan]),
            ]
            * 2
        ),
        min_size=1,
        max_size=80,
    ),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_the_deviation_equals_its_naive_twin(rows, least, below):
    """Running moments are the moments of everything seen."""
    model, twin = Deviation(6, least=least, below=below), NaiveDeviation(least, below)
    x = np.array(rows)
    np.testing.assert_allclose(played(model, x), twinned(twin, x), rtol=1e-6, atol=1e-6)


def test_only_the_own_normal_counts():
    """The same amount is odd for one customer and usual for another; the part stands at the value."""
    rng = np.random.default_rng(5)
    centre = rng.gamma(2.0, 100.0, 5_000)
    x = np.stack([rng.normal(centre, 0.3 * centre), centre, 0.3 * centre], axis=1)
    model = Deviation(3)
    model.learn(x, np.zeros(5_000, np.int8))
    rows = np.array([[600.0, 50.0, 15.0], [600.0, 580.0, 170.0]])
    odd, usual = model.score(rows)
    assert odd > 5.0 > 1.0 > usual
    assert model.explain(rows[0]).tolist() == [odd, 0.0, 0.0]


def test_a_short_history_makes_nobody_odd():
    """Two payments that were nearly alike give a spread of nearly 0; the third is not 1,000 deviations away."""
    rng = np.random.default_rng(5)
    centre = rng.gamma(2.0, 100.0, 5_000)
    x = np.stack([rng.normal(centre, 0.3 * centre), centre, 0.3 * centre], axis=1)
    model = Deviation(3)
    model.learn(x, np.zeros(5_000, np.int8))
    young, old = model.score(np.array([[130.0, 100.0, 0.01], [130.0, 100.0, 30.0]]))
    assert young == pytest.approx(old, abs=0.5)
