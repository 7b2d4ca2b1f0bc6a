"""The published protocol and the bank view, against a slow retelling with sets and dictionaries, and known figures."""

import json
import math
from collections import defaultdict
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from config.errors import InputError
from replay import evaluate as ev
from replay.evaluate import Scored

rows = st.lists(
    st.tuples(
        st.integers(0, 22),
        st.integers(0, 12),
        st.sampled_from([0, 0, 0, 1]),
        st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9]) | st.floats(0, 1),
    ),
    min_size=1,
    max_size=200,
)


def scored(data):
    day, card, label, score = (np.array(column) for column in zip(*data, strict=True))
    return Scored(
        day.astype(np.int64), card.astype(np.int64), label.astype(np.int8), score.astype(float)
    )


def slow_test_rows(data, first):
    """Walk through the test days, adding to the known cards as the handbook does."""
    known = {card for day, card, label, _ in data if label and first <= day < first + 7}
    kept = []
    for k in range(7):
        known |= {card for day, card, label, _ in data if label and day == first + 7 + k - 1}
        kept += [
            i
            for i, (day, card, _, _) in enumerate(data)
            if day == first + 14 + k and card not in known
        ]
    return sorted(kept)


def slow_card_precision(test, k):
    found, precision = set(), []
    for today in sorted({day for day, *_ in test}):
        best, bad = defaultdict(lambda: -1.0), set()
        for day, card, label, score in test:
            if day == today and card not in found:
                best[card] = max(best[card], score)
                if label:
                    bad.add(card)
        top = sorted(best, key=lambda card: (-best[card], card))[:k]
        precision.append(len(bad.intersection(top)) / k)
        found |= bad.intersection(top)
    return sum(precision) / len(precision)


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(0, 2))
def test_the_published_week_agrees_with_the_slow_retelling(data, first):
    kept = slow_test_rows(data, first)
    assert np.flatnonzero(ev.in_published_test(scored(data), first)).tolist() == kept
    week = ev.published_week(scored(data), first)
    test = [data[i] for i in kept]
    label, score = [r[2] for r in test], [r[3] for r in test]
    assert (week.n_transactions, week.n_frauds) == (len(test), sum(label))
    if 0 < sum(label) < len(label):
        assert week.metrics["roc_auc"] == pytest.approx(roc_auc_score(label, score))
        assert week.metrics["average_precision"] == pytest.approx(
            average_precision_score(label, score)
        )
    if test:
        assert week.metrics["card_precision_100"] == pytest.approx(slow_card_precision(test, 100))


def test_a_card_known_on_the_last_day_of_training_is_gone_and_one_found_later_leaves_a_day_behind():
    """Card 1 is a fraud in training, card 2 on day 7: known from test day 15 on, not on day 14."""
    data = [
        (6, 1, 1, 0.5),
        (7, 2, 1, 0.5),
        (14, 1, 0, 0.5),
        (14, 2, 0, 0.5),
        (15, 2, 0, 0.5),
        (14, 3, 0, 0.5),
    ]
    assert np.flatnonzero(ev.in_published_test(scored(data), 0)).tolist() == [3, 5]


def test_the_bank_view_takes_every_row_from_its_day_on_and_splits_it_by_week():
    rng = np.random.default_rng(3)
    data = [
        (int(d), int(c), int(f), float(s))
        for d, c, f, s in zip(
            rng.integers(0, 28, 2_000),
            rng.integers(0, 90, 2_000),
            rng.random(2_000) < 0.05,
            rng.random(2_000),
            strict=True,
        )
    ]
    result = ev.evaluate(scored(data), bank_from_day=7)
    late = [r for r in data if r[0] >= 7]
    ranked = sorted(late, key=lambda r: -r[3])[: round(0.01 * len(late))]
    assert result.published == ()
    assert result.bank["rows"] == len(late)
    assert result.bank["average_precision"] == pytest.approx(
        average_precision_score([r[2] for r in late], [r[3] for r in late])
    )
    caught = sum(r[2] for r in ranked) / sum(r[2] for r in late)
    assert result.bank["recall_at_1_percent"] == pytest.approx(
        caught, abs=1 / sum(r[2] for r in late)
    )
    assert list(result.weekly) == [1, 2, 3]
    assert sum(week["rows"] for week in result.weekly.values()) == len(late)


