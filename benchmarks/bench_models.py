"""Microseconds a transaction of every kind of model, beside river's in the same run where river is installed.

    python -m benchmarks.bench_models [--smoke] [--json]

One core, seeded rows, kernels compiled before the clock starts, the best of three runs. "Score, later learn" is a score
row and a label row in turn, as a recorded feed brings them, and counts both: it is what river does in one step. Models
start with 20,000 rows behind them, so that they are as large as they get. Our logistic regression is measured twice: as
it ships, where 15 inputs become 119 columns, and with the 16 weights of river's, every label learned. Combinations read
the scores of four members. The peers get 2,000 rows behind the scaler they need, as dicts made beforehand; the adapters
the same rows through ours. The hash is over everything of ours that was scored.
"""

import hashlib
import sys
import time

import numpy as np

from benchmarks import measuring
from models import registry
from models.calibration import Calibrator
from models.drift import Drift
from models.protocol import LEARN, PEEK, SCORE

N_INPUTS = 15
BATCHES = (1, 64, 2_048)
LEARNED = 20_000
PEER_ROWS = 2_000
# what is asked for: whole microseconds, and how many times quicker than river's of the same job
PLAIN = "logistic, inputs as they are, every label"  # what river's does: no more columns, no draw
PLAIN_PARAMS = {"bends": 0, "products": 0, "genuine_share": 1.0}
LIMITS = {
    "half_space_trees": (2.5, 50),
    "isolation_forest": (2.5, 50),
    "logistic": (1.0, 30),
    PLAIN: (1.0, 30),
    "streaming_trees": (10.0, 50),
}
PEERS = {
    "half_space_trees": ("anomaly", "HalfSpaceTrees", {"n_trees": 25, "height": 8}),
    "isolation_forest": ("anomaly", "HalfSpaceTrees", {"n_trees": 25, "height": 8}),
    "logistic": ("linear_model", "LogisticRegression", {}),
    "streaming_trees": ("forest", "ARFClassifier", {"n_models": 10}),
}
ADAPTED = (
    ("river", "linear_model.LogisticRegression", {}),
    ("river", "anomaly.HalfSpaceTrees", {"n_trees": 25, "height": 8}),
    ("river", "forest.ARFClassifier", {"n_models": 10}),
    ("river", "forest.AMFClassifier", {"n_estimators": 10}),
    ("scikit_learn", "linear_model.SGDClassifier", {"loss": "log_loss"}),
)


def rows_of(n, n_inputs):
    """Heavy-tailed inputs, one in fifty missing, 1 % frauds that lie a little further out."""
    rng = np.random.default_rng(2)
    label = (rng.random(n) < 0.01).astype(np.int8)
    x = rng.gamma(2.0, 2_000.0, (n, n_inputs)) * (1.0 + 2.0 * label)[:, None]
    x[rng.random(x.shape) < 0.02] = np.nan
    return x, label


def scores_of(n, n_members):
    """Raw scores of members: three that know something, each in its own unit, and one that knows nothing."""
    x, label = rows_of(n, n_members)
    rng = np.random.default_rng(3)
    signal = rng.normal(2.5 * label[:, None], 1.0, x.shape)
    signal[:, -1] = rng.normal(0.0, 1.0, n)
    return signal * np.array([1.0, 0.1, 4.0, 1.0])[:n_members], label


def best(run, n, times=3):
    """Microseconds a row of the quickest of a few runs."""
    took = []
    for _ in range(times):
        began = time.perf_counter()
        run()
        took.append((time.perf_counter() - began) / n * 1e6)
    return min(took)


def timed(model, x, action, label, batch, digest):
    """Microseconds a row of `process` in batches of `batch` rows."""
    out = np.zeros(len(x))
    parts = [slice(i, min(i + batch, len(x))) for i in range(0, len(x), batch)]

    def run():
        for rows in parts:
            model.process(x[rows], action[rows], label[rows], out[rows])

    took = best(run, len(x))
    digest.update(np.nan_to_num(out).tobytes())
    return took


def jobs(model, n):
    """What is measured: its name, actions, and rows that stand for one transaction."""
    found = {"score": (np.full(n, PEEK, np.int8), 1)}
    if model.supervised:
        in_turn = np.where(np.arange(n) % 2 == 0, SCORE, LEARN).astype(np.int8)
        found["learn a label"] = (np.full(n, LEARN, np.int8), 1)
        found["score, later learn"] = (in_turn, 2)
    else:
        found["score and learn"] = (np.full(n, SCORE, np.int8), 1)
    return found


def measured(name, model, x, label, digest, river_us=None):
    """A row of the table for each job of a model."""
    learn = LEARN if model.supervised else SCORE
    before = min(LEARNED, len(x))
    model.process(x[:before], np.full(before, learn, np.int8), label[:before], np.zeros(before))
    limit_us, times_min = LIMITS.get(name, (None, None))
    rows = []
    for does, (action, n_steps) in jobs(model, len(x)).items():
        row = {"model": name, "inputs": x.shape[1], "does": does}
        for batch in BATCHES:
            n = len(x) if batch > 1 else min(len(x), LEARNED)
            took = timed(model, x[:n], action[:n], label[:n], batch, digest)
            row[f"batch_{batch}_us"] = took * n_steps
        is_whole = does not in ("score", "learn a label")
        peer = river_us if is_whole else None
        row["limit_us"] = limit_us if is_whole else None
        row["river_us"] = peer
        row["times"] = peer / row["batch_2048_us"] if peer else None
        row["times_min"] = times_min if peer else None
        rows.append(row)
    return rows


