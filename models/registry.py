"""The kinds of model that a configuration may name, their parameters, and how to build one."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.errors import ConfigError
from models.calibration import Calibrator
from models.half_space_trees import HalfSpaceTrees
from models.logistic import Logistic
from models.protocol import Model


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that an analyst may set: bounds that belong to it, and what the bounds and the number are about."""

    low: float
    high: float
    about: str
    is_whole: bool = False


KINDS: dict[str, dict[str, Parameter]] = {
    "half_space_trees": {
        "trees": Parameter(1, 1_000, "time and memory grow with it, noise shrinks", is_whole=True),
        "depth": Parameter(1, 15, "memory doubles with each level", is_whole=True),
        "window": Parameter(2, 1_000_000, "rows that a row is compared with", is_whole=True),
        "reach": Parameter(0.5, 1_000.0, "deviations from the mean that the trees can tell apart"),
        "memory_rows": Parameter(
            100, 1e12, "rows that mean and deviation look back", is_whole=True
        ),
    },
    "logistic": {
        "reach": Parameter(
            1.0, 1_000.0, "deviations beyond which an input counts as if it lay there"
        ),
        "stiffness": Parameter(
            0.01, 1.0, "1 trusts every label forever, less follows change faster"
        ),
        "doubt": Parameter(1e-4, 100.0, "variance of a weight before the first label"),
        "forget_labels": Parameter(
            10_000, 1e12, "labels after which evidence has faded", is_whole=True
        ),
        "memory_labels": Parameter(
            100, 1e12, "labels that mean and deviation look back", is_whole=True
        ),
        "prior": Parameter(1e-6, 0.5, "share of frauds before the first label"),
    },
}
FEATURES_MAX = 512  # the logistic model's covariance then takes 8 MB and a label about 1 ms


def build(
    kind: str, names: Sequence[str], params: Mapping[str, Any], seed: int, where: str = ""
) -> Model:
    """Build an empty model of `kind` over the inputs `names`; raise `ConfigError` (at `where`) for what does not fit.

    >>> build("half_space_trees", ["amount", "count_1h"], {"trees": 10}, seed=1).supervised
    False
    """
    if kind not in KINDS:
        raise ConfigError(f"unknown kind of model `{kind}`", where, fix=_suggest(kind, KINDS))
    if not 1 <= len(names) <= FEATURES_MAX:
        raise ConfigError(
            f"a model needs 1 to {FEATURES_MAX} inputs, was given {len(names)}",
            where,
            why="time and memory grow with their number, in some models with its square",
            fix="name the features that tell fraud from genuine",
        )
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise ConfigError(f"input `{twice[0]}` is named twice", where, fix="name each input once")
    for name, value in params.items():
        _check(kind, name, value, where)
    if kind == "half_space_trees":
        return HalfSpaceTrees(len(names), seed=seed, **params)
    return Logistic(len(names), **params)


def calibrator(model: Model, params: Mapping[str, Any] | None = None) -> Calibrator:
    """Build the empty calibrator that fits the raw scores of `model`."""
    return Calibrator(log_odds=model.log_odds, **(params or {}))


def _check(kind: str, name: str, value: Any, where: str) -> None:
    parameter = KINDS[kind].get(name)
    if parameter is None:
        raise ConfigError(
            f"`{kind}` has no parameter `{name}`", where, fix=_suggest(name, KINDS[kind])
        )
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or (parameter.is_whole and value != int(value)):
        what = "a whole number" if parameter.is_whole else "a number"
        raise ConfigError(
            f"`{name}` of `{kind}` must be {what}, was {value!r}", where, why=parameter.about
        )
    if not parameter.low <= value <= parameter.high:
        raise ConfigError(
            f"`{name}` of `{kind}` must lie in [{parameter.low:g}, {parameter.high:g}], was {value:g}",
            where,
            why=parameter.about,
        )


def _suggest(word: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(word, known, n=1)
    return f"did you mean `{close[0]}`?" if close else f"choose one of {', '.join(sorted(known))}"
