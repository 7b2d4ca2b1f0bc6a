"""Estimators of other libraries: only theirs, nothing else is imported or called, and they go on after a restart."""

import json
import os
import pickle
import sys

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, IsolationForest
from sklearn.linear_model import LogisticRegression

from config.errors import ConfigError, StateError
from config.settings import read_models
from engine.durable import snapshots
from engine.durable.disk import RealDisk
from engine.durable.snapshots import Snapshot
from models import laws, registry
from models.adapters import foreign
from models.adapters.scikit_learn import ScikitLearn

NAMES = ["a", "b", "c", "d"]


def build(kind, class_, **params):
    return registry.build(kind, NAMES, params, 3, "models.yaml, `foreign`", class_)


@pytest.mark.parametrize(
    ("kind", "class_", "params"),
    [
        ("river", "forest.ARFClassifier", {"n_models": 3}),
        ("river", "forest.AMFClassifier", {"n_estimators": 3}),
        ("river", "naive_bayes.GaussianNB", {}),
        ("river", "anomaly.LODA", {}),
        ("scikit_learn", "linear_model.SGDClassifier", {"loss": "log_loss"}),
        ("scikit_learn", "linear_model.SGDClassifier", {"loss": "hinge"}),
        ("scikit_learn", "linear_model.SGDOneClassSVM", {}),
    ],
)
def test_any_estimator_goes_on_after_a_restart_with_the_same_scores(kind, class_, params):
    """Their pickles need not be the same bytes (unused generators are drawn anew); their scores are."""
    x, action, label = laws.traffic(6, 150)
    model, twin, single = (build(kind, class_, **params) for _ in range(3))
    for each in (model, single):
        laws.run(each, x, action, label)
    twin.load(model.save())
    calm = laws.run(model, x, action, label, [40, 41, 100])
    assert laws.same_bits(calm, laws.run(twin, x, action, label))
    assert laws.same_bits(calm, laws.run(single, x, action, label, list(range(1, 150))))
    assert np.isfinite(calm[action != 0]).all()
    assert model.failed == 0


@pytest.mark.parametrize(
    ("kind", "class_"),
    [
        ("river", "os.system"),
        ("river", "..os.system"),
        ("river", "utils.random.os.system"),
        ("river", "base.Classifier.__init__"),
        ("river", "_river_rust.drift.ADWIN"),
        ("river", "LogisticRegression"),
        ("river", "linear_model.LinearRegression"),  # says a number, not a class
        ("scikit_learn", "datasets.load_iris"),
        ("scikit_learn", "utils.Bunch"),
        ("scikit_learn", "ensemble.np.ndarray"),
        ("scikit_learn", "cluster.KMeans"),
        ("scikit_learn", "ensemble.RandomForestClassifier"),  # has no partial_fit
        ("scikit_learn", ""),
    ],
)
def test_nothing_but_a_fitting_estimator_of_the_library_may_be_named(kind, class_):
    with pytest.raises(ConfigError) as caught:
        build(kind, class_)
    assert "models.yaml, `foreign`" in str(caught.value)


def test_parameters_that_do_not_fit_are_told_as_the_configuration_is_read():
    for kind, class_, params in (
        ("river", "forest.ARFClassifier", {"n_modells": 3}),
        ("scikit_learn", "linear_model.SGDClassifier", {"loss": "nonsense"}),
        ("scikit_learn", "linear_model.SGDClassifier", {"alpha": -1.0}),
    ):
        with pytest.raises(ConfigError, match="cannot be used with these `params`"):
            build(kind, class_, **params)
    with pytest.raises(ConfigError, match="takes no `class`"):
        build("logistic", "linear_model.LogisticRegression")


@pytest.mark.parametrize("kind", registry.FOREIGN)
def test_without_the_extra_the_error_says_how_to_get_it(kind, monkeypatch):
    monkeypatch.setitem(sys.modules, {"river": "river", "scikit_learn": "sklearn"}[kind], None)
    with pytest.raises(ConfigError, match="not installed") as caught:
        build(kind, "linear_model.LogisticRegression")
    assert "weir-fraud[adapters]" in caught.value.fix


class Evil:
    def __init__(self, call, *arguments):
        self.call = call, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call",
    [
        (os.system, "exit 1"),
        (eval, "1 + 1"),
        (getattr, "x", "upper"),
        (__import__, "os"),
        (np.load, "nowhere"),
        (pickle.loads, b"."),
    ],
    ids=lambda call: call[0].__name__,
)
def test_a_snapshot_that_names_other_code_is_refused_and_nothing_is_called(call):
    model = build("river", "linear_model.LogisticRegression")
    saved = model.save()
    saved["estimator"] = np.frombuffer(pickle.dumps(Evil(*call)), np.uint8)
    with pytest.raises(StateError, match="names"):
        model.load(saved)
    assert isinstance(model.score(np.zeros((1, 4)))[0], float)


