"""Boosted trees of scikit-learn as arrays: the same scores, and contributions that add up."""

import numpy as np
import pytest

from config.errors import InputError, StateError
from models import boosted
from models.boosted import Boosted, fit
from models.protocol import LEARN, PEEK, SCORE, SKIP

PARAMS = {"trees": 30, "leaves": 8, "leaf_rows": 10}


def traffic(seed=1, n=4_000, missing=0.1):
    """Rows of which some inputs are missing, one of them only for frauds, and a fraud that needs two inputs."""
    rng = np.random.default_rng(seed)
    x = rng.gamma(2.0, 100.0, (n, 6)).astype(np.float32).astype(np.float64)
    label = ((x[:, 0] > 300.0) & (x[:, 1] < 150.0) | (rng.random(n) < 0.02)).astype(np.int8)
    x[(label == 1) & (rng.random(n) < 0.5), 3] = np.nan
    x[:, :3][rng.random((n, 3)) < missing] = np.nan
    return x, label


@pytest.fixture(scope="module")
def fitted():
    x, label = traffic()
    return fit(x, label, np.ones(len(x)), PARAMS, seed=3)


@pytest.fixture
def model(fitted):
    made = Boosted(6, **PARAMS)
    made.load(fitted)
    return made


def test_scores_are_those_of_scikit_learn(model):
    """Also where a value is missing that never was when it was fitted, and at the very thresholds."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    x, label = traffic()
    theirs = HistGradientBoostingClassifier(
        max_iter=30,
        max_leaf_nodes=8,
        min_samples_leaf=10,
        learning_rate=0.1,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=3,
    ).fit(x, label)
    fresh, _ = traffic(2, 3_000, missing=0.4)
    fresh[::7, 4] = np.nan  # never missing before
    edges = np.unique(model.save()["threshold"])[:200]
    fresh[: len(edges), 0] = edges
    fresh[-1] = np.nan
    fresh[-2] = 1e300
    np.testing.assert_allclose(
        model.score(fresh), theirs.decision_function(fresh), rtol=0, atol=1e-9
    )


def test_what_is_infinite_is_missing(model):
    x, _ = traffic(3, 50)
    gaps, wild = x.copy(), x.copy()
    gaps[:, 0], wild[::2, 0], wild[1::2, 0] = np.nan, np.inf, -np.inf
    assert model.score(gaps).tobytes() == model.score(wild).tobytes()


def test_contributions_and_bias_sum_to_the_score(model):
    x, _ = traffic(4, 300, missing=0.3)
    out, parts = np.empty(300), np.full((300, 6), np.nan)
    model.process(x, np.full(300, SCORE, np.int8), np.zeros(300, np.int8), out, parts)
    np.testing.assert_allclose(model.bias + parts.sum(axis=1), out, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(model.explain(x[7]), parts[7])


def test_the_inputs_that_tell_are_named(model):
    """Large first inputs are fraud where the second is small; the last two are noise."""
    calm = model.explain(np.array([100.0, 100.0, 200.0, 200.0, 200.0, 200.0]))
    odd = model.explain(np.array([900.0, 100.0, 200.0, 200.0, 200.0, 200.0]))
    assert set(np.argsort(odd - calm)[-2:].tolist()) == {0, 1}


def test_a_model_that_was_never_fitted_has_no_score():
    model = Boosted(6, **PARAMS)
    x, _ = traffic(5, 4)
    out, parts = np.zeros(4), np.full((4, 6), 7.0)
    action = np.array([SKIP, SCORE, LEARN, PEEK], np.int8)
    model.process(x, action, np.zeros(4, np.int8), out, parts)
    np.testing.assert_array_equal(out, [0.0, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(parts[:, 0], [7.0, 0.0, 7.0, 0.0])
    assert not model.is_fitted


def test_the_same_rows_are_fitted_to_the_same_bits(fitted):
    x, label = traffic()
    again = fit(x, label, np.ones(len(x)), PARAMS, seed=3)
    assert all(again[name].tobytes() == fitted[name].tobytes() for name in fitted)
    other = fit(x, label, np.ones(len(x)), {**PARAMS, "inputs_share": 0.5}, seed=4)
    assert other["value"].tobytes() != fitted["value"].tobytes()


def test_bags_are_the_mean_of_their_fits(fitted):
    """Two bags of the same rows and all inputs are two fits that are alike, each half of the sum."""
    x, label = traffic()
    whole = {**PARAMS, "trees": 8}
    one, two = Boosted(6, **whole), Boosted(6, **{**whole, "trees": 16})
    one.load(fit(x, label, np.ones(len(x)), whole, seed=3))
    two.load(fit(x, label, np.ones(len(x)), {**whole, "trees": 16, "bags": 2}, seed=3))
    np.testing.assert_allclose(two.score(x), one.score(x), rtol=0, atol=1e-9)


def test_weights_count_as_rows():
    """A sample of the genuine rows, each standing for ten, gives log odds as all of them do."""
    x, label = traffic(6, 20_000)
    kept = (label == 1) | (np.arange(len(x)) % 10 == 0)
    weight = np.where(label == 1, 1.0, 10.0)[kept]
    sample = Boosted(6, **PARAMS)
    sample.load(fit(x[kept], label[kept], weight, PARAMS, seed=1))
    share = 1.0 / (1.0 + np.exp(-sample.score(x)))
    assert abs(share.mean() - label.mean()) < 0.01


@pytest.mark.parametrize("label", [np.zeros(50, np.int8), np.ones(50, np.int8)])
def test_labels_that_are_all_alike_are_refused(label):
    with pytest.raises(InputError, match="labelled transactions"):
        fit(np.zeros((50, 2)), label, np.ones(50), {}, seed=1)


def test_trees_of_other_parameters_are_refused(fitted):
    for params, inputs in (({"leaves": 9}, 6), ({"trees": 40}, 6), ({}, 7)):
        with pytest.raises(StateError):
            Boosted(inputs, **(PARAMS | params)).load(fitted)


def test_every_parameter_has_a_default():
    assert boosted.DEFAULTS.keys() == boosted.PARAMETERS.keys()
