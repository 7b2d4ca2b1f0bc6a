"""What a models.yaml says: which models there are, what each reads or combines, and which of them decides.

Which kinds there are and what their parameters mean stands in models/registry.py. Not here: how a model works,
and which one has become the champion since the engine started (engine/governing.py).
"""

import re
from difflib import get_close_matches
from typing import Final, TypeAlias

import msgspec

from config.bounds import check_count, check_duration
from config.durations import duration_us
from config.errors import ConfigError

Parameter: TypeAlias = int | float | bool | str  # texts are for estimators of other libraries

CHALLENGER: Final = "challenger"
SHADOW: Final = "shadow"
ROLES: Final = (CHALLENGER, SHADOW)
RESERVED: Final = frozenset({"score", "top_reasons"})  # what `model.` means the champion by


class RefitEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a model is fitted anew: at multiples of `every` of core time, to `train` of matured labels.

    delay       : core time after which the new fit decides; it has to be ready by then
    genuine_max : of more genuine transactions a sample is taken, which stands for all of them
    frauds_min  : with fewer frauds nothing is fitted
    """

    every: str = "7d"
    train: str = "30d"
    delay: str = "1h"
    genuine_max: int = 100_000
    frauds_min: int = 20

    def __post_init__(self) -> None:
        check_duration(
            "every",
            self.every,
            ("1h", "365d"),
            why="a fit takes seconds to minutes, and each is kept on record",
            fix="write 7d",
        )
        check_duration(
            "train",
            self.train,
            ("1d", "400d"),
            why="the training set is copied and fitted in a process beside the engine",
            fix="write 30d",
        )
        check_duration(
            "delay",
            self.delay,
            ("1m", "7d"),
            why="a fit that is not ready by then is skipped",
            fix="write 1h",
        )
        check_count(
            "genuine_max",
            self.genuine_max,
            (1_000, 2_000_000),
            why="copying them holds decisions up for a moment: about 30 ms for 100,000 with 20 inputs",
            fix="leave it at 100000",
        )
        check_count(
            "frauds_min",
            self.frauds_min,
            (1, 100_000),
            why="a model that has seen a handful of frauds knows only those",
            fix="leave it at 20",
        )
        if self.delay_us >= self.every_us:
            raise ConfigError(
                f"`delay` must be shorter than `every`, was {self.delay} and {self.every}",
                why="the next fit would begin before this one decides",
                fix="fit less often",
            )

    @property
    def every_us(self) -> int:
        return duration_us(self.every)

    @property
    def train_us(self) -> int:
        return duration_us(self.train)

    @property
    def delay_us(self) -> int:
        return duration_us(self.delay)


class RollbackEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a promotion is undone by itself: where the new champion does worse than the one before on matured labels.

    within : of core time since the promotion
    frauds : that must have been labelled before anything is concluded
    margin : by how much its log loss must exceed that of the model before, as a share of it
    """

    within: str = "28d"
    frauds: int = 50
    margin: float = 0.1

    def __post_init__(self) -> None:
        check_duration(
            "within",
            self.within,
            ("1d", "400d"),
            why="labels take days to come, and what is concluded without them is chance",
            fix="write 28d",
        )
        check_count(
            "frauds",
            self.frauds,
            (5, 1_000_000),
            why="with fewer the difference between two models is chance",
            fix="write 50",
        )
        if not 0.0 <= self.margin <= 10.0:
            raise ConfigError(
                f"`margin` must lie in [0, 10], was {self.margin:g}",
                why="it is a share of the log loss of the model before",
                fix="write 0.1, so that a tenth worse is worse",
            )

    @property
    def within_us(self) -> int:
        return duration_us(self.within)


class DriftEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whether and how inputs, raw scores and the calibration are watched for drift.

    watch     : False: nobody looks
    every     : core time between two looks; each compares what came since with the looks 7 to 21 before
    threshold : the stability index from which a column has drifted
    """

    watch: bool = True
    every: str = "1d"
    threshold: float = 0.15

    def __post_init__(self) -> None:
        check_duration(
            "every",
            self.every,
            ("1h", "30d"),
            why="a look must hold some hundred transactions, and a day looks like other days",
            fix="write 1d",
        )
        if not 0.01 <= self.threshold <= 10.0:
            raise ConfigError(
                f"`threshold` must lie in [0.01, 10], was {self.threshold:g}",
                why="below 0.1 one day differs that much from others, and 0.25 is much",
                fix="write 0.15",
            )

    @property
    def every_us(self) -> int:
        return duration_us(self.every)


class BaselineEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is normal for an input: a feature of the same type, and its words for people."""

    feature: str
    en: str = ""
    zh: str = ""


class ModelEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One model: what kind, what it reads, and the parameters of its kind (models/registry.py).

    inputs : columns; a model with inputs is a base model
    of     : other models, whose raw scores it combines; exactly one of the two
    role   : challenger (calibrated, compared, may be promoted) or shadow (scored and recorded; no live rule reads it)
    refit  : of a kind that is fitted from time to time instead of learning label by label
    class  : of `kind: river` or `scikit_learn`: the estimator; `params` are then those of its constructor
    """

    kind: str
    inputs: tuple[str, ...] = ()
    of: tuple[str, ...] = ()
    params: dict[str, Parameter] = {}
    role: str = CHALLENGER
    refit: RefitEntry | None = None
    class_: str = msgspec.field(default="", name="class")

    def __post_init__(self) -> None:
        # a type that may be a text takes every scalar for one
        told = {name: _number_or_text(value) for name, value in self.params.items()}
        msgspec.structs.force_setattr(self, "params", told)
        if self.of and self.inputs:
            raise ConfigError(
                "`of` and `inputs` exclude each other",
                why="a model reads columns, or combines the scores of others: parts of both could not be told apart",
                fix="let a model of its own read the columns, and name it under `of`",
            )
        if not self.inputs and not self.of:
            raise ConfigError(
                "`inputs` is empty",
                why="a model that reads nothing gives every transaction the same score",
                fix="list features or number fields, or take the model out",
            )
        for key, names in (("inputs", self.inputs), ("of", self.of)):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ConfigError(
                    f"`{key}` names `{twice[0]}` twice",
                    why="it would weigh double, and contributions would be split between the two",
                    fix="take one of them out",
                )
        for name in self.inputs:
            if name.startswith("model."):
                raise ConfigError(
                    f"`inputs` names `{name}`",
                    why="inputs are columns; a model that combines others names them elsewhere",
                    fix=f"write of: [{name.removeprefix('model.')}], with a kind that combines",
                )
        if self.role not in ROLES:
            raise ConfigError(
                f"`role` must be challenger or shadow, was {self.role}",
                why="which model is the champion says `champion`; any challenger may become it",
                fix="write shadow for a model that is only looked at",
            )
        if self.refit is not None and self.of:
            raise ConfigError(
                "`refit` is for models with inputs",
                why="a combination learns label by label",
                fix="take it out",
            )


def _number_or_text(value: Parameter) -> Parameter:
    """A text that is a number, true or false as that.

    >>> [_number_or_text(text) for text in ("3", "0.5", "true", "log_loss")]
    [3, 0.5, True, 'log_loss']
    """
    if not isinstance(value, str):
        return value
    if value in ("true", "false"):
        return value == "true"
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


class ModelsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The models of a configuration. `champion` is the one rules read as `model.score`, calibrated.

    maturity : the age at which a transaction without a verdict is no longer waited for
    drift    : how inputs, scores and calibration are watched
    rollback : when a promotion is undone by itself
    baselines : what is normal for an input, so that a reason can say how many times that it is
    """

    models: dict[str, ModelEntry]
    champion: str
    seed: int = 1
    maturity: str = "7d"
    drift: DriftEntry = DriftEntry()
    rollback: RollbackEntry = RollbackEntry()
    baselines: dict[str, BaselineEntry] = {}

    def __post_init__(self) -> None:
        for name in self.models:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or name in RESERVED:
                raise ConfigError(
                    f"`{name}` cannot be the name of a model",
                    why="rules read it as `model.NAME`; `score` and `top_reasons` mean the champion",
                    fix="use small letters, digits and underscores, such as fraud_30d",
                )
        if self.champion not in self.models:
            near = get_close_matches(self.champion, self.models, n=1)
            raise ConfigError(
                f"`champion` must be one of {', '.join(self.models) or '(no model)'}, "
                f"was {self.champion}",
                why="`model.score` and the calibration are the champion's",
                fix=f"did you mean `{near[0]}`?" if near else "name one of the models above",
            )
        if self.models[self.champion].role == SHADOW:
            raise ConfigError(
                f"`champion` must not be a shadow, was {self.champion}",
                why="a shadow is scored and recorded only",
                fix=f"take `role: shadow` of {self.champion} out, or name another champion",
            )
        check_count(
            "seed",
            self.seed,
            (0, 2**31 - 1),
            why="generators take it as it is; the same seed gives the same trees on any machine",
            fix="leave it at 1",
        )
        check_duration(
            "maturity",
            self.maturity,
            ("1h", "400d"),
            why="before that most verdicts are not in, and silence says nothing",
            fix="make it as long as nearly all verdicts take",
        )
        unread = [name for name in self.baselines if name not in self.inputs]
        if unread:
            near = get_close_matches(unread[0], self.inputs, n=1)
            raise ConfigError(
                f"`baselines` names `{unread[0]}`, which no model reads",
                why="a baseline puts words to a reason, and reasons are inputs",
                fix=f"did you mean `{near[0]}`?" if near else "name an input of a model",
            )
        self._check_members()

    def _check_members(self) -> None:
        """Refuse members that are not there, circles, and shadows that would have a say through a combination."""
        for name, entry in self.models.items():
            for member in entry.of:
                if member not in self.models:
                    near = get_close_matches(member, self.models, n=1)
                    raise ConfigError(
                        f"`of` of model `{name}` names `{member}`, which is no model",
                        why="a combination reads the scores of other models of this file",
                        fix=f"did you mean `{near[0]}`?" if near else "name one that is there",
                    )
                if entry.role != SHADOW and self.models[member].role == SHADOW:
                    raise ConfigError(
                        f"`of` of model `{name}` names `{member}`, which is a shadow",
                        why="a shadow is recorded only, and here it would have a say",
                        fix=f"take `role: shadow` of {member} out, or make {name} a shadow too",
                    )
        done: set[str] = set()
        while len(done) < len(self.models):
            ready = {n for n, e in self.models.items() if n not in done and done.issuperset(e.of)}
            if not ready:
                circle = ", ".join(name for name in self.models if name not in done)
                raise ConfigError(
                    f"`of` leads in a circle: {circle}",
                    why="a score would have to be known before it is computed",
                    fix="take one of them out of the `of` of another",
                )
            done |= ready

    @property
    def maturity_us(self) -> int:
        return duration_us(self.maturity)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that any model reads, each once, in the order of the file."""
        return tuple(dict.fromkeys(name for entry in self.models.values() for name in entry.inputs))

    @property
    def reads(self) -> tuple[str, ...]:
        """Every column that is read: inputs, and what is normal for them."""
        return tuple(dict.fromkeys([*self.inputs, *(b.feature for b in self.baselines.values())]))

    @property
    def order(self) -> tuple[str, ...]:
        """Names in the order of scoring: base models as they stand, then combinations, each after its members."""
        ordered = {name: None for name, entry in self.models.items() if not entry.of}
        while len(ordered) < len(self.models):
            ready = [
                n
                for n, e in self.models.items()
                if n not in ordered and all(m in ordered for m in e.of)
            ]
            ordered |= dict.fromkeys(ready)
        return tuple(ordered)

    def made_of(self, name: str) -> tuple[str, ...]:
        """The model and everything it combines, members of members too, in the order of scoring."""
        found = {name}
        for each in reversed(self.order):
            if each in found:
                found.update(self.models[each].of)
        return tuple(each for each in self.order if each in found)
