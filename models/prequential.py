"""How good were scores, once the labels are in: metrics of ranking under delayed labels and few frauds.

All take `label` (n,) of 0 and 1 and `score` (n,), high = anomalous; rows without a label are taken out before
(`judged`). Rows of equal score are taken together, so no figure depends on the order of rows. Without a fraud, or
without a genuine row where one is needed, the answer is NaN, not an error: a quiet week is no failure.
"""

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

F8: TypeAlias = NDArray[np.float64]
I1: TypeAlias = NDArray[np.int8]
I8: TypeAlias = NDArray[np.int64]

RANGES: Final = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97)


def judged(seq: I8, label_seq: I8, label: I1) -> I1:
    """Return what is known of each decided row: 1 fraud, 0 genuine, -1 nothing.

    `label_seq` names the row each label is about, in order of arrival: the last one counts, and -1 (withdrawn) leaves
    the row unlabelled again. Cut the labels at a moment to see what was known then. `seq` rises.

    >>> judged(np.array([5, 6, 9]), np.array([6, 9, 6, 7]), np.array([1, 1, 0, 1], np.int8)).tolist()
    [-1, 0, 1]
    """
    known = np.full(len(seq), -1, np.int8)
    at = np.searchsorted(seq, label_seq)
    inside = at < len(seq)
    inside[inside] = seq[at[inside]] == label_seq[inside]
    # numpy assigns in order, so that the last label of a row stays
    known[at[inside]] = label[inside]
    return known


def average_precision(label: I1, score: F8) -> float:
    """Return the mean precision over the frauds, walking down the ranking: scikit-learn's definition.

    >>> average_precision(np.array([1, 0, 1, 0], np.int8), np.array([0.9, 0.8, 0.7, 0.1])) == (1 / 1 + 2 / 3) / 2
    True
    """
    hits, rows = _ranking(label, score)
    if not len(hits) or not hits[-1]:
        return float("nan")
    return float(np.sum(np.diff(hits, prepend=0) * (hits / rows)) / hits[-1])


def roc_auc(label: I1, score: F8) -> float:
    """Return how often a random fraud scores above a random genuine row, equal scores counting half."""
    hits, rows = _ranking(label, score)
    misses = rows - hits
    if not len(hits) or not hits[-1] or not misses[-1]:
        return float("nan")
    new_hits, new_misses = np.diff(hits, prepend=0), np.diff(misses, prepend=0)
    above = np.sum(new_misses * (hits - new_hits)) + 0.5 * np.sum(new_misses * new_hits)
    return float(above / (float(hits[-1]) * float(misses[-1])))


def recall_at_share(label: I1, score: F8, share: float) -> float:
    """Return the share of frauds among the `share` of rows that score highest: what a team of fixed size would catch.

    Where the cut falls among rows of equal score, these count in proportion.

    >>> recall_at_share(np.array([1, 1, 0, 0], np.int8), np.array([0.9, 0.5, 0.5, 0.1]), 0.5)
    0.75
    """
    hits, rows = _ranking(label, score)
    if not len(hits) or not hits[-1]:
        return float("nan")
    found = np.interp(
        share * len(label), np.concatenate(([0.0], rows)), np.concatenate(([0.0], hits))
    )
    return float(found / hits[-1])


def card_precision(day: I8, card: NDArray[Any], label: I1, score: F8, k: int = 100) -> float:
    """Return the mean over the days of the share of compromised cards among the `k` most suspicious cards of the day.

    A card's score is its highest of the day; a card is compromised on a day when one of its rows that day is a fraud.
    Compromised cards found on a day are not looked at on later ones. The definition of the Fraud Detection Handbook
    (chapter 4); equal scores go to the lower card.
    """
    found = np.zeros(0, card.dtype)
    precision = []
    for today in np.unique(day):
        row = np.flatnonzero((day == today) & ~np.isin(card, found))
        cards, inverse = np.unique(card[row], return_inverse=True)
        highest, is_compromised = np.full(len(cards), -np.inf), np.zeros(len(cards), np.bool_)
        np.maximum.at(highest, inverse, score[row])
        np.logical_or.at(is_compromised, inverse, label[row] == 1)
        top = np.argsort(-highest, kind="stable")[:k]
        hit = cards[top][is_compromised[top]]
        precision.append(len(hit) / k)
        found = np.concatenate((found, hit))
    return float(np.mean(precision)) if precision else float("nan")


def reliability(label: I1, probability: F8) -> list[dict[str, float]]:
    """Return what was said against what was so: one line for each range of probabilities that anything fell into.

    `said` is the mean probability of the rows, `fraud` the share of frauds among them, `error` the standard error of
    that share if every row had kept its word. The ranges are fixed (`RANGES`), finer where frauds are rare.

    >>> reliability(np.array([0, 0, 1, 1], np.int8), np.array([0.02, 0.025, 0.6, 0.8]))[0]["rows"]
    2.0
    """
    lines = []
    at = np.searchsorted(np.array(RANGES), probability, side="right") - 1
    for k in np.unique(at[~np.isnan(probability)]):
        rows = (at == k) & ~np.isnan(probability)
        p, n = probability[rows], int(np.sum(rows))
        lines.append(
            {
                "from": RANGES[max(0, int(k))],
                "to": RANGES[int(k) + 1] if k + 1 < len(RANGES) else 1.0,
                "rows": float(n),
                "said": float(p.mean()),
                "fraud": float(np.mean(label[rows] == 1)),
                "error": float(np.sqrt(np.sum(p * (1.0 - p))) / n),
            }
        )
    return lines


def calibration_error(label: I1, probability: F8) -> float:
    """Return how far said and found lie apart over the ranges of `reliability`, by rows, in parts of all frauds.

    0.1 means that a tenth of the frauds was announced in the wrong place.
    """
    lines = reliability(label, probability)
    rows = sum(line["rows"] for line in lines)
    frauds = sum(line["rows"] * line["fraud"] for line in lines)
    if not rows or not frauds:
        return float("nan")
    return sum(line["rows"] * abs(line["said"] - line["fraud"]) for line in lines) / frauds


def summary(label: I1, score: F8) -> dict[str, float]:
    """Return the figures that describe one period, for all rows of it with a label."""
    return {
        "rows": float(len(label)),
        "frauds": float(np.sum(label == 1)),
        "average_precision": average_precision(label, score),
        "roc_auc": roc_auc(label, score),
        "recall_at_0.1_percent": recall_at_share(label, score, 0.001),
        "recall_at_0.5_percent": recall_at_share(label, score, 0.005),
        "recall_at_1_percent": recall_at_share(label, score, 0.01),
    }


def by_period(period: I8, label: I1, score: F8) -> dict[int, dict[str, float]]:
    """Return the summary of each period (a week's number, say), in order: what drift looks like."""
    return {int(p): summary(label[period == p], score[period == p]) for p in np.unique(period)}


def _ranking(label: I1, score: F8) -> tuple[I8, I8]:
    """Frauds and rows down to the end of each run of equal scores, highest first."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    is_last = np.append(ranked[1:] != ranked[:-1], np.ones(min(1, len(ranked)), np.bool_))
    last = np.flatnonzero(is_last)
    hits = np.cumsum(label[order] == 1)[last]
    return hits.astype(np.int64), (last + 1).astype(np.int64)
