"""Every registered model against every law of models/laws.py. Adding a model is one line in MODELS."""

import functools

import numpy as np
import pytest

from models import laws, registry

NAMES = ["a", "b", "c", "d"]
REFITTED = {
    "boosted": {"trees": 20, "leaves": 6},
}
MODELS = {
    "blend": {},
    "consensus": {},
    "half_space_trees": {"window": 100},
    "isolation_forest": {"pool": 256},
    "logistic": {},
    "streaming_trees": {"memory": 4_096, "period": 128},
}


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("kind", MODELS)
def test_every_model_obeys(kind, law):
    """One cell of the table: a model, a law."""
    law(lambda: registry.build(kind, NAMES, MODELS[kind], seed=3))


@pytest.mark.parametrize("law", laws.COMBINING_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("kind", [k for k in MODELS if registry.KINDS[k].combines])
def test_every_combination_obeys(kind, law):
    """Beside the laws for all."""
    law(lambda: registry.build(kind, NAMES, MODELS[kind], seed=3))


class AgainstOneNormal:
    """Every input as a value whose centre is 3,000 and whose spread is 1,700: what the laws' rows are made of.

    `deviation` reads inputs in threes, and rows whose centres are as far out as their values are no deviation: so the
    laws' rows cannot be its inputs as they stand.
    """

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)

    def wide(self, x):
        wide = np.repeat(x, 3, axis=-1)
        wide[..., 1::3], wide[..., 2::3] = 3_000.0, 1_700.0
        return wide

    def process(self, x, action, label, out, parts=None):
        wide = None if parts is None else np.full((len(x), 3 * x.shape[1]), np.nan)
        self.model.process(self.wide(x), action, label, out, wide)
        if parts is not None:
            parts[:] = wide[:, ::3]

    def score(self, x):
        return self.model.score(self.wide(x))

    def learn(self, x, label):
        self.model.learn(self.wide(x), label)

    def explain(self, x):
        return self.model.explain(self.wide(x))[::3]


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
def test_deviation_obeys(law):
    """Against centres and spreads that stand still, it is a detector like the others."""
    names = [f"{name}_{what}" for name in NAMES for what in registry.KINDS["deviation"].group]
    law(lambda: AgainstOneNormal(registry.build("deviation", names, {}, seed=3)))


FOREIGN = {
    "river": {
        "linear_model.LogisticRegression": {"l2": 0.001},
        "anomaly.HalfSpaceTrees": {"n_trees": 10, "window_size": 100},
    },
    "scikit_learn": {"naive_bayes.GaussianNB": {}},
}
ESTIMATORS = [(kind, name) for kind, classes in FOREIGN.items() for name in classes]


@pytest.mark.parametrize("law", laws.FOREIGN_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize(("kind", "class_"), ESTIMATORS)
def test_every_adapter_obeys(kind, class_, law):
    """One or two estimators of each library."""
    law(lambda: registry.build(kind, NAMES, FOREIGN[kind][class_], seed=3, class_=class_))


@functools.cache
def state_of_a_fit(kind):
    x, _, label = laws.traffic(19, 1_500)
    return registry.KINDS[kind].fit(x, label, np.ones(len(x)), REFITTED[kind], 3)


@pytest.mark.parametrize("law", laws.REFITTED_LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("kind", REFITTED)
def test_every_refitted_model_obeys(kind, law):
    """One cell of the table: a model that has been fitted, a law."""

    def make():
        model = registry.build(kind, NAMES, REFITTED[kind], seed=3)
        model.load(state_of_a_fit(kind))
        return model

    law(make)


def test_every_kind_is_held_to_the_laws():
    """A kind that is missing here has no proof."""
    assert MODELS.keys() | REFITTED.keys() | {"deviation"} == registry.KINDS.keys()
    assert FOREIGN.keys() == set(registry.FOREIGN)
    assert REFITTED.keys() == {name for name, kind in registry.KINDS.items() if kind.refits}
