"""River's models over the inputs of ours, for bench_quality.py: score a row first, learn its label 7 days later.

    python -m benchmarks.quality_peers JOB ROWS.npz SCORES.npy

A process of its own, for it takes minutes and the bench limits how long. Rows are in order of time; a label is learned
when its 7 days are over, from the inputs as they were at the decision. Missing inputs are 0, which is what river's
documentation does; nothing else is tuned. An unsupervised model learns each row after scoring it.
"""

import sys
from collections import deque

import numpy as np

DELAY_US = 7 * 86_400_000_000
SEED = 1


def logistic():
    """Plain online logistic regression: standardised inputs, gradient steps, river's own rates."""
    from river import linear_model, preprocessing

    return preprocessing.StandardScaler() | linear_model.LogisticRegression()


def forest():
    from river import forest

    return forest.ARFClassifier(seed=SEED)


def half_space_trees():
    from river import anomaly, preprocessing

    return preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(seed=SEED)


JOBS = {
    "plain online logistic regression (river)": logistic,
    "adaptive random forest (river)": forest,
    "half-space trees (river)": half_space_trees,
}


def scores(job, x, time_us, label):
    """Score every row in order; the model has then learned only what was known."""
    model, is_supervised = JOBS[job](), job != "half-space trees (river)"
    names = [f"x{j}" for j in range(x.shape[1])]
    out, waiting = np.zeros(len(x)), deque()
    rows = np.nan_to_num(x.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0).tolist()
    for i, (values, now) in enumerate(zip(rows, time_us.tolist(), strict=True)):
        while waiting and time_us[waiting[0]] + DELAY_US <= now:
            k = waiting.popleft()
            model.learn_one(dict(zip(names, rows[k], strict=True)), bool(label[k]))
        row = dict(zip(names, values, strict=True))
        if is_supervised:
            out[i] = model.predict_proba_one(row).get(True, 0.0)
            waiting.append(i)
        else:
            out[i] = model.score_one(row)
            model.learn_one(row)
    return out


if __name__ == "__main__":
    given = np.load(sys.argv[2])
    np.save(sys.argv[3], scores(sys.argv[1], given["x"], given["time_us"], given["label"]))
