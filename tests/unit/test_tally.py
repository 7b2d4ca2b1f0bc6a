"""A tally's alerts and a book's verdicts on streams small enough to count by hand."""

import json

import numpy as np
import pytest

from config.errors import InputError
from engine.outcomes import rfc3339
from engine.setup import read_setup
from replay.workbench import scorecard, traffic
from replay.workbench.tally import Payments, Tally, identity
from replay.workbench.verdicts import LabelBook
from tests import backtesting as slow
from tests.auditing import HOUR, START

MINUTE = HOUR // 60


@pytest.fixture(scope="module")
def setup(tmp_path_factory):
    return read_setup(slow.bank(tmp_path_factory.mktemp("tally") / "bank"))


def payment(n, at_us, account="A07", amount="800.00"):
    told = {"transaction_id": f"t-{n}", "account": account, "event_time": rfc3339(START + at_us)}
    return told | {"type": "payment", "direction": "out", "amount": amount, "currency": "CNY"}


def label(n, at_us, verdict, account="A07"):
    told = {"transaction_id": f"t-{n}", "account": account, "event_time": rfc3339(START + at_us)}
    return told | {"kind": "label", "label": verdict}


def counted(setup, messages, rule="BIG-001"):
    """The figures of one rule over messages, as if in one batch."""
    lines = [json.dumps(m).encode() for m in messages]
    prepared, core = traffic.prepared(setup, setup.pack)
    tally, book = Tally(core, {rule}), LabelBook()
    book.take(lines)
    tally(core.apply(lines, [""] * len(lines)))
    modes = {r.id: r.mode for r in prepared.pack.rules}
    return scorecard.card(tally, prepared.pack, book, tested=[rule], modes=modes).rules[0]


def test_a_group_ends_when_its_time_is_over(setup):
    """Three hours: a match a microsecond before joins, one at the very end opens the next alert."""
    within = [payment(0, 0), payment(1, 3 * HOUR - 1)]
    at_end = [payment(0, 0), payment(1, 3 * HOUR)]
    assert (counted(setup, within).matches, counted(setup, within).alerts) == (2, 1)
    assert (counted(setup, at_end).matches, counted(setup, at_end).alerts) == (2, 2)


def test_a_joined_match_does_not_prolong_its_group(setup):
    """The group lasts from its first match on: 0 h, 2 h, 4 h are two alerts; another account has its own."""
    messages = [payment(k, 2 * k * HOUR) for k in range(3)]
    assert counted(setup, messages).alerts == 2
    other = payment(9, MINUTE, account="A08")
    assert counted(setup, [messages[0], other, *messages[1:]]).alerts == 3


def test_figures_by_hand(setup):
    """Four matches in three alerts; one fraud joined an alert that began with a genuine payment."""
    messages = [
        payment(0, 0, amount="700.00"),
        payment(1, HOUR, amount="900.50"),  # fraud, joins the first
        payment(2, 2 * HOUR, amount="699.99"),  # too small, and a fraud all the same
        payment(3, 4 * HOUR, amount="750.00"),
        payment(4, 5 * HOUR, account="A08", amount="1000.00"),  # fraud
        label(1, 30 * HOUR, "fraud"),
        label(2, 31 * HOUR, "fraud"),
        label(3, 32 * HOUR, "genuine"),
        label(4, 33 * HOUR, "fraud", "A08"),
    ]
    mine = counted(setup, messages)
    assert (mine.evaluated, mine.matches, mine.alerts) == (5, 4, 3)
    assert (mine.fraud, mine.other, mine.frauds) == (2, 1, 2)
    assert mine.precision == pytest.approx(2 / 3)
    assert mine.recall == pytest.approx(2 / 3)
    assert mine.value_caught == 90_050 + 100_000
    assert mine.per_day == 3.0


def test_all_rules_together_count_each_event_once(setup):
    """A fraud that two rules hold for is one fraud and one sum of money; its alerts are two."""
    lines = [
        json.dumps(payment(0, 0, "A01")).encode(),
        json.dumps(payment(1, 1, "A02", "5.00")).encode(),
    ]
    prepared, core = traffic.prepared(setup, setup.pack)
    tally, book = Tally(core, slow.IDS), LabelBook()
    book.take([json.dumps(label(0, HOUR, "fraud", "A01")).encode()])
    tally(core.apply(lines, ["", ""]))
    together = scorecard.card(tally, prepared.pack, book, tested=slow.IDS, modes={}).together
    assert (together.matches, together.alerts, together.fraud) == (2, 3, 2)
    assert (together.frauds, together.recall, together.value_caught) == (1, 1.0, 80_000)


def test_the_last_to_arrive_counts_whatever_time_it_names(setup):
    """A correction with an older time of its own is still a correction."""
    messages = [payment(0, 0), label(0, 30 * HOUR, "fraud"), label(0, 20 * HOUR, "genuine")]
    assert counted(setup, messages).frauds == 0
    assert counted(setup, [*messages, label(0, 10 * HOUR, "fraud")]).frauds == 1
    assert counted(setup, [*messages, label(0, 40 * HOUR, "withdrawn")]).frauds == 0


def test_nothing_is_mature_without_a_fraud():
    """No verdict of fraud, no maturity; with file labels that have no time, up to the newest fraud they name."""
    times = np.array([START, START + HOUR], np.int64)
    payments = Payments(times, np.array([identity("A", "1"), identity("A", "2")]), np.zeros(2))
    book = LabelBook()
    assert book.of(payments, START + 9 * HOUR).mature_to_us is None
    book.take([b'{"kind":"label","account":"A","transaction_id":"1","label":"fraud"}'])
    assert book.of(payments, START + 9 * HOUR).mature_to_us == START


@pytest.mark.parametrize("combine", ["sum", "max", "noisy_or"])
def test_points_are_combined_event_by_event(combine):
    """Against the definition, one event at a time."""
    rng = np.random.default_rng(5)
    seq = np.sort(rng.integers(0, 60, 200))
    points = np.round(rng.uniform(-50, 700, 200), 1)
    wanted = []
    for each in np.unique(seq):
        here = points[seq == each].tolist()
        total = {"sum": sum(here), "max": max(here)}.get(combine)
        if total is None:
            passes = 1.0
            for score in here:
                passes *= 1 - min(max(score, 0), 1000) / 1000
            total = 1000 * (1 - passes)
        wanted.append(round(min(max(total, 0), 1000), 6))
    assert scorecard.combined(seq, points, combine).tolist() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.csv", "account,label\nA,fraud\n", "transaction_id"),
        ("x.csv", "account,transaction_id,label\nA,1,perhaps\n", "perhaps"),
        ("x.ndjson", "{", "no label"),
        ("x.xlsx", "", "Parquet, CSV or NDJSON"),
        ("x.parquet", "no parquet", "cannot be read"),
    ],
)
def test_a_file_of_labels_that_is_none_is_refused(tmp_path, name, text, said):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=said):
        LabelBook().read(tmp_path / name)
