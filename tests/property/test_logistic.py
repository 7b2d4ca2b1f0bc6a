"""The logistic kernel against a twin that inverts the information matrix instead of updating a covariance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.kernels import linear
from models.logistic import Logistic
from tests.oracles.logistic import NaiveLogistic

VALUES = st.one_of(st.integers(-3, 40).map(float), st.floats(0.01, 1e6), st.just(float("nan")))


@given(
    st.lists(st.tuples(VALUES, VALUES, st.booleans()), min_size=1, max_size=40),
    st.floats(0.1, 1.0),
    st.sampled_from([0.02, 0.3, 1.0]),
    st.integers(0, 3),
)
def test_scores_equal_the_naive_twin(rows, stiffness, genuine_share, products):
    """Two ways to write one filter agree to rounding."""
    model = Logistic(2, stiffness=stiffness, genuine_share=genuine_share, products=products)
    twin = NaiveLogistic(model, 2)
    for a, b, label in rows:
        row = np.array([a, b])
        expected = twin.score(row)
        got = model.score(row[None, :])[0]
        assert abs(got - expected) <= 1e-6 * (1 + abs(expected))
        model.learn(row[None, :], np.array([label], np.int8))
        twin.learn(row, int(label))


@pytest.mark.parametrize("bends", [0, 1, 2])
@pytest.mark.parametrize(("f", "products"), [(1, 0), (7, 3), (8, 0), (9, 9)])
def test_any_number_of_inputs_equals_the_naive_twin(f, products, bends):
    """Kernels work on whole vectors of inputs: what pads the last one is nowhere to be seen."""
    rng = np.random.default_rng(f)
    model = Logistic(f, products=products, bends=bends, genuine_share=1.0)
    twin, label = NaiveLogistic(model, f), (rng.random(120) < 0.2).astype(np.int8)
    x = rng.gamma(2.0, 1_000.0, (120, f)) * (1 + 2 * label)[:, None]
    x[rng.random(x.shape) < 0.1] = np.nan
    model.learn(x, label)
    for row, truth in zip(x, label.tolist(), strict=True):
        twin.learn(row, truth)
    fresh = x[:40] * 1.3
    np.testing.assert_allclose(model.score(fresh), [twin.score(r) for r in fresh], rtol=1e-6)
    parts = [model.explain(row).sum() + model.bias for row in fresh]
    np.testing.assert_allclose(parts, model.score(fresh), rtol=1e-9)


def test_a_long_stream_equals_the_naive_twin():
    """A few thousand labels, and no forgetting in either."""
    rng = np.random.default_rng(9)
    model = Logistic(2, forget_labels=10**12)
    twin, label = NaiveLogistic(model, 2), (rng.random(2_500) < 0.05).astype(np.int8)
    x = rng.gamma(2.0, 1_000.0, (2_500, 2)) * (1 + 2 * label)[:, None]
    x[rng.random(x.shape) < 0.05] = np.nan
    model.learn(x, label)
    for row, truth in zip(x, label.tolist(), strict=True):
        twin.learn(row, truth)
    fresh = x[:50] * 1.3
    np.testing.assert_allclose(model.score(fresh), [twin.score(r) for r in fresh], rtol=1e-6)


def test_learning_a_few_genuine_rows_is_nearly_as_good_as_learning_all():
    """The draw changes what is read, not what comes out: every row stands for those that were not drawn."""
    rng = np.random.default_rng(8)
    x = rng.normal(0, 1, (80_000, 2))
    truth = -4.5 + 1.5 * x[:, 0] + 1.0 * x[:, 1]
    label = (rng.random(80_000) < 1 / (1 + np.exp(-truth))).astype(np.int8)
    for share in (0.02, 1.0):
        model = Logistic(2, genuine_share=share, stiffness=1.0)
        model.learn(x, label)
        assert np.abs(model.score(x[:2_000]) - truth[:2_000]).mean() < 0.25, share


def test_products_are_learned():
    """Fraud where two inputs are on the same side, which no sum of the two can say."""
    rng = np.random.default_rng(7)
    x = rng.normal(0, 1, (20_000, 2))
    label = ((x[:, 0] * x[:, 1] > 0.6) & (rng.random(20_000) < 0.5)).astype(np.int8)
    corners = np.array([[1.5, 1.5], [-1.5, -1.5], [1.5, -1.5], [-1.5, 1.5]])
    with_them, without = Logistic(2), Logistic(2, products=0)
    with_them.learn(x, label)
    without.learn(x, label)
    same, other = np.split(with_them.score(corners), 2)
    assert same.min() > other.max() + 2
    same, other = np.split(without.score(corners), 2)
    assert same.min() < other.max() + 1


def test_it_finds_the_weights_that_made_the_labels():
    """On stationary rows the filter comes to the maximum likelihood, also for two inputs that nearly repeat."""
    rng = np.random.default_rng(1)
    a = rng.normal(0, 1, 60_000)
    x = np.column_stack((a, a + rng.normal(0, 0.2, 60_000), np.full(60_000, 5.0)))
    truth = -3.0 + 3.0 * x[:, 0] - 2.0 * x[:, 1]
    label = (rng.random(60_000) < 1 / (1 + np.exp(-truth))).astype(np.int8)
    model = Logistic(3, stiffness=1.0)
    model.learn(x, label)
    fresh = x[:2_000]
    assert np.abs(model.score(fresh) - truth[:2_000]).mean() < 0.15


def test_a_changed_world_is_learned():
    """What was fraud becomes genuine and the other way round: forgetting lets the weight turn."""
    rng = np.random.default_rng(2)
    model = Logistic(1, forget_labels=20_000)
    for sign in (1.0, -1.0):
        x = rng.normal(0, 1, (60_000, 1))
        label = (sign * x[:, 0] + rng.normal(0, 0.5, 60_000) > 1.5).astype(np.int8)
        model.learn(x, label)
        low, high = model.score(np.array([[-2.0], [2.0]]))
        assert (high > low) == (sign > 0)


def test_tidying_keeps_the_covariance_positive_and_bounded():
    """Forgetting for ever does not let the variance of an unmoved column grow."""
    model = Logistic(2, forget_labels=10_000)
    rng = np.random.default_rng(3)
    x = np.column_stack((rng.gamma(2.0, 10.0, 200_000), np.full(200_000, 7.0)))
    model.learn(x, (rng.random(200_000) < 0.02).astype(np.int8))
    covariance = model.save()["covariance"]
    assert np.linalg.eigvalsh((covariance + covariance.T) / 2).min() > 0
    assert covariance.diagonal().max() <= model.doubt * (1 + 1e-9)
    assert model.save()["absent"][linear.DOUBT].max() <= model.doubt
    # the column that never moved knows nothing, the constant has learned and forgotten
    assert covariance[1, 1] > 0.5
    assert covariance[-1, -1] < 0.5


def test_one_garbled_amount_does_not_blind_a_column():
    """A value of 10^15 among thousands moves later scores by little."""
    rng = np.random.default_rng(4)
    x = rng.gamma(2.0, 3_000.0, (20_000, 1))
    label = (rng.random(20_000) < np.minimum(x[:, 0] / 50_000, 1.0) ** 2).astype(np.int8)
    clean, garbled = Logistic(1), Logistic(1)
    clean.learn(x, label)
    x[10_000] = 1e15
    garbled.learn(x, label)
    rows = np.array([[3_000.0], [10_000.0], [30_000.0]])
    assert np.abs(clean.score(rows) - garbled.score(rows)).max() < 0.5