class Stage:
    """Calibration and drift in the clothes of a model, so that they are timed like one."""

    def __init__(self, process, *, supervised):
        self.process, self.supervised = process, supervised


def calibration(log_odds):
    calibrator = Calibrator(log_odds=log_odds)

    def process(x, action, label, out):
        calibrator.process(np.ascontiguousarray(x[:, 0]), action, label, out)

    return Stage(process, supervised=True)


def drift(n_inputs):
    watch = Drift(n_inputs)

    def process(x, action, label, out):  # noqa: ARG001
        watch.observe(x, np.arange(len(x)))

    return Stage(process, supervised=False)


def ours(n, river, digest):
    rows = []
    x, label = rows_of(n, N_INPUTS)
    scores, judged = scores_of(n, 4)
    for kind, known in registry.KINDS.items():
        if known.refits:  # it learns from no row, and has no score before its first fit
            model, job = fitted(kind, x, label), {"x": x, "label": label}
        elif known.combines:
            model, job = registry.build(kind, list("abcd"), {}, 1), {"x": scores, "label": judged}
        else:
            names = [f"f{j}" for j in range(N_INPUTS)]
            model, job = registry.build(kind, names, {}, 1), {"x": x, "label": label}
        found = measured(kind, model, job["x"], job["label"], digest, river.get(kind))
        rows += found[:1] if known.refits else found
    plain = registry.build("logistic", [f"f{j}" for j in range(N_INPUTS)], PLAIN_PARAMS, 1)
    rows += measured(PLAIN, plain, x, label, digest, river.get("logistic"))
    for name, log_odds in (("log odds", True), ("other scores", False)):
        stage = calibration(log_odds)
        rows += measured(f"calibration of {name}", stage, scores, judged, digest)[2:]
    x4 = np.random.default_rng(4).gamma(2.0, 2_000.0, (n, 20)).astype(np.float32)
    rows += measured("watch for drift", drift(20), x4, label, digest)[1:]
    return rows


def fitted(kind, x, label):
    """A refitted model after its first fit."""
    some = slice(0, min(len(x), LEARNED))
    model = registry.build(kind, [f"f{j}" for j in range(x.shape[1])], {}, 1)
    fit = registry.KINDS[kind].fit
    model.load(fit(x[some], label[some], np.ones(len(x[some])), {}, 1))
    return model


def peers(n):
    """Microseconds a row of river's models of the same job, each behind the scaler it needs."""
    try:
        import river.anomaly
        import river.forest
        import river.linear_model
        from river import preprocessing
    except ImportError:
        print("river is not installed: no peers, no adapters", file=sys.stderr)
        return {}
    x, label = rows_of(n, N_INPUTS)
    dicts = [dict(enumerate(row)) for row in np.nan_to_num(x).tolist()]
    truth = label.astype(bool).tolist()
    table = {}
    for kind, (module, name, params) in PEERS.items():
        found = getattr(getattr(river, module), name)
        seeded = {"seed": 1} if name != "LogisticRegression" else {}
        model, learns = found(**params, **seeded), module != "anomaly"
        scaler = preprocessing.StandardScaler() if learns else preprocessing.MinMaxScaler()

        def run(model=model, learns=learns, scaler=scaler):
            for row, y in zip(dicts, truth, strict=True):
                scaler.learn_one(row)
                scaled = scaler.transform_one(row)
                if learns:
                    model.predict_proba_one(scaled)
                    model.learn_one(scaled, y)
                else:
                    model.score_one(scaled)
                    model.learn_one(scaled)

        table[kind] = best(run, n, times=1)
    return table


def adapted(n):
    """Microseconds a transaction of estimators of other libraries behind our adapters."""
    x, label = rows_of(n, N_INPUTS)
    rows = []
    for kind, class_, params in ADAPTED:
        model = registry.build(kind, [f"f{j}" for j in range(N_INPUTS)], params, 1, "", class_)
        action, n_steps = list(jobs(model, n).values())[-1]

        def run(model=model, action=action):
            model.process(x, action, label, np.zeros(n))

        does = list(jobs(model, n))[-1]
        took = best(run, n, times=1) * n_steps
        row = {"adapter": kind, "estimator": class_, "does": does, "us": took}
        rows.append(row | {"state_kb": len(model.save()["estimator"]) / 1e3})
    return rows


def main(argv=None):
    given = measuring.arguments(__doc__, argv, real=200_000, smoke=4_000, of="rows of each run")
    digest = hashlib.sha256()
    n_peer = min(given.n, PEER_ROWS)
    river = peers(n_peer)
    rows = ours(given.n, river, digest)
    return measuring.report(
        given,
        f"{given.n:,} heavy-tailed rows of {N_INPUTS} inputs, 2 % of values missing, 1 % fraud, seed 2; "
        f"other libraries: the first {n_peer:,}",
        rows,
        adapters=adapted(n_peer) if river else [],
        sha256=digest.hexdigest()[:16],
    )


if __name__ == "__main__":
    sys.exit(main())
