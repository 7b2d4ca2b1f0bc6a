"""An amount in dollars from the file it came in to the alert it causes, by the command that people use."""

import json

import pytest

from engine.cli import main
from engine.core import Core
from tests import abroad

RULES = (
    abroad.rule(
        'convert(amount, "USD") >= 100 USD and spent_1d >= 600 CNY',
        more="""\
    actions:
      - alert: {queue: q, title: '{convert(amount, "USD")} of {spent_1d} today'}
""",
    )
    + """\
features:
  spent_1d: sum(amount) by account over 1d
"""
)
DAY = [
    abroad.message("02T10:00:00", "t1", amount="100.00", currency="USD"),
    abroad.message("02T10:00:01", "t2", amount="699.99", currency="CNY"),  # 100.00 dollars, rounded
    abroad.message("02T10:00:02", "t3", amount="99.99", currency="USD"),
    abroad.message("02T10:00:03", "t4", amount="4000", currency="ISK"),
    abroad.message("04T10:00:00", "t5", amount="100.00", currency="USD", account="A2"),
]


@pytest.fixture
def replayed(tmp_path):
    """Replay DAY under rates that may be changed; the output folder."""

    def go(name, rates=abroad.RATES):
        abroad.setup(tmp_path / name / "bank", RULES, rates=rates)
        (tmp_path / name / "day.ndjson").write_bytes(b"\n".join(DAY) + b"\n")
        folder = tmp_path / name
        out = folder / "out"
        assert main(["replay", str(folder / "day.ndjson"), "--config", str(folder / "bank"), "--out", str(out)]) == 0  # fmt: skip
        return out

    return go


def read(out, stream):
    return [json.loads(line) for line in (out / f"{stream}.ndjson").read_text().splitlines()]


def test_dollars_are_weighed_in_yuan_and_shown_in_both(replayed):
    out = replayed("a")
    assert [(a["transaction_id"], a["amount"], a["currency"], a["title"]) for a in read(out, "alerts")] == [
        ("t1", "700.00", "CNY", "100.00 USD of 700.00 CNY today"),
        ("t2", "699.99", "CNY", "100.00 USD of 1399.99 CNY today"),
        ("t5", "600.00", "CNY", "100.00 USD of 600.00 CNY today"),
    ]  # fmt: skip
    decisions = {d["transaction_id"]: d for d in read(out, "decisions")}
    assert decisions["t4"]["decision"] == "review"
    assert decisions["t4"]["reasons"] == ["FX_RATE_MISSING"]
    assert decisions["t4"]["undecided"] == [["R-1", 'convert(amount, "USD")']]
    kept = list((out / "config").glob("*/rates.yaml"))
    assert [path.read_text() for path in kept] == [abroad.RATES]


def test_other_rates_decide_otherwise_under_another_name(replayed):
    """What was decided stays what it was: the configuration a decision names has its rates."""
    first = replayed("a")
    second = replayed("b", abroad.RATES.replace("USD: 6.00", "USD: 5.99"))
    assert [a["transaction_id"] for a in read(second, "alerts")] == ["t1", "t2"]
    names = [{d["config"] for d in read(out, "decisions")} for out in (first, second)]
    assert [len(name) for name in names] == [1, 1]
    assert names[0] != names[1]


def test_without_rates_only_the_books_own_currency_is_weighed(tmp_path):
    """The same day, a pack without convert, no table: four transactions for people to look at."""
    made = abroad.setup(tmp_path / "bank", abroad.rule("amount > 1"), rates=None)
    outcome = Core(made).apply(DAY, ["x"] * len(DAY))
    decisions = [json.loads(line) for line in outcome.streams["decisions"].splitlines()]
    assert [d["reasons"] for d in decisions] == [
        ["FX_RATE_MISSING"],
        ["TEST"],
        ["FX_RATE_MISSING"],
        ["FX_RATE_MISSING"],
        ["FX_RATE_MISSING"],
    ]
