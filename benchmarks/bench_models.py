"""Microseconds a row of the models, beside river's in the same run where river is installed.

    python benchmarks/bench_models.py [--rows N]

One core, seeded rows, kernels compiled before the clock starts, the best of three runs. "In turn" is a score row, then
a label row, and so on, as a recorded feed brings them. The peers get 2,000 rows, made into dicts beforehand.
"""

import argparse
import platform
import sys
import time

import numpy as np

from models import registry
from models.protocol import LEARN, PEEK, SCORE

INPUTS = (15, 20)


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


def ours(n):
    table = {}
    in_turn = np.where(np.arange(n) % 2 == 0, SCORE, LEARN).astype(np.int8)
    for n_features in INPUTS:
        x, label = rows_of(n, n_features)
        names, out = [f"f{j}" for j in range(n_features)], np.empty(n)
        for kind in registry.KINDS:
            model = registry.build(kind, names, {}, seed=1)
            learn = np.full(n, LEARN if model.supervised else SCORE, np.int8)
            actions = {"score": np.full(n, PEEK, np.int8), "score and learn": learn}
            if model.supervised:
                actions["score, label, in turn"] = in_turn
            model.process(x[:1000], learn[:1000], label[:1000], out[:1000])
            for name, action in actions.items():
                for batch in (n, 64):
                    key = f"{kind}, {n_features} inputs, {name}, batch {batch:,}"
                    table[key] = timed(model, x, action, label, out, batch)
            if n_features == INPUTS[0]:
                calibrator, raw = registry.calibrator(model), out.copy()
                calibrator.process(raw[:9], in_turn[:9], label[:9], out[:9])
                table[f"calibration of {kind}, in turn"] = timed(
                    calibrator, raw, in_turn, label, out, n
                )
    return table


def peers(n):
    try:
        from river import anomaly, linear_model, preprocessing
    except ImportError:
        print("river is not installed: no peers", file=sys.stderr)
        return {}
    table = {}
    x, label = rows_of(n, INPUTS[0])
    dicts = [dict(enumerate(row)) for row in np.nan_to_num(x).tolist()]
    truth = label.astype(bool).tolist()
    for name, model, learn in (
        ("HalfSpaceTrees + MinMaxScaler", anomaly.HalfSpaceTrees(25, 8, 250, seed=1), False),
        ("LogisticRegression + StandardScaler", linear_model.LogisticRegression(), True),
    ):
        scaler = preprocessing.StandardScaler() if learn else preprocessing.MinMaxScaler()

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

        table[f"river {name}, {INPUTS[0]} inputs"] = best(run, n, times=1)
    return table


def main(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--rows", type=int, default=200_000, help="rows of each run (default: 200,000)"
    )
    args = parser.parse_args(argv)
    table = ours(args.rows) | peers(min(args.rows, 2_000))
    width = max(map(len, table))
    print(
        f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, one core"
    )
    print(f"{'':{width}s}   us/row")
    for name, took in table.items():
        print(f"{name:{width}s} {took:8.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
