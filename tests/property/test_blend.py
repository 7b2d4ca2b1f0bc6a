"""The blending kernel against a twin with one object a member; what weights become, and what a broken member can do."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.blend import Blend
from models.kernels import blending as kernels
from models.prequential import roc_auc
from tests.oracles.blend import NaiveBlend


def scores_of(seed, n, fraud=0.05):
    """Three members that see frauds 2.5, 2 and 1.5 deviations out, in units of their own; labels."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < fraud).astype(np.int8)
    seen = np.array([2.5, 2.0, 1.5]) * label[:, None] + rng.normal(0, 1, (n, 3))
    return seen * [1.0, 50.0, 0.01] + [-5.0, 0.0, 0.5], label


def weights(model):
    """Of the members when all are heard."""
    loss, base = model.save()["score"]
    saved = np.maximum(1 - loss / base, 1e-3) ** 2
    return saved / saved.sum()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 8.0), st.floats(2.0, 20.0), st.floats(0.0, 0.4))
def test_scores_equal_the_naive_twin(seed, alone, reach, missing):
    """Two ways to write one blend agree to rounding."""
    model = Blend(3, alone=alone, reach=reach, forget_labels=10**12, memory_labels=10**12)
    twin, rng = NaiveBlend(model, 3), np.random.default_rng(seed)
    x, label = scores_of(seed, 260)
    x[rng.random(x.shape) < missing] = np.nan
    x[rng.random(x.shape) < 0.01] = 1e6
    x[:, rng.integers(3)] *= rng.choice([0.0, 1.0, -1.0])
    for row, truth in zip(x, label.tolist(), strict=True):
        expected, got = twin.score(row), float(model.score(row[None])[0])
        assert math.isclose(got, expected, rel_tol=1e-6, abs_tol=1e-6)
        model.learn(row[None], np.array([truth], np.int8))
        twin.learn(row, truth)


def test_it_is_better_than_its_best_member():
    x, label = scores_of(1, 60_000)
    model = Blend(3)
    model.learn(x[:40_000], label[:40_000])
    blended = roc_auc(label[40_000:], model.score(x[40_000:]))
    alone = max(roc_auc(label[40_000:], x[40_000:, j]) for j in range(3))
    assert blended > alone + 0.02


def test_better_members_weigh_more_and_useless_ones_nothing():
    x, label = scores_of(2, 40_000)
    rng = np.random.default_rng(3)
    noise, constant = rng.normal(0, 3, 40_000), np.full(40_000, 7.0)
    model = Blend(6)
    model.learn(np.column_stack((x, noise, constant, -x[:, 0])), label)
    good, fair, poor, useless, _, reversed_ = weights(model)
    assert good > fair > poor > 0.01
    assert max(useless, reversed_) < 0.001
    line = model.save()["line"]
    assert (line[kernels.SLOPE] >= 0).all()
    row = np.append(x[0], [noise[0], 7.0, -x[0, 0]])
    assert model.explain(row)[4] == 0.0  # a constant says nothing, whatever it weighs


def test_a_new_member_is_heard_little_until_it_has_shown_what_it_can_do():
    x, label = scores_of(4, 40_000)
    x[:20_000, 0] = np.nan
    model = Blend(3)
    model.learn(x[:20_000], label[:20_000])
    assert weights(model)[0] < 0.1
    model.learn(x[20_000:20_150], label[20_000:20_150])
    assert weights(model)[0] < 0.2
    model.learn(x[20_150:], label[20_150:])
    assert weights(model)[0] > 0.4


def test_a_member_without_a_score_leaves_its_weight_to_the_others():
    """Rows that one member has no score for are ranked by the others, on the same scale."""
    x, label = scores_of(5, 40_000)
    model = Blend(3)
    model.learn(x[:30_000], label[:30_000])
    fresh, truth = x[30_000:].copy(), label[30_000:]
    fresh[::2, 0] = np.nan
    assert roc_auc(truth, model.score(fresh)) > 0.93
    parts = model.explain(fresh[0])
    assert parts[0] == 0.0
    assert model.score(np.full((1, 3), np.nan))[0] == model.bias


BREAKS = {
    "absent": lambda rng, score: np.full(len(score), np.nan),
    "constant": lambda rng, score: np.full(len(score), score.max() * 2),
    "noise": lambda rng, score: rng.permutation(score),
    "wild": lambda rng, score: rng.normal(0, 1, len(score)) * 10.0 ** rng.integers(-9, 30, len(score)),
    "reversed": lambda rng, score: -score,
}  # fmt: skip


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("j", range(3))
def test_no_member_that_breaks_sinks_the_score(broken, j):
    """At once it costs something; once its labels are back, it is as if the member were not there."""
    x, label = scores_of(6, 60_000)
    rng = np.random.default_rng(j)
    model, without = Blend(3), Blend(2)
    rest = np.delete(x, j, axis=1)
    model.learn(x[:30_000], label[:30_000])
    without.learn(rest[:30_000], label[:30_000])
    x[30_000:, j] = BREAKS[broken](rng, x[30_000:, j])
    soon, late = slice(30_000, 35_000), slice(50_000, 60_000)
    assert roc_auc(label[soon], model.score(x[soon])) > 0.7
    model.learn(x[30_000:50_000], label[30_000:50_000])
    without.learn(rest[30_000:50_000], label[30_000:50_000])
    expected = roc_auc(label[late], without.score(rest[late]))
    assert roc_auc(label[late], model.score(x[late])) > expected - 0.01
