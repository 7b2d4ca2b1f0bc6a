"""Whole messages for whoever edits models.yaml."""

import pytest

from config.errors import ConfigError
from models import registry


def message(kind="logistic", names=("a",), params=None):
    with pytest.raises(ConfigError) as caught:
        registry.build(kind, list(names), params or {}, 0, "models.yaml:4:7")
    return str(caught.value)


def test_an_unknown_kind_gets_a_suggestion():
    assert (
        message("logistik")
        == "models.yaml:4:7: unknown kind of model `logistik`\n  fix: did you mean `logistic`?"
    )
    kinds = sorted([*registry.KINDS, *registry.FOREIGN])
    assert message("xyz").endswith(f"fix: choose one of {', '.join(kinds)}")


def test_an_unknown_parameter_gets_a_suggestion():
    assert message("half_space_trees", params={"tres": 5}) == (
        "models.yaml:4:7: `half_space_trees` has no parameter `tres`\n  fix: did you mean `trees`?"
    )


def test_bounds_and_types_are_checked():
    assert message(params={"prior": 2}) == (
        "models.yaml:4:7: `prior` of `logistic` must lie in [1e-06, 0.5], was 2\n  why: share of frauds before the first label"
    )
    assert "`depth` of `half_space_trees` must be a whole number, was 2.5" in message(
        "half_space_trees", params={"depth": 2.5}
    )
    assert "must be a number, was True" in message(params={"reach": True})
    assert "must be a number, was '3'" in message(params={"reach": "3"})
    assert "must be a number, was nan" in message(params={"reach": float("nan")})
    for value in (float("nan"), float("inf"), 10**400):
        told = message("half_space_trees", params={"trees": value})
        assert "`trees` of `half_space_trees` must be a whole number, was " in told


def test_inputs_are_checked():
    assert "was given 0" in message(names=())
    assert "input `a` is named twice" in message(names=("a", "b", "a"))


def test_inputs_that_belong_together_come_in_whole_groups():
    """A value may stand beside two centres; the same group twice says nothing new."""
    assert message("deviation", ("a", "b", "c", "d")) == (
        "models.yaml:4:7: `deviation` reads inputs in groups of 3 (value, centre, spread), was given 4\n"
        "  why: a place in the group says what an input means\n"
        "  fix: name value, centre, spread, then those of the next group"
    )
    assert "input `a`, `b`, `c` is named twice" in message("deviation", tuple("abcabc"))
    registry.build("deviation", list("abcade"), {}, 1)


def test_every_parameter_is_taken_at_both_bounds_of_its_default():
    for kind, known in registry.KINDS.items():
        registry.build(kind, ["a", "b", "c"], {}, 1)
        for name, parameter in known.parameters.items():
            low = int(parameter.low) if parameter.is_whole else parameter.low
            registry.build(kind, ["a", "b", "c"], {name: low}, 1)
