"""The Numenta Anomaly Benchmark: its score, and its series as columns such as an analyst would declare.

The score is that of NAB 1.1 (Lavin and Ahmad 2015, arXiv:1510.03336): in each labelled window the earliest detection
counts, the more the earlier; detections elsewhere cost, less so just behind a window; a window without detection costs.
The first 15 % of a series, at most 750 rows, are not scored. One threshold for all series, the best. The sum is brought
to 0 for a detector that never speaks and 100 for one that is right at once.
"""

import collections
import json
import math

import numpy as np
import pyarrow.parquet as pq

from benchmarks.measuring import SHARED

FOLDER = SHARED / "data" / "nab"
STANDARD = {"hit": 1.0, "miss": 1.0, "alarm": 0.11}  # weights of the standard profile
HOUR = 3_600_000_000
DAY = 24 * HOUR


def series():
    """Name, time (us), value, first and last row of each window, and the length of probation, series by series."""
    table = pq.read_table(FOLDER / "nab.parquet")
    windows = json.loads((FOLDER / "combined_windows.json").read_text(encoding="utf-8"))
    file, value = table["file"].to_numpy(zero_copy_only=False), table["value"].to_numpy()
    stamp = np.array(table["timestamp"].to_numpy(zero_copy_only=False), "datetime64[us]")
    on_probation = table["probation"].to_numpy(zero_copy_only=False).astype(np.bool_)
    for name in sorted(windows):
        row = np.flatnonzero(file == name)
        time = stamp[row]
        edges = [
            [int(np.flatnonzero(time == np.datetime64(edge[:19]))[0]) for edge in window]
            for window in windows[name]
        ]
        yield (
            name,
            np.maximum.accumulate(time.astype(np.int64)),
            value[row],
            edges,
            int(on_probation[row].sum()),
        )


def sigmoid(place):
    """What a detection is worth at a place relative to a window: -1 its first row, 0 its last, above 0 behind it."""
    place = np.asarray(place, np.float64)
    return np.where(place > 3.0, -1.0, 2.0 / (1.0 + np.exp(np.minimum(5.0 * place, 700.0))) - 1.0)


def worth(n, windows, probation):
    """The window that each row belongs to (-1 outside, -2 on probation), and what a detection there is worth."""
    inside, value = np.full(n, -1), np.full(n, -STANDARD["alarm"])
    row = np.arange(n)
    for k, (first, last) in enumerate(windows):
        behind = row > last
        if last > first:
            value[behind] = STANDARD["alarm"] * sigmoid((row[behind] - last) / (last - first))
        within = slice(first, last + 1)
        inside[within] = k
        place = -(last - row[within] + 1) / (last - first + 1)
        value[within] = STANDARD["hit"] * sigmoid(place) / sigmoid(-1.0)
    inside[:probation] = -2
    return inside, value


def normalised(streams):
    """Return the score and its threshold, of (scores, windows, probation) of all series.

    Scores of all series are walked down together: each row that comes in is a detection from there on.
    """
    scores, names, values, count = [], [], [], 0
    for score, windows, probation in streams:
        inside, value = worth(len(score), windows, probation)
        counts = inside != -2
        scores.append(np.asarray(score)[counts])
        names.append(np.where(inside >= 0, inside + count, -1)[counts])
        values.append(value[counts])
        count += len(windows)
    score, name, value = (np.concatenate(each) for each in (scores, names, values))
    order = np.argsort(-score, kind="stable")
    found = np.full(count, -STANDARD["miss"])
    total = -STANDARD["miss"] * count
    best, threshold = total, np.inf
    ranked = score[order]
    is_last = np.append(ranked[1:] != ranked[:-1], True)
    for k, of, adds, ends in zip(
        range(len(order)),
        name[order].tolist(),
        value[order].tolist(),
        is_last.tolist(),
        strict=True,
    ):
        if of < 0:
            total += adds
        elif adds > found[of]:
            total += adds - found[of]
            found[of] = adds
        if ends and total > best:
            best, threshold = total, ranked[k]
    null, perfect = -STANDARD["miss"] * count, STANDARD["hit"] * count
    return float(100.0 * (best - null) / (perfect - null)), float(threshold)


def columns(time, value):
    """What the detectors read: (n, 5) for those of rows, (n, 6) values, centres and spreads for the deviation.

    The value, its step, its distance from the mean of the day before, how far the mean of the last 6 hours lies from
    that of the week, and the spread in these 6 hours; the value, and the mean of 6 hours, against the week before.
    """
    quarter, spread_quarter = moving(time, value, 6 * HOUR)
    day, _ = moving(time, value, DAY)
    week, spread_week = moving(time, value, 7 * DAY)
    step = np.diff(value, prepend=np.nan)
    rows = (value, step, value - day, quarter - week, spread_quarter)
    own = (value, week, spread_week, quarter, week, spread_week)
    return np.stack(rows, axis=1), np.stack(own, axis=1)


def moving(time, value, window_us):
    """Mean and standard deviation of the rows before each one, not older than the window; NaN where there are none."""
    first = np.searchsorted(time, time - window_us, side="left")
    here = np.arange(len(value))
    middle = np.median(value)  # for the digits; takes no part otherwise
    sums = np.concatenate(([0.0], np.cumsum(value - middle)))
    squares = np.concatenate(([0.0], np.cumsum((value - middle) ** 2)))
    n = np.where(here > first, here - first, np.nan).astype(np.float64)
    mean = (sums[here] - sums[first]) / n
    spread = np.sqrt(np.maximum((squares[here] - squares[first]) / n - mean**2, 0.0))
    return mean + middle, spread


def first_of_a_day(time, score):
    """Scores that are higher than all of the 24 hours before them; the others 0: an alarm is told once a day."""
    told, highest = (
        np.zeros(len(score)),
        collections.deque(),
    )  # falling: only those can be the highest later
    for i, (now, value) in enumerate(zip(time.tolist(), score.tolist(), strict=True)):
        while highest and highest[0][0] < now - DAY:
            highest.popleft()
        if not highest or value > highest[0][1]:
            told[i] = value
        while highest and highest[-1][1] <= value:
            highest.pop()
        highest.append((now, value))
    return told


def windowed_gaussian(value, window=6_400, step=100):
    """NAB's own plain detector, made anew, to hold `normalised` against its published score (39.6)."""
    score, known, late = np.zeros(len(value)), [], []
    mean = spread = None
    for i, x in enumerate(value.tolist()):
        if known:
            score[i] = 1.0 - 0.5 * math.erfc(abs(x - mean) / spread / math.sqrt(2.0))
        late.append(x)
        if len(known) < window or len(late) == step:
            known, late = [*known, *late][-window:], []
            mean, spread = np.mean(known), np.std(known) or 1e-6
    return score
