"""Microseconds a row of the models, beside river's in the same run where river is installed.

    python -m benchmarks.bench_models [--smoke] [--json]

One core, seeded rows, kernels compiled before the clock starts, the best of three runs. "Score, later learn its label"
is a score row and a label row in turn, as a recorded feed brings them, and counts both: it is what river does in one
step. The peers get 2,000 rows, made into dicts beforehand. The hash is over everything scored.
"""

import hashlib
import sys
import time

import numpy as np

from benchmarks import measuring
from models import registry
from models.protocol import LEARN, PEEK, SCORE

INPUTS = (15, 20)
PEER_ROWS = 2_000


def rows_of(n, n_features):
    """Heavy-tailed inputs, one in fifty missing, 1 % frauds that lie a little further out."""
    rng = np.random.default_rng(2)
    label = (rng.random(n) < 0.01).astype(np.int8)
    x = rng.gamma(2.0, 2_000.0, (n, n_features)) * (1.0 + 2.0 * label)[:, None]
    x[rng.random(x.shape) < 0.02] = np.nan
    return x, label


def best(run, n, times=3):
    """Microseconds a row of the quickest of a few runs."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        took.append((time.perf_counter() - began) / n * 1e6)
    return min(took)


def timed(model, x, action, label, out, batch):
    """Microseconds a row of `process` in batches of `batch` rows."""

    def run():
        for i in range(0, len(x), batch):
            rows = slice(i, i + batch)
            model.process(x[rows], action[rows], label[rows], out[rows])

    return best(run, len(x))


def ours(n, river, digest):
    rows = []
    in_turn = np.where(np.arange(n) % 2 == 0, SCORE, LEARN).astype(np.int8)
    for n_features in INPUTS:
        x, label = rows_of(n, n_features)
        names, out = [f"f{j}" for j in range(n_features)], np.zeros(n)
        for kind in registry.KINDS:
            model = registry.build(kind, names, {}, seed=1)
            learn = np.full(n, LEARN if model.supervised else SCORE, np.int8)
            actions = {"score": (np.full(n, PEEK, np.int8), 1)}
            if model.supervised:
                actions["learn a label"] = (learn, 1)
                actions["score, later learn its label"] = (in_turn, 2)
            else:
                actions["score and learn"] = (learn, 1)
            model.process(x[:1000], learn[:1000], label[:1000], out[:1000])
            for does, (action, n_steps) in actions.items():
                row = {"model": kind, "inputs": n_features, "does": does}
                for batch, name in ((n, "whole_us"), (64, "batch_64_us")):
                    row[name] = timed(model, x, action, label, out, batch) * n_steps
                    digest.update(out.tobytes())
                is_both = does == list(actions)[-1] and n_features == INPUTS[0]
                rows.append(row | {"river_us": river.get(kind) if is_both else None})
            if n_features == INPUTS[0]:
                calibrator, raw = registry.calibrator(model), out.copy()
                calibrator.process(raw[:9], in_turn[:9], label[:9], out[:9])
                row = {"model": f"calibration of {kind}", "inputs": 1, "does": "score, later learn"}
                for batch, name in ((n, "whole_us"), (64, "batch_64_us")):
                    row[name] = timed(calibrator, raw, in_turn, label, out, batch) * 2
                    digest.update(out.tobytes())
                rows.append(row | {"river_us": None})
    return rows


def peers(n):
    """Microseconds a row of river's models of the same kind, each behind the scaler it needs."""
    try:
        from river import anomaly, linear_model, preprocessing
    except ImportError:
        print("river is not installed: no peers", file=sys.stderr)
        return {}
    table = {}
    x, label = rows_of(n, INPUTS[0])
    dicts = [dict(enumerate(row)) for row in np.nan_to_num(x).tolist()]
    truth = label.astype(bool).tolist()
    for kind, model, scaler, learn in (
        (
            "half_space_trees",
            anomaly.HalfSpaceTrees(25, 8, 250, seed=1),
            preprocessing.MinMaxScaler(),
            False,
        ),
        ("logistic", linear_model.LogisticRegression(), preprocessing.StandardScaler(), True),
    ):

        def run(model=model, learn=learn, scaler=scaler):
            for row, y in zip(dicts, truth, strict=True):
                scaler.learn_one(row)
                scaled = scaler.transform_one(row)
                if learn:
                    model.predict_proba_one(scaled)
                    model.learn_one(scaled, y)
                else:
                    model.score_one(scaled)
                    model.learn_one(scaled)

        table[kind] = best(run, n, times=1)
    return table


def main(argv=None):
    given = measuring.arguments(__doc__, argv, real=200_000, smoke=4_000, of="rows of each run")
    digest = hashlib.sha256()
    river = peers(min(given.n, PEER_ROWS))
    rows = ours(given.n, river, digest)
    return measuring.report(
        given,
        f"{given.n:,} heavy-tailed rows, 2 % of values missing, 1 % fraud, seed 2; "
        f"river: the first {min(given.n, PEER_ROWS):,} as dicts, with its scalers",
        rows,
        sha256=digest.hexdigest()[:16],
    )


if __name__ == "__main__":
    sys.exit(main())
