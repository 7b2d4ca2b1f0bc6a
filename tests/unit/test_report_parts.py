"""What reports are made of: quantiles in bounded memory, time in slices, axes of plots, sums of days."""

import math
import random
import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.report import svg
from replay.report.counting import (
    BINS,
    HALF,
    SHOWN,
    Day,
    Region,
    RuleCounts,
    Scores,
    bin_of,
    shift,
    shown,
    together,
)
from replay.report.spread import Spread
from replay.report.svg import Series
from replay.report.tempo import SLICES, Tempo

SECOND = 1_000_000


@given(
    st.lists(st.tuples(st.floats(-1e6, 1e6), st.integers(1, 5)), min_size=1, max_size=60),
    st.floats(0.01, 1.0),
)
def test_a_quantile_is_right_to_within_one_percent(values, q):
    spread = Spread()
    for value, weight in values:
        spread.add(value, weight)
    every = sorted(value for value, weight in values for _ in range(weight))
    exact = every[max(0, math.ceil(q * len(every) - 1e-9) - 1)]
    assert spread.n == len(every)
    assert (spread.least, spread.most) == (every[0], every[-1])
    assert spread.quantile(q) == pytest.approx(exact, rel=0.0101, abs=1e-9)


def test_nothing_has_no_quantile():
    spread = Spread()
    assert (spread.n, spread.least, spread.most, spread.quantile(0.5)) == (0, None, None, None)


def test_time_is_cut_into_few_parts_however_long_it_is():
    """No message and no longest latency is lost when parts are joined."""
    rng, tempo = random.Random(3), Tempo()
    at, sent = 5 * SECOND, []
    for _ in range(3_000):
        at += rng.randrange(10 * SECOND)
        sent.append((at, rng.randrange(1, 9), rng.random()))
        tempo.note(*sent[-1])
    parts = tempo.parts()
    assert len(parts) <= SLICES
    assert tempo.messages == sum(part.messages for part in parts) == sum(n for _, n, _ in sent)
    for k, part in enumerate(parts):
        inside = [
            (n, s)
            for t, n, s in sent
            if k * tempo.width_us <= t - sent[0][0] < (k + 1) * tempo.width_us
        ]
        assert part.messages == sum(n for n, _ in inside)
        assert part.most_s == max((s for _, s in inside), default=0.0)
        if inside:
            assert part.mean_s == pytest.approx(
                sum(n * s for n, s in inside) / sum(n for n, _ in inside)
            )


def test_a_clock_that_went_back_loses_nothing():
    tempo = Tempo()
    tempo.note(10 * SECOND, 4, 0.1)
    tempo.note(9 * SECOND, 5, None)
    assert [part.messages for part in tempo.parts()] == [9]


def test_there_are_no_more_parts_than_batches():
    tempo = Tempo()
    for k in range(15):
        tempo.note(k * SECOND, 1, 0.1)
    tempo.settle()
    assert len(tempo.parts()) <= 15
    assert sum(part.messages for part in tempo.parts()) == 15


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "values",
    [[], [0.0], [None, 3.0, None], [0.0, 1.0, 1e6], [0.001, None, 0.5], [1e-9, 5.0], [7.0] * 200],
)
def test_every_plot_is_xml_inside_its_box(values, log):
    labels = [f"<{k}>&" for k in range(len(values))]
    series = [Series('a "name" <b>', values, "c1"), Series("other", values, "c2")]
    for plot in (
        svg.lines("t<", labels, series, "unit &", log=log),
        svg.bars("t<", labels, series, "unit &", log=log),
    ):
        root = ET.fromstring(plot)
        for element in root.iter():
            for name, most in (
                ("x", svg.WIDTH),
                ("y", svg.HEIGHT),
                ("cx", svg.WIDTH),
                ("cy", svg.HEIGHT),
            ):
                if name in element.attrib:
                    assert 0 <= float(element.attrib[name]) <= most
    ET.fromstring(svg.curve("c", [(0.0, 1.0), (1.0, 0.0)], "recall", "precision"))
    ET.fromstring(svg.inline_bar(7.0))


def test_bars_stand_on_each_other_as_high_as_their_sum():
    root = ET.fromstring(
        svg.bars("t", ["a"], [Series("x", [30], "c1"), Series("y", [70], "c2")], "")
    )
    x, y = [e for e in root.iter("rect") if len(e)]  # the legend's have no title inside
    assert float(x.attrib["height"]) * 70 == pytest.approx(float(y.attrib["height"]) * 30, rel=0.01)
    assert float(y.attrib["y"]) + float(y.attrib["height"]) == pytest.approx(
        float(x.attrib["y"]), abs=0.2
    )
    assert float(y.attrib["y"]) == pytest.approx(svg.TOP, abs=0.2)


@given(st.lists(st.tuples(st.integers(0, BINS - 1), st.booleans()), max_size=40))
def test_auc_is_the_share_of_pairs_in_order(marks):
    scores = Scores()
    for place, is_fraud in marks:
        scores.all[place] += 1
        scores.fraud[place] += is_fraud
    pairs = [(f > g) + (f == g) / 2 for f, is_f in marks if is_f for g, is_g in marks if not is_g]
    expected = sum(pairs) / len(pairs) if pairs else None
    assert scores.auc() == (pytest.approx(expected) if expected is not None else None)


def test_shift_is_nothing_between_equals_and_unknown_without_one_of_them():
    one, other, none = (np.zeros(BINS, np.int64) for _ in range(3))
    one[10], other[900] = 500, 500
    assert shift(one, one) == 0.0
    assert shift(one, other) > 1.0
    assert shift(one, none) is None


def test_days_put_together_hold_what_each_held():
    days = []
    for k in (1, 2):
        day = Day(f"2026-03-0{k}")
        day.decisions.update({"approve": k, "hold": 10 * k})
        day.hours[3][0] += k
        day.let_go = 5 * k
        day.rules["R"] = RuleCounts(fired=k, fraud=k)
        day.regions["CN"] = Region(transactions=k, money=7 * k)
        day.scores.all[k] = k
        day.verdicts[True, "fraud"] += k
        days.append(day)
    whole = together(days)
    assert whole.decisions == Counter({"approve": 3, "hold": 30})
    assert (whole.transactions, whole.flagged, whole.let_go, whole.hours[3][0]) == (33, 30, 15, 3)
    assert whole.rules["R"] == RuleCounts(fired=3, fraud=3)
    assert whole.regions["CN"] == Region(transactions=3, money=21)
    assert whole.scores.all[:3].tolist() == [0, 1, 2]
    assert whole.precision == 1.0
    assert days[0].rules["R"].fired == 1, "the days themselves stay as they were"


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40), st.floats(0.01, 1.0))
def test_probabilities_near_nothing_are_told_apart(values, q):
    """Most transactions score a thousandth: equal ranges would hold all of them in one."""
    scores = Scores()
    for value in values:
        scores.all[bin_of(value)] += 1
    exact = sorted(values)[max(0, math.ceil(q * len(values) - 1e-9) - 1)]
    assert scores.quantile(q) == pytest.approx(exact, rel=0.03, abs=2e-6)
    assert shown(scores.all) == [
        sum(k / SHOWN <= v < (k + 1) / SHOWN or (v == 1.0 and k == SHOWN - 1) for v in values)
        for k in range(SHOWN)
    ]
    assert sum(scores.all[HALF:]) == sum(v >= 0.5 for v in values)
