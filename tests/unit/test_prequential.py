"""Our metrics against scikit-learn's and against the handbook's wording."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from models import prequential


def case(seed, ties):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 400))
    label = (rng.random(n) < 0.2).astype(np.int8)
    label[:2] = 0, 1
    score = rng.normal(0, 1, n) + label
    return label, np.round(score, 1) if ties else score


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ties", [False, True])
def test_average_precision_and_auc_equal_scikit_learn(seed, ties):
    label, score = case(seed, ties)
    assert prequential.average_precision(label, score) == pytest.approx(
        average_precision_score(label, score), abs=1e-12
    )
    assert prequential.roc_auc(label, score) == pytest.approx(
        roc_auc_score(label, score), abs=1e-12
    )


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_rows_does_not_matter(seed):
    label, score = case(seed, ties=True)
    order = np.random.default_rng(seed).permutation(len(label))
    assert prequential.summary(label, score) == prequential.summary(label[order], score[order])


@pytest.mark.parametrize("seed", range(10))
def test_recall_at_a_share_counts_the_frauds_on_top(seed):
    label, score = case(seed, ties=False)
    k = max(1, len(label) // 7)
    top = np.argsort(-score)[:k]
    expected = label[top].sum() / label.sum()
    assert prequential.recall_at_share(label, score, k / len(label)) == pytest.approx(expected)


def test_equal_scores_at_the_cut_count_in_proportion():
    label = np.array([1, 0, 0, 1], np.int8)
    assert prequential.recall_at_share(label, np.zeros(4), 0.25) == pytest.approx(0.25)


def test_periods_without_frauds_give_nan_and_not_an_error():
    nothing = np.zeros(3, np.int8)
    assert math.isnan(prequential.average_precision(nothing, np.arange(3.0)))
    assert math.isnan(prequential.roc_auc(nothing, np.arange(3.0)))
    assert math.isnan(prequential.recall_at_share(nothing, np.arange(3.0), 0.1))
    assert math.isnan(prequential.average_precision(np.zeros(0, np.int8), np.zeros(0)))
    assert math.isnan(
        prequential.card_precision(
            np.zeros(0, np.int64), np.zeros(0, np.int64), nothing[:0], np.zeros(0)
        )
    )


def test_cards_found_are_dropped_on_later_days():
    """Day 0 finds card A; on day 1 A does not count again, and B takes a place."""
    day = np.array([0, 0, 0, 1, 1, 1])
    card = np.array(["A", "B", "C", "A", "B", "C"])
    label = np.array([1, 0, 0, 1, 1, 0], np.int8)
    score = np.array([0.9, 0.2, 0.1, 0.9, 0.5, 0.1])
    assert prequential.card_precision(day, card, label, score, k=1) == 1.0
    assert prequential.card_precision(day, card, label, score, k=2) == 0.5


def naive_card_precision(day, card, label, score, k):
    found, daily = set(), []
    for today in sorted(set(day)):
        best = {}
        for d, c, y, s in zip(day, card, label, score, strict=True):
            if d == today and c not in found:
                best[c] = (max(best.get(c, (-math.inf, 0))[0], s), max(best.get(c, (0, 0))[1], y))
        top = sorted(best, key=lambda c: (-best[c][0], c))[:k]
        hits = {c for c in top if best[c][1] == 1}
        daily.append(len(hits) / k)
        found |= hits
    return sum(daily) / len(daily)


@pytest.mark.parametrize("seed", range(10))
def test_card_precision_equals_the_handbooks_wording(seed):
    rng = np.random.default_rng(seed)
    n = 300
    day, card = rng.integers(0, 5, n), rng.integers(0, 40, n)
    label, score = (rng.random(n) < 0.1).astype(np.int8), np.round(rng.normal(0, 1, n), 1)
    expected = naive_card_precision(day.tolist(), card.tolist(), label.tolist(), score.tolist(), 7)
    assert prequential.card_precision(day, card, label, score, k=7) == pytest.approx(expected)


def test_the_last_label_of_a_row_counts_and_withdrawn_is_unlabelled():
    seq = np.array([2, 3, 5, 8])
    label_seq = np.array([3, 5, 3, 4, 9, 5])
    label = np.array([1, 1, 0, 1, 1, -1], np.int8)
    assert prequential.judged(seq, label_seq, label).tolist() == [-1, 0, -1, -1]
    assert prequential.judged(seq, label_seq[:2], label[:2]).tolist() == [-1, 1, 1, -1]


def test_periods_come_in_order():
    label, score = case(1, ties=False)
    week = np.arange(len(label)) % 3
    table = prequential.by_period(week, label, score)
    assert list(table) == [0, 1, 2]
    assert sum(row["rows"] for row in table.values()) == len(label)
