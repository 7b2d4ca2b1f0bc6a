"""scikit-learn: any of its estimators that learns with `partial_fit`, and any that comes fitted in a file."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from config.errors import ConfigError, StateError
from models.adapters import foreign
from models.adapters.foreign import Foreign, as_log_odds
from models.protocol import F8, I1, LEARN, SKIP, Given, State

PACKAGE: Final = "sklearn"
# These compare and add row by row, so a row's score is the same bits in any batch. What multiplies matrices is asked
# row by row: BLAS gives other last bits for another number of rows.
BY_ROW: Final = frozenset(
    [
        *("DecisionTreeClassifier", "ExtraTreeClassifier", "RandomForestClassifier"),
        *("ExtraTreesClassifier", "HistGradientBoostingClassifier", "GradientBoostingClassifier"),
        "IsolationForest",
    ]
)


class ScikitLearn(Foreign):
    """An estimator of scikit-learn, named as in its documentation: `class: linear_model.SGDClassifier`.

    A classifier's raw score is the log odds of `predict_proba`, or its `decision_function` where it has none; that of
    an outlier detector is `-score_samples`. It learns each label (or row) with `partial_fit`, or nothing where it comes
    fitted: `fitted` then holds the bytes of a pickle, which may name estimators of scikit-learn and
    arrays, no other code. Fitted inputs are as the person who fitted them had them: `scale` is none there unless said
    otherwise.

    Some 50 to 500 us a row, most of it checks of arguments; see RESULTS.md. Until it has learned something, the score
    is the prior's.

    >>> import numpy as np
    >>> model = ScikitLearn(1, "linear_model.SGDClassifier", {"loss": "log_loss"})
    >>> rng = np.random.default_rng(1)
    >>> fraud = (rng.random(500) < 0.2).astype(np.int8)
    >>> model.learn(np.where(fraud == 1, 900.0, 40.0)[:, None] * rng.random((500, 1)), fraud)
    >>> [bool(s > 0) for s in model.score(np.array([[20.0], [800.0]]))]
    [False, True]
    """

    library = PACKAGE

    def __init__(
        self,
        n_features: int,
        class_: str,
        params: Mapping[str, Any] | None = None,
        *,
        fitted: bytes | None = None,
        scale: str = "",
        prior: float = 0.01,
        seed: int = 0,
        where: str = "",
    ) -> None:
        foreign.library(PACKAGE, "scikit_learn", where)
        from sklearn.base import BaseEstimator, ClassifierMixin, OutlierMixin

        found = foreign.find("scikit_learn", PACKAGE, class_, BaseEstimator, where)
        self.supervised = issubclass(found, ClassifierMixin)
        if not self.supervised and not issubclass(found, OutlierMixin):
            raise foreign.unusable(
                "scikit_learn", found, "it scores neither fraud nor outliers", where
            )
        given = foreign.seeded(found, "random_state", params or {}, seed)
        trial = foreign.made("scikit_learn", found, given, where)
        self.is_fitted = fitted is not None
        if not self.is_fitted and not hasattr(trial, "partial_fit"):
            raise foreign.unusable(
                "scikit_learn",
                found,
                "it has no `partial_fit`, so it can only come fitted, with `file`",
                where,
            )
        super().__init__(n_features, scale or ("none" if self.is_fitted else "standard"), prior)
        self.estimator = _read(fitted, found, n_features, where) if fitted is not None else trial
        self.has_learned = self.is_fitted
        self.log_odds = self.supervised and hasattr(self.estimator, "predict_proba")
        self._takes_batches = found.__name__ in BY_ROW
        try:
            if not self.is_fitted:
                rows = np.array([[0.25] * n_features, [0.75] * n_features])
                self._fit(rows, np.array([0, 1]))
            self._ask(np.zeros((1, n_features)))
            foreign.pickled(self.estimator, PACKAGE)
        except Exception as error:  # noqa: BLE001  other libraries raise what they like
            raise foreign.unfit("scikit_learn", found, error, where) from None
        if not self.is_fitted:
            self.estimator = foreign.made("scikit_learn", found, given, where)

    def process(self, x: F8, action: I1, label: I1, out: F8, parts: F8 | None = None) -> None:
        if not (self.is_fitted and self._takes_batches):
            super().process(x, action, label, out, parts)
            return
        rows = np.flatnonzero(action != SKIP)
        if len(rows):
            out[rows] = self._ask(np.array([self._ready(row).copy() for row in x[rows]]))
            if parts is not None:
                parts[rows[action[rows] != LEARN]] = 0.0

    def save(self) -> State:
        return super().save() | {"learned": np.array([self.has_learned], np.int8)}

    def load(self, arrays: Given) -> None:
        rest = dict(arrays)
        learned = rest.pop("learned", np.zeros(0, np.int8))
        if learned.shape != (1,) or learned.dtype != np.int8:
            raise StateError(
                "saved state does not fit a model of scikit-learn",
                fix="load with the configuration that saved it, or replay from the beginning",
            )
        super().load(rest)
        self.has_learned = bool(learned[0])

    def _score(self, row: F8) -> float:
        if not self.has_learned:
            return self.prior_score if self.log_odds else 0.0
        return float(self._ask(row.reshape(1, -1))[0])

    def _ask(self, rows: F8) -> F8:
        """Raw scores of rows that were made ready; the prior's where the estimator has no answer, as 0 / 0 is none."""
        if self.log_odds:
            fraud = self.estimator.classes_.tolist().index(1)
            said = self.estimator.predict_proba(rows)[:, fraud]
            raw = np.array([as_log_odds(p) for p in said.tolist()])
        elif self.supervised:
            raw = np.asarray(self.estimator.decision_function(rows), np.float64)
        else:
            raw = -np.asarray(self.estimator.score_samples(rows), np.float64)
        return np.where(np.isfinite(raw), raw, self.prior_score if self.log_odds else 0.0)

    def _learn(self, row: F8, label: int) -> None:
        if not self.is_fitted:
            self._fit(row.reshape(1, -1).copy(), np.array([label]))
            self.has_learned = True

    def _fit(self, rows: F8, label: Any) -> None:
        if self.supervised:
            self.estimator.partial_fit(rows, label, classes=np.array([0, 1]))
        else:
            self.estimator.partial_fit(rows)


def _read(fitted: bytes, found: type, n_features: int, where: str) -> Any:
    """The estimator in a file; a `ConfigError` if it is another one than the configuration says."""
    try:
        estimator = foreign.unpickled(fitted, PACKAGE)
    except StateError as error:
        raise ConfigError(
            f"`file` holds no estimator of scikit-learn that can be read: {error.what}",
            where,
            why="it must be a pickle of one fitted estimator, written by the scikit-learn that is installed here",
            fix="fit it again and write it with pickle.dump",
        ) from None
    if type(estimator) is not found or getattr(estimator, "n_features_in_", -1) != n_features:
        has = getattr(estimator, "n_features_in_", "no")
        raise ConfigError(
            f"`file` holds a {type(estimator).__name__} with {has} inputs, "
            f"`class` and `inputs` say {found.__name__} with {n_features}",
            where,
            why="its columns are those of `inputs`, in that order",
            fix="name the class and the inputs that it was fitted with",
        )
    if hasattr(estimator, "classes_") and 1 not in estimator.classes_.tolist():
        raise ConfigError(
            "`file` holds a classifier that does not know the class 1",
            where,
            why="1 is fraud, 0 genuine",
            fix="fit it with labels 0 and 1",
        )
    return estimator
