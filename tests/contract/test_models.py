"""Every registered model against every law of models/laws.py. Adding a model is one line in MODELS."""

import pytest

from models import laws, registry

NAMES = ["a", "b", "c", "d"]
MODELS = {
    "half_space_trees": {"window": 100},
    "logistic": {},
}


@pytest.mark.parametrize("law", laws.LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("kind", MODELS)
def test_every_model_obeys(kind, law):
    """One cell of the table: a model, a law."""
    law(lambda: registry.build(kind, NAMES, MODELS[kind], seed=3))


def test_every_kind_is_held_to_the_laws():
    """A kind that is missing here has no proof."""
    assert MODELS.keys() == registry.KINDS.keys()
