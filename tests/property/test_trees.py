"""The tree kernel against a twin in plain Python: dicts of masses, math.log1p, one tree after the other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.half_space_trees import HalfSpaceTrees

WORDS = st.one_of(
    st.floats(-1e12, 1e12),
    st.integers(0, 5).map(float),
    st.sampled_from([0.0, math.nan, 1e9]),
)


class NaiveTrees:
    """Score and learn apart, every node counted, running moments as in a textbook."""

    def __init__(self, model, n_features):
        plan = model.save()
        self.plan = list(zip(plan["feature"].tolist(), plan["split"].tolist(), strict=True))
        self.depth, self.window, self.limit, self.reach = (
            model.depth,
            model.window,
            model.limit,
            model.reach,
        )
        self.memory = model.memory_rows
        self.mass = [{} for _ in self.plan]
        self.count = [{} for _ in self.plan]
        self.rows = self.full = 0
        self.moments = [(0, 0.0, 0.0)] * n_features

    def place(self, row):
        box = []
        for value, (_, mean, variance) in zip(row, self.moments, strict=True):
            log = math.copysign(math.log1p(abs(value)), value)
            has_spread = variance > 1e-18 * mean * mean
            z = (log - mean) / math.sqrt(variance) if has_spread and not math.isnan(value) else 0.0
            box.append(0.5 + 0.5 * max(-1.0, min(1.0, z / self.reach)))
        return box

    def path(self, tree, box):
        feature, split = self.plan[tree]
        k = 0
        for d in range(self.depth + 1):
            yield d, k
            if d < self.depth:
                k = 2 * k + (2 if box[feature[k]] >= split[k] else 1)

    def score(self, row):
        box, total = self.place(row), 0
        for tree, mass in enumerate(self.mass):
            for d, k in self.path(tree, box):
                total += mass.get(k, 0) * 2**d
                if mass.get(k, 0) < self.limit:
                    break
        return (
            1.0 - total / (len(self.plan) * self.window * (2 ** (self.depth + 1) - 1))
            if self.full
            else 0.0
        )

    def learn(self, row):
        box = self.place(row)
        for tree, count in enumerate(self.count):
            for _, k in self.path(tree, box):
                count[k] = count.get(k, 0) + 1
        for j, value in enumerate(row):
            if math.isnan(value):
                continue
            n, mean, variance = self.moments[j]
            log = math.copysign(math.log1p(abs(value)), value)
            d = log - mean
            if variance > 1e-18 * mean * mean:
                d = max(-100.0, min(100.0, d / math.sqrt(variance))) * math.sqrt(variance)
            rate = max(1 / (n + 1), 1 / self.memory)
            self.moments[j] = (n + 1, mean + rate * d, (1 - rate) * (variance + rate * d * d))
        self.rows += 1
        if self.rows == self.window:
            self.mass, self.count = self.count, [{} for _ in self.plan]
            self.rows, self.full = 0, self.full + 1


@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(2, 30),
    st.integers(0, 10**6),
    st.lists(st.tuples(WORDS, WORDS, WORDS), min_size=1, max_size=120),
)
def test_scores_equal_the_naive_twin_bit_for_bit(trees, depth, window, seed, rows):
    """Masses are whole numbers, so that any order of adding gives the same score."""
    model = HalfSpaceTrees(3, trees=trees, depth=depth, window=window, memory_rows=100, seed=seed)
    twin, expected = NaiveTrees(model, 3), []
    for row in rows:
        expected.append(twin.score(row))
        twin.learn(row)
    out = np.empty(len(rows))
    model.process(np.array(rows), np.ones(len(rows), np.int8), np.zeros(len(rows), np.int8), out)
    assert out.tolist() == expected


def test_a_long_stream_equals_the_naive_twin_bit_for_bit():
    """Shipped parameters, 20 windows, drifting scale."""
    rng = np.random.default_rng(4)
    x = rng.gamma(2.0, 1_000.0, (1_500, 5)) * np.linspace(1, 30, 1_500)[:, None]
    model = HalfSpaceTrees(5, window=75, seed=9)
    twin, expected = NaiveTrees(model, 5), []
    for row in x.tolist():
        expected.append(twin.score(row))
        twin.learn(row)
    out = np.empty(len(x))
    model.process(x, np.ones(len(x), np.int8), np.zeros(len(x), np.int8), out)
    assert out.tolist() == expected


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_explanations_are_exact_on_every_path(depth):
    """Bias and contributions give the score back, on paths that stop early and on those that do not."""
    rng = np.random.default_rng(depth)
    model = HalfSpaceTrees(3, depth=depth, window=64, seed=depth)
    model.learn(rng.gamma(2.0, 10.0, (640, 3)), np.zeros(640, np.int8))
    rows = np.concatenate((rng.gamma(2.0, 10.0, (100, 3)), rng.normal(0, 1e6, (100, 3))))
    sums = [model.bias + model.explain(row).sum() for row in rows]
    np.testing.assert_allclose(sums, model.score(rows), rtol=0, atol=1e-12)
