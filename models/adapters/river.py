"""river: any of its classifiers with `predict_proba_one`, and any of its anomaly detectors."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from models.adapters import foreign
from models.adapters.foreign import Foreign, as_log_odds
from models.protocol import F8

PACKAGE: Final = "river"


class River(Foreign):
    """An estimator of river, named as in its documentation: `class: forest.ARFClassifier`.

    A classifier learns from labels, its raw score is the log odds of what it says (`prior` until it says something); an
    anomaly detector learns every row, its raw score is its own. `seed` of the estimator is that of models.yaml unless
    `params` says otherwise. Time and memory are those of river: some 10 to 500 us a row, see RESULTS.md.

    >>> import numpy as np
    >>> model = River(1, "linear_model.LogisticRegression")
    >>> rng = np.random.default_rng(1)
    >>> fraud = (rng.random(2000) < 0.2).astype(np.int8)
    >>> model.learn(np.where(fraud == 1, 900.0, 40.0)[:, None] * rng.random((2000, 1)), fraud)
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
        scale: str = "",
        prior: float = 0.01,
        seed: int = 0,
        where: str = "",
    ) -> None:
        foreign.library(PACKAGE, "river", where)
        from river import base

        usable = (base.Classifier, base.AnomalyDetector)
        found = foreign.find("river", PACKAGE, class_, usable, where)
        self.supervised = issubclass(found, base.Classifier)
        self.log_odds = self.supervised
        super().__init__(n_features, scale or ("standard" if self.supervised else "unit"), prior)
        given = foreign.seeded(found, "seed", params or {}, seed)
        trial = foreign.made("river", found, given, where)
        try:
            self._try(trial, n_features)
            foreign.pickled(trial, PACKAGE)
        except Exception as error:  # noqa: BLE001  other libraries raise what they like
            raise foreign.unfit("river", found, error, where) from None
        self.estimator = foreign.made("river", found, given, where)

    def _try(self, trial: Any, n_features: int) -> None:
        for label in (0, 1):
            row = dict.fromkeys(range(n_features), 0.25 + 0.5 * label)
            if self.supervised:
                trial.learn_one(row, bool(label))
                trial.predict_proba_one(row)
            else:
                trial.learn_one(row)
                trial.score_one(row)

    def _score(self, row: F8) -> float:
        given = self._as_dict(row)
        if not self.supervised:
            return float(self.estimator.score_one(given))
        said = self.estimator.predict_proba_one(given)
        fraud, genuine = said.get(True), said.get(False)
        if fraud is None:
            return self.prior_score if genuine is None else as_log_odds(1.0 - genuine)
        return as_log_odds(fraud)

    def _learn(self, row: F8, label: int) -> None:
        if self.supervised:
            self.estimator.learn_one(self._as_dict(row), label == 1)
        else:
            self.estimator.learn_one(self._as_dict(row))

    def _as_dict(self, row: F8) -> dict[int, float]:
        """The inputs by their place; a missing one is left out, as river means it."""
        if self.scale != "none":
            return dict(enumerate(row.tolist()))
        return {j: value for j, value in enumerate(row.tolist()) if not np.isnan(value)}