def test_only_weeks_inside_the_recording_are_published():
    data = [(d, c, int(d > 13 and c == d % 5), c / 9) for d in range(22) for c in range(9)]
    result = ev.evaluate(scored(data), training=(0, 1, 2))
    assert [week.first_day for week in result.published] == [14, 15]
    assert result.as_dict()["published_mean"]["roc_auc"] == pytest.approx(
        result.published_mean("roc_auc")
    )
    assert "mean" in result.table()


def test_a_recording_without_fraud_gives_no_figures_and_no_error():
    result = ev.evaluate(scored([(0, 1, 0, 0.5), (1, 1, 0, 0.2)]))
    assert math.isnan(result.bank["roc_auc"])
    document = result.as_dict()
    assert document["bank"]["roc_auc"] is None
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_decisions_and_recorded_labels_meet_by_account_and_transaction(tmp_path):
    path = tmp_path / "decisions.ndjson"
    line = '{{"seq":{0},"transaction_id":"t{0}","event_time":"2018-04-0{1}T00:00:31Z","account":"{2}","score":{3},"models":{4}}}'
    path.write_text(
        "\n".join(
            (
                line.format(1, 1, "A1", 300, '{"champion":0.25}'),
                line.format(2, 1, "A2", 0, '{"champion":null}'),
                line.format(3, 3, "A1", 0, "{}"),
            )
        )
        + "\n"
    )
    labels = ev.recorded_labels(
        (
            b'{"kind":"transaction","transaction_id":"t1","account":"A1"}',
            b'{"kind":"label","transaction_id":"t1","account":"A1","label":"fraud"}',
            b'{"kind":"label","transaction_id":"t2","account":"A1","label":"fraud"}',
            b'{"kind":"label","transaction_id":"t3","account":"A1","label":"fraud"}',
            b'{"kind":"label","transaction_id":"t3","account":"A1","label":"genu',
            b'{"kind":"label","transaction_id":"t3","account":"A1","label":"withdrawn"}',
        )
    )
    result = ev.read_scored(path, labels, date(2018, 4, 1))
    assert result.day.tolist() == [0, 0, 2]
    assert result.card.tolist() == [0, 1, 0]
    assert result.label.tolist() == [1, 0, 0]
    assert result.score.tolist() == [0.25, 0.0, 0.0]
    assert ev.read_scored(path, labels, score="score").score.tolist() == [300.0, 0.0, 0.0]


def test_a_line_that_is_no_decision_is_named(tmp_path):
    path = tmp_path / "decisions.ndjson"
    path.write_text('{"seq":1}\n{"seq":2\n')
    with pytest.raises(InputError, match=r"decisions\.ndjson:2: not a decision"):
        ev.read_scored(path, {})


def test_labels_that_are_no_parquet_file_say_what_to_give(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR?")
    with pytest.raises(InputError, match=r"x\.parquet: the labels of the handbook cannot be read"):
        ev.handbook_labels(tmp_path / "x.parquet")


@pytest.mark.shared
def test_the_split_of_the_handbook_has_its_published_sizes_and_limits(shared):
    """Sizes of the four weeks, and what a perfect and a constant ranking reach, as the recording's README has them."""
    path = shared("data/handbook/transactions_raw.parquet")
    import pyarrow.parquet as pq

    table = pq.read_table(
        path, columns=["TX_TIME_DAYS", "CUSTOMER_ID", "TX_FRAUD", "TRANSACTION_ID"]
    )
    columns = {name: table.column(name).to_numpy() for name in table.column_names}
    late = columns["TX_TIME_DAYS"] >= ev.HANDBOOK_TRAINING[0]
    label = columns["TX_FRAUD"][late].astype(np.int8)
    day, card = (columns[name][late].astype(np.int64) for name in ("TX_TIME_DAYS", "CUSTOMER_ID"))
    perfect = ev.evaluate(Scored(day, card, label, label.astype(float)), ev.HANDBOOK_TRAINING)
    sizes = [(w.n_transactions, w.n_frauds) for w in perfect.published]
    assert sizes == [(58_264, 385), (57_937, 387), (58_337, 408), (57_604, 422)]
    assert perfect.published[0].metrics["card_precision_100"] == pytest.approx(0.397, abs=5e-4)
    assert perfect.published_mean("card_precision_100") == pytest.approx(0.419, abs=5e-4)
    assert perfect.published_mean("average_precision") == 1.0
    frauds = ev.handbook_labels(path)
    assert len(frauds) == 14_681
    first = int(np.flatnonzero(columns["TX_FRAUD"] == 1)[0])
    assert (str(columns["CUSTOMER_ID"][first]), str(columns["TRANSACTION_ID"][first])) in frauds