def test_the_state_of_another_estimator_is_refused():
    model, other = (build("river", f"forest.{name}") for name in ("AMFClassifier", "ARFClassifier"))
    with pytest.raises(StateError, match="AMFClassifier"):
        model.load(other.save())


def test_an_estimator_that_fails_gives_no_score_and_stops_nothing():
    model = build("river", "linear_model.LogisticRegression")
    x, action, label = laws.traffic(7, 50)
    model.estimator.predict_proba_one = lambda _x: {True: float("nan")}
    out = laws.run(model, x, action, label)
    assert np.isnan(out).all()
    assert model.failed == int((action != 0).sum())


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingClassifier(max_iter=10),
        LogisticRegression(),
        IsolationForest(n_estimators=20),
    ],
    ids=lambda e: type(e).__name__,
)
def test_one_that_comes_fitted_scores_as_it_does_and_learns_nothing(estimator):
    x, action, label = laws.traffic(8, 400, missing=0.0)
    estimator.random_state = 3
    estimator.fit(x, label)
    found = type(estimator)
    class_ = f"{found.__module__.split('.')[1]}.{found.__name__}"
    model = ScikitLearn(4, class_, fitted=pickle.dumps(estimator))
    before = model.save()
    out = laws.run(model, x, action, label, [7, 100])
    assert laws.same_bits(out, laws.run(model, x, action, label, list(range(1, 400))))
    assert laws.same_state(before, model.save())
    if hasattr(estimator, "predict_proba"):
        p = np.clip(estimator.predict_proba(x)[:, 1], 1e-9, 1 - 1e-9)
        expected = np.log(p / (1 - p))
    else:
        expected = -estimator.score_samples(x)
    np.testing.assert_allclose(out[action != 0], expected[action != 0], rtol=1e-9)


def test_a_fitted_file_must_be_what_the_configuration_says():
    x, _, label = laws.traffic(9, 200, missing=0.0)
    data = pickle.dumps(LogisticRegression().fit(x, label))
    strange = pickle.dumps(LogisticRegression().fit(x, label + 5))
    for given, class_, n in (
        (data, "linear_model.SGDClassifier", 4),
        (data, "linear_model.LogisticRegression", 3),
        (strange, "linear_model.LogisticRegression", 4),
        (pickle.dumps(Evil(os.system, "exit 1")), "linear_model.LogisticRegression", 4),
        (b"nothing", "linear_model.LogisticRegression", 4),
    ):
        with pytest.raises(ConfigError, match="`file` holds"):
            ScikitLearn(n, class_, fitted=given)


def test_inputs_are_brought_near_one_and_the_missing_ones_to_the_middle():
    model = build("scikit_learn", "naive_bayes.GaussianNB")
    x, _, label = laws.traffic(10, 500)
    model.learn(x, label)
    rows = np.array([model._ready(row).copy() for row in x])
    assert np.abs(rows).max() <= foreign.REACH
    assert (rows[np.isnan(x)] == 0.0).all()
    assert abs(rows[~np.isnan(x)].mean()) < 0.3


def test_models_yaml_names_an_estimator_with_its_parameters(tmp_path):
    """Numbers, flags and texts reach the constructor as what they are."""
    path = tmp_path / "models.yaml"
    path.write_text(
        "champion: odd\nmodels:\n  odd:\n    kind: scikit_learn\n    class: linear_model.SGDClassifier\n"
        "    inputs: [amount]\n    params: {loss: log_loss, alpha: 0.01, fit_intercept: false, max_iter: 7}\n",
        encoding="utf-8",
    )
    entry = read_models(path).models["odd"]
    model = registry.build(entry.kind, entry.inputs, entry.params, 5, "", entry.class_)
    given = model.estimator.get_params()
    assert (given["loss"], given["alpha"], given["max_iter"]) == ("log_loss", 0.01, 7)
    assert given["fit_intercept"] is False
    assert given["random_state"] == 5


def test_a_manifest_says_which_arrays_are_pickles(tmp_path):
    disk = RealDisk()
    arrays = {"core": np.zeros(1), "models/model.odd/estimator": np.zeros(3, np.uint8)}
    for seq, given in ((1, arrays), (2, {"core": np.zeros(1)})):
        snapshot = Snapshot(seq, seq, "", True, "", {}, {}, given)
        snapshots.write(disk, tmp_path, snapshot)
    told = [
        json.loads(path.read_text(encoding="utf-8")).get("pickled")
        for path in sorted(tmp_path.rglob("manifest.json"))
    ]
    assert told == [["models/model.odd/estimator"], None]
