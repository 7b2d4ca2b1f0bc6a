"""The kinds of model that a configuration may name, their parameters, and how to build one."""

import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from config.errors import ConfigError
from models import (
    blend,
    boosted,
    consensus,
    deviation,
    half_space_trees,
    isolation_forest,
    logistic,
    streaming_trees,
)
from models.blend import Blend
from models.boosted import Boosted
from models.calibration import Calibrator
from models.consensus import Consensus
from models.deviation import Deviation
from models.half_space_trees import HalfSpaceTrees
from models.isolation_forest import IsolationForest
from models.logistic import Logistic
from models.protocol import F8, I1, Model, Parameter, State
from models.streaming_trees import StreamingTrees

Fit: TypeAlias = Callable[[F8, I1, F8, Mapping[str, Any], int], State]  # see models/boosted.py


@dataclass(frozen=True, slots=True)
class Kind:
    """How to build a model that a configuration names: `make(n_inputs, **params)`, and `seed` where it draws."""

    make: Callable[..., Model]
    parameters: Mapping[str, Parameter]
    draws: bool = False  # takes a seed
    combines: bool = False  # reads raw scores of other models (`of`) in place of columns (`inputs`)
    group: tuple[str, ...] = ("input",)  # inputs come in groups of these, one group after the other
    fit: Fit | None = None  # fits it as a whole (`refit`), in place of learning label by label

    @property
    def refits(self) -> bool:
        """Whether it is fitted from time to time."""
        return self.fit is not None


_LEARNS = Kind(Logistic, {})  # what any foreign estimator is, to `demand_shape`
# A new kind is a module of its own and a line here; tests/contract/test_models.py then holds it to every law.
KINDS: dict[str, Kind] = {
    "blend": Kind(Blend, blend.PARAMETERS, combines=True),
    "boosted": Kind(Boosted, boosted.PARAMETERS, fit=boosted.fit),
    "consensus": Kind(Consensus, consensus.PARAMETERS, draws=True, combines=True),
    "deviation": Kind(Deviation, deviation.PARAMETERS, group=deviation.GROUP),
    "half_space_trees": Kind(HalfSpaceTrees, half_space_trees.PARAMETERS, draws=True),
    "isolation_forest": Kind(IsolationForest, isolation_forest.PARAMETERS, draws=True),
    "logistic": Kind(Logistic, logistic.PARAMETERS),
    "streaming_trees": Kind(StreamingTrees, streaming_trees.PARAMETERS, draws=True),
}
# Estimators of other libraries, named by `class`; imported when a configuration names one.
FOREIGN = ("river", "scikit_learn")
FEATURES_MAX = (
    512  # the logistic model's covariance then takes 77 MB, and one label in thirty 20 ms
)


def build(
    kind: str,
    names: Sequence[str],
    params: Mapping[str, Any],
    seed: int,
    where: str = "",
    class_: str = "",
) -> Model:
    """Build an empty model of `kind` over the inputs or members `names`; `ConfigError` (at `where`) if it does not fit.

    >>> build("half_space_trees", ["amount", "count_1h"], {"trees": 10}, seed=1).supervised
    False
    """
    if kind not in (*KINDS, *FOREIGN):
        raise _unknown(kind, where)
    if not 1 <= len(names) <= FEATURES_MAX:
        raise ConfigError(
            f"a model needs 1 to {FEATURES_MAX} inputs, was given {len(names)}",
            where,
            why="time and memory grow with their number, in some models with its square",
            fix="name the features that tell fraud from genuine",
        )
    if kind in FOREIGN:
        return _foreign(kind, names, params, seed, where, class_)
    if class_:
        raise ConfigError(
            f"`{kind}` takes no `class`", where, fix=f"take it out, or write kind: {FOREIGN[0]}"
        )
    known = KINDS[kind]
    _check_groups(kind, names, where)
    for name, value in params.items():
        _check(kind, name, value, where)
    return known.make(len(names), **({"seed": seed} if known.draws else {}), **params)


def demand_shape(kind: str, *, combines: bool, refits: bool, where: str = "") -> None:
    """Raise `ConfigError` (at `where`) unless a model of `kind` combines others, and is refitted, as it is said to."""
    if kind not in (*KINDS, *FOREIGN):
        raise _unknown(kind, where)
    known = KINDS.get(kind, _LEARNS)
    if known.combines != combines:
        right, wrong = ("of", "inputs") if known.combines else ("inputs", "of")
        raise ConfigError(
            f"`{kind}` needs `{right}`, was given `{wrong}`",
            where,
            why="some kinds read columns, others combine the scores of models",
            fix=f"write {right}: [...]",
        )
    if known.refits != refits:
        raise ConfigError(
            f"`{kind}` needs `refit`" if known.refits else f"`{kind}` takes no `refit`",
            where,
            why="it is fitted from time to time" if known.refits else "it learns as events come",
            fix="write refit: {every: 7d, train: 30d, delay: 1h}"
            if known.refits
            else "take it out",
        )


def _foreign(
    kind: str, names: Sequence[str], params: Mapping[str, Any], seed: int, where: str, class_: str
) -> Model:
    if not class_:
        raise ConfigError(
            f"`{kind}` needs `class`",
            where,
            why="it says which estimator of the library",
            fix="write it as in the library's documentation, such as linear_model.LogisticRegression",
        )
    if kind == "river":
        from models.adapters.river import River

        return River(len(names), class_, params, seed=seed, where=where)
    from models.adapters.scikit_learn import ScikitLearn

    return ScikitLearn(len(names), class_, params, seed=seed, where=where)


def _unknown(kind: str, where: str) -> ConfigError:
    known = dict.fromkeys((*KINDS, *FOREIGN))
    return ConfigError(f"unknown kind of model `{kind}`", where, fix=_suggest(kind, known))


def calibrator(model: Model, params: Mapping[str, Any] | None = None) -> Calibrator:
    """Build the empty calibrator that fits the raw scores of `model`."""
    return Calibrator(log_odds=model.log_odds, **(params or {}))


def _check_groups(kind: str, names: Sequence[str], where: str) -> None:
    group = KINDS[kind].group
    if len(names) % len(group):
        raise ConfigError(
            f"`{kind}` reads inputs in groups of {len(group)} ({', '.join(group)}), "
            f"was given {len(names)}",
            where,
            why="a place in the group says what an input means",
            fix=f"name {', '.join(group)}, then those of the next group",
        )
    groups = [tuple(names[i : i + len(group)]) for i in range(0, len(names), len(group))]
    twice = sorted({each for each in groups if groups.count(each) > 1})
    if twice:
        named = ", ".join(f"`{name}`" for name in twice[0])
        raise ConfigError(f"input {named} is named twice", where, fix="name each input once")


def _check(kind: str, name: str, value: Any, where: str) -> None:
    parameter = KINDS[kind].parameters.get(name)
    if parameter is None:
        raise ConfigError(
            f"`{kind}` has no parameter `{name}`", where, fix=_suggest(name, KINDS[kind].parameters)
        )
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    is_number = is_number and abs(value) <= sys.float_info.max  # neither infinite nor NaN
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
