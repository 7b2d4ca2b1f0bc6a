"""The logistic kernel against a twin that inverts the information matrix instead of updating a covariance."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.kernels import linear
from models.logistic import Logistic


class NaiveLogistic:
    """Fahrmeir's filter in information form, with numpy.linalg; means and deviations recomputed from all values."""

    def __init__(self, model, f):
        self.f, self.model = f, model
        self.absent = []
        self.values = [[] for _ in range(2 * f)]  # of each column, pulled in to 100 deviations
        self.weight = np.zeros(3 * f + 1)
        self.weight[2 * f] = model.bias
        self.information = np.eye(3 * f + 1) / model.doubt

    def raw_columns(self, row):
        return [*row, *(np.sign(a) * np.log1p(np.abs(a)) for a in row)]

    def columns(self, row):
        f = self.f
        v = np.zeros(3 * f + 1)
        v[2 * f] = 1.0
        v[2 * f + 1 :] = np.isnan(row) - (np.mean(self.absent, axis=0) if self.absent else 0.0)
        for at, (value, past) in enumerate(zip(self.raw_columns(row), self.values, strict=True)):
            if not np.isnan(value) and past and np.std(past) > 1e-9 * abs(np.mean(past)):
                v[at] = np.clip(
                    (value - np.mean(past)) / np.std(past), -self.model.reach, self.model.reach
                )
        return v

    def remember(self, row):
        self.absent.append(np.isnan(row))
        for value, past in zip(self.raw_columns(row), self.values, strict=True):
            if not np.isnan(value):
                if past and np.std(past) > 1e-9 * abs(np.mean(past)):
                    mean, far = np.mean(past), 100 * np.std(past)
                    value = min(max(value, mean - far), mean + far)
                past.append(value)

    def score(self, row):
        return float(self.weight @ self.columns(row))

    def learn(self, row, label):
        f, v = self.f, self.columns(row)
        p = 1 / (1 + np.exp(-self.weight @ v))
        h = max(p * (1 - p), 1e-4) * self.model.stiffness
        # the weights of missing inputs are kept apart from each other and from the rest
        covariance = np.zeros_like(self.information)
        dense = slice(0, 2 * f + 1)
        covariance[dense, dense] = np.linalg.inv(self.information[dense, dense])
        for j in range(2 * f + 1, 3 * f + 1):
            covariance[j, j] = 1 / self.information[j, j]
        after = np.linalg.inv(np.linalg.inv(covariance) + h * np.outer(v, v))
        self.weight = self.weight + after @ v * (label - p)
        self.information[dense, dense] = np.linalg.inv(after[dense, dense])
        for j in range(2 * f + 1, 3 * f + 1):
            self.information[j, j] = 1 / after[j, j]
        self.remember(row)


VALUES = st.one_of(st.integers(-3, 40).map(float), st.floats(0.01, 1e6), st.just(float("nan")))


@given(
    st.lists(st.tuples(VALUES, VALUES, st.booleans()), min_size=1, max_size=40), st.floats(0.1, 1.0)
)
def test_scores_equal_the_naive_twin(rows, stiffness):
    """Two ways to write one filter agree to rounding."""
    model = Logistic(2, stiffness=stiffness)
    twin = NaiveLogistic(model, 2)
    for a, b, label in rows:
        row = np.array([a, b])
        expected = twin.score(row)
        got = model.score(row[None, :])[0]
        assert abs(got - expected) <= 1e-6 * (1 + abs(expected))
        model.learn(row[None, :], np.array([label], np.int8))
        twin.learn(row, int(label))


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
    # the column that never moved knows nothing, the other has learned and forgotten
    assert covariance[1, 1] > 0.5
    assert covariance[0, 0] < 0.5


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
